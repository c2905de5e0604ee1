from dataclasses import replace

import pytest
from flask import Flask

from admin import Settings, create_app
from admin.access import PUBLIC, requires
from ledger.database import Database
from tests.admin.browsing import Browser
from tests.admin.conftest import Site


@pytest.fixture
def lonely(settings: Settings) -> Flask:
    """The site with a database that nobody answers for."""
    nowhere = "postgresql://tessera_site@127.0.0.1:1/tessera"
    return create_app(replace(settings, database_url=nowhere), Database(nowhere))


@pytest.mark.parametrize(
    ("language", "said"), [("en", "The database does not answer"), ("zh", "数据库没有响应")]
)
def test_without_the_database_people_are_told_to_wait(lonely: Flask, language: str, said: str) -> None:
    browser = Browser(lonely, language)
    assert browser.get("/login").status_code == 200
    answer = browser.log_in("operator")
    assert answer.status_code == 503
    assert said in answer.text
    assert answer.headers["Retry-After"] == "5"


def test_a_session_does_not_end_because_the_database_is_away(site: Site, lonely: Flask) -> None:
    browser = site.browser()
    browser.log_in("operator")
    cookie = browser.client.get_cookie("session")
    assert cookie
    away = Browser(lonely, "en")
    away.client.set_cookie("session", cookie.value)
    assert away.get("/nowhere").status_code == 404


def test_a_fault_of_ours_is_logged_and_tells_nothing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> str:
        raise RuntimeError("the secret inside")

    site.app.view_functions["broken"] = requires(PUBLIC)(broken)
    site.app.url_map.add(site.app.url_rule_class("/broken", endpoint="broken"))
    answer = site.browser(language="zh").get("/broken")
    assert answer.status_code == 500
    assert "系统出现故障" in answer.text
    assert "secret" not in answer.text
    assert "the secret inside" in caplog.text


def test_pages_that_are_not_there_and_methods_that_are_not_allowed(site: Site) -> None:
    browser = site.browser()
    missing, forbidden = browser.get("/nowhere"), browser.get("/preferences")
    assert missing.status_code == 404
    assert "There is no such page" in missing.text
    assert 'href="/"' in missing.text
    assert forbidden.status_code == 405
    assert "POST" in forbidden.headers["Allow"]


def test_more_than_a_form_can_hold_is_refused(site: Site) -> None:
    browser = site.browser()
    answer = browser.post("/login", {"login": "x" * 100_000, "password": "x"})
    assert answer.status_code == 413
    assert answer.content_type.startswith("text/html")
