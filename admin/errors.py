"""Pages for when something went wrong: what happened, and what to do now. Needs no database."""

import time
from typing import NamedTuple

from flask import Flask, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, SecurityError

from ledger.database import DatabaseAway

__all__ = ["init_errors"]

READ_AWAY_BYTES = 1 << 30  # of an upload that is too large; beyond it the sender is cut off
READ_AWAY_S = 60.0


class Words(NamedTuple):
    """What an error page says."""

    title: str
    advice: str


def init_errors(app: Flask) -> None:
    """Register a page for every error that a browser can meet."""

    @app.errorhandler(CSRFError)
    def form_too_old(error: CSRFError) -> ResponseReturnValue:
        return _page(
            400,
            Words(
                _("This form is no longer valid"),
                _("Nothing was done. Open the page again and send the form once more, with cookies allowed."),
            ),
        )

    @app.errorhandler(SecurityError)
    def not_our_name(error: SecurityError) -> ResponseReturnValue:
        # No page of ours: under a foreign name there are no addresses to link to.
        return "Bad Request\n", 400, {"Content-Type": "text/plain"}

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> ResponseReturnValue:
        if error.code is None or error.code < 400:  # a redirect that Werkzeug raised
            return error
        if error.code == 413 and current_user.is_authenticated:
            _read_away()
        answer = app.make_response(_page(error.code, _words(error.code)))
        for name, value in error.get_headers():
            if name not in {"Content-Type", "Content-Length"}:  # Allow, Retry-After
                answer.headers[name] = value
        return answer

    @app.errorhandler(DatabaseAway)
    def away(error: DatabaseAway) -> ResponseReturnValue:
        app.logger.error("the database cannot serve %s: %s", request.path, error)
        return _page(503, _words(503), {"Retry-After": "5"})

    @app.errorhandler(Exception)
    def broken(error: Exception) -> ResponseReturnValue:
        app.logger.error("a fault of this program at %s", request.path, exc_info=error)
        return _page(500, _words(500))


def _words(status: int) -> Words:
    if status == 403:
        return Words(
            _("You may not see this page"),
            _("Your role does not include it. If you need it for your work, ask whoever manages staff."),
        )
    if status == 404:
        return Words(
            _("There is no such page"),
            _("Check the address, or start again from the first page."),
        )
    if status == 413:
        return Words(
            _("What was sent is too large"),
            _("Nothing was done. A file of members may have 20 MB: split it and send the parts."),
        )
    if status == 503:
        return Words(
            _("The database does not answer"),
            _("Nothing is lost. Wait a moment and load the page again; tell the operator if this goes on."),
        )
    if status >= 500:
        return Words(
            _("Something broke on our side"),
            _("The fault has been noted. Try again; tell the operator what you did if it happens again."),
        )
    return Words(
        _("The request could not be understood"),
        _("Nothing was done. Go back, load the page again and repeat what you did."),
    )


def _read_away() -> None:
    """Take what is still on its way and forget it: a browser that is cut off while it sends shows no page."""
    until, left = time.monotonic() + READ_AWAY_S, READ_AWAY_BYTES
    while left > 0 and time.monotonic() < until:
        piece = request.environ["wsgi.input"].read(1 << 20)
        if not piece:
            return
        left -= len(piece)


def _page(status: int, words: Words, headers: dict[str, str] | None = None) -> ResponseReturnValue:
    if request.endpoint == "health.health":
        return jsonify(status=f"error {status}"), status, headers or {}
    page = render_template("error.html", status=status, title=words.title, advice=words.advice)
    return page, status, headers or {}
