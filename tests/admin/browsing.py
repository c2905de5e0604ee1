"""What a person does in a browser, on Flask's test client."""

import html
import re
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from tests.admin.people import PASSWORD

__all__ = ["Browser", "words"]


def words(page: str) -> str:
    """What a person reads of a page: no markup, single spaces."""
    inside = page.partition('<main id="content"')[2] or page
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", inside)).split())


class Browser:
    """One person's browser: keeps cookies, follows no redirects by itself."""

    def __init__(self, app: Flask, language: str) -> None:
        self.client = app.test_client()
        self.headers = {"Accept-Language": language}

    def get(self, path: str, **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(path, headers=self.headers | named, buffered=True)

    def post(self, path: str, form: dict[str, Any], *, token: str | None = None) -> TestResponse:
        """Send a form with the token of the login page, or with `token` ("" for none)."""
        token = self.token() if token is None else token
        return self.client.post(path, data=form | {"csrf_token": token}, headers=self.headers)

    def token(self) -> str:
        """A CSRF token of this session, read from a page that is never redirected."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/nowhere").text)
        assert found, "the page has no form"
        return found[1]

    def submit(self, path: str, **typed: str) -> TestResponse:
        """Open the page of a form and send the form, with what it holds hidden and what was typed."""
        return self.post(path, self.hidden(path) | typed)

    def hidden(self, path: str) -> dict[str, str]:
        """What the form of a page remembers: the mark of what it was made for."""
        page = self.get(path)
        assert page.status_code == 200, path
        found = re.search(r'name="mark"[^>]* value="([^"]*)"', page.text)
        assert found, "the page has no such form"
        return {"mark": found[1]}

    def log_in(self, login: str, password: str = PASSWORD, *, next: str = "") -> TestResponse:  # noqa: A002
        return self.post("/login", {"login": login, "password": password, "next": next})
