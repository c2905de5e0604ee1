"""What every answer tells the browser not to do."""

import secrets

from flask import Flask, Response, g, request

__all__ = ["init_security"]

# Nothing is allowed that is not named. Scripts need the nonce of their page; images may be the small
# ones that Bootstrap's stylesheet carries inside it (data:).
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
YEAR_S = 365 * 86_400


def init_security(app: Flask, *, secure: bool) -> None:
    """Put the headers on every answer; `secure` when browsers reach the site through TLS."""
    app.jinja_env.globals["csp_nonce"] = _nonce

    @app.after_request
    def add(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = POLICY.format(nonce=_nonce())
        for name, value in HEADERS.items():
            answer.headers[name] = value
        if secure:
            answer.headers["Strict-Transport-Security"] = f"max-age={YEAR_S}"
        if request.endpoint not in {"static", "bootstrap.static"}:
            # A shared computer's back button must not show what was on the screen before the logout.
            answer.headers["Cache-Control"] = "no-store"
            answer.headers.add("Vary", "Cookie")
            answer.headers.add("Vary", "Accept-Language")
        return answer


def _nonce() -> str:
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    return str(g.csp_nonce)
