import re
from dataclasses import replace

import pytest

from admin import Settings, create_app
from tests.admin.browsing import Browser
from tests.admin.conftest import Site

PATHS = ["/login", "/", "/nowhere", "/health", "/static/site.css", "/cards", "/terminals/1/revoke"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_headers(site: Site, path: str) -> None:
    answer = site.browser().get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "*" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert ("no-store" in answer.headers["Cache-Control"]) is not path.startswith("/static/")


def test_only_scripts_with_the_nonce_of_this_page_run(site: Site) -> None:
    browser = site.browser()
    browser.log_in("operator")
    seen = set()
    for _ in range(2):
        answer = browser.get("/transactions")
        nonce = re.search(r"script-src 'nonce-([\w-]{20,})'", answer.headers["Content-Security-Policy"])
        assert nonce
        scripts = re.findall(r"<script[^>]*>", answer.text)
        assert len(scripts) == 2
        assert all(f'nonce="{nonce[1]}"' in script and 'src="/static/' in script for script in scripts)
        seen.add(nonce[1])
    assert len(seen) == 2


def test_pages_have_no_inline_code_and_no_foreign_origin(site: Site) -> None:
    browser = site.browser()
    browser.log_in("operator")
    for path in ("/", "/login", "/nowhere", "/cards", "/terminals", "/terminals/new", "/points", "/day"):
        page = browser.get(path).text
        assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", page)
        assert not re.search(r'(src|href|action)="(https?:)?//', page)


def test_behind_tls_cookies_insist_on_it(site: Site, settings: Settings) -> None:
    app = create_app(replace(settings, url="https://points.example"), site.database, clock=site.clock)
    browser = Browser(app, "en")
    browser.headers |= {"Host": "points.example", "X-Forwarded-Proto": "https"}
    browser.headers["Referer"] = "https://points.example/login"
    page = browser.get("/login")
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=")
    assert "Secure" in cookie
    assert "max-age=31536000" in page.headers["Strict-Transport-Security"]
    assert "Strict-Transport-Security" not in site.browser().get("/login").headers


def test_another_host_name_is_not_served(site: Site, settings: Settings) -> None:
    app = create_app(replace(settings, url="https://points.example"), site.database, clock=site.clock)
    browser = Browser(app, "en")
    browser.headers |= {"Host": "evil.example"}
    assert browser.get("/login").status_code == 400
