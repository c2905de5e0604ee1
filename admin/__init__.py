"""The site: what staff of the operator, of enterprises and of merchants see in a browser."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from flask import Flask
from flask_bootstrap import Bootstrap5
from flask_login import current_user
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from admin import (
    access,
    assets,
    card_batches,
    card_files,
    card_issue,
    card_terms,
    cards,
    day,
    errors,
    health,
    home,
    imports,
    invitations,
    language,
    login,
    member_steps,
    merchant_steps,
    organisation_steps,
    own,
    point_new,
    points,
    preferences,
    roles,
    rooms,
    security,
    services,
    shop_files,
    staff,
    staff_rules,
    terminals,
    trail,
    transactions,
)
from admin.settings import Settings, SettingsError
from ledger.database import Database
from ledger.keyring import Keyring

__all__ = ["Settings", "SettingsError", "create_app"]

LARGEST_FORM = 64 * 1024  # bytes; nothing that this site takes in is longer


def _now() -> datetime:
    return datetime.now(UTC)


BLUEPRINTS = (
    home.blueprint, login.blueprint, preferences.blueprint, transactions.blueprint, cards.blueprint,
    card_issue.blueprint, card_batches.blueprint, card_files.blueprint, card_terms.blueprint,
    terminals.blueprint,
    points.blueprint, day.blueprint, health.blueprint,
    member_steps.blueprint,
    merchant_steps.blueprint, services.blueprint, shop_files.blueprint,
    organisation_steps.blueprint, trail.blueprint,
    invitations.blueprint, own.blueprint, roles.blueprint, staff.blueprint, staff_rules.blueprint,
)  # fmt: skip


def create_app(
    settings: Settings,
    database: Database,
    *,
    clock: Callable[[], datetime] = _now,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> Flask:
    """The site as a WSGI application. `clock` gives aware times, `random_bytes` what codes are made of."""
    app = Flask(__name__)
    app.extensions |= {
        "settings": settings, "database": database, "clock": clock, "random_bytes": random_bytes,
    }  # fmt: skip
    app.config.update(
        SECRET_KEY=Keyring.load(settings.secrets).session_key,
        SESSION_COOKIE_NAME="__Host-session" if settings.secure else "session",
        SESSION_COOKIE_SECURE=settings.secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=login.LOGIN_LASTS,
        MAX_CONTENT_LENGTH=LARGEST_FORM,
        WTF_CSRF_TIME_LIMIT=None,  # a form lives as long as its session: live pages stay open for hours
        BOOTSTRAP_SERVE_LOCAL=True,
    )
    if settings.url is not None:
        app.config["TRUSTED_HOSTS"] = [str(urlsplit(settings.url).hostname)]
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals |= {
        "current_user": current_user, "rooms_of": rooms.rooms_of, "may_find": rooms.may_find,
    }  # fmt: skip
    Bootstrap5(app)
    language.init_language(app, settings.time_zone)
    security.init_security(app, secure=settings.secure)
    assets.init_assets(app)
    login.init_login(app, database, clock)
    app.before_request(imports.allow_files)
    app.before_request(point_new.allow_files)
    app.before_request(access.guard)
    CSRFProtect(app)
    errors.init_errors(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app
