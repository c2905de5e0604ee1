"""What a browser remembers for its person, logged in or not: language and theme. Works without scripts."""

from flask import Blueprint, abort, current_app, redirect, request
from flask.typing import ResponseReturnValue

from admin.access import PUBLIC, requires
from admin.addresses import safe_next
from admin.language import LANGUAGE_COOKIE, LANGUAGES

__all__ = ["THEMES", "blueprint", "theme"]

THEMES = ("auto", "light", "dark")  # auto: as the device is set
THEME_COOKIE = "theme"
REMEMBERED_S = 365 * 86_400

blueprint = Blueprint("preferences", __name__)


def theme() -> str:
    """One of THEMES."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else "auto"


@blueprint.app_context_processor
def _for_templates() -> dict[str, object]:
    return {"theme": theme()}


@blueprint.post("/preferences")
@requires(PUBLIC)
def keep() -> ResponseReturnValue:
    """Remember the language or the theme that a button of the page names, and go back to that page."""
    answer = redirect(safe_next(request.form.get("next")), code=303)
    kept = False
    for cookie, known in ((LANGUAGE_COOKIE, tuple(LANGUAGES)), (THEME_COOKIE, THEMES)):
        value = request.form.get(cookie)
        if value is None:
            continue
        if value not in known:
            abort(400)
        kept = True
        answer.set_cookie(
            cookie,
            value,
            max_age=REMEMBERED_S,
            httponly=True,
            samesite="Lax",
            secure=current_app.config["SESSION_COOKIE_SECURE"],
        )
    if not kept:
        abort(400)
    return answer
