from datetime import timedelta

import pytest
from sqlalchemy import text

from admin.login import LOGIN_LASTS
from ledger.database import Scope
from ledger.staff import FREE_TRIES, LONGEST_PAUSE_S
from tests.admin.conftest import Site
from tests.admin.people import PASSWORD


def test_nobody_sees_a_page_before_the_login(site: Site) -> None:
    answer = site.browser().get("/?outcome=refused")
    assert answer.status_code == 303
    assert answer.location == "/login?next=/?outcome%3Drefused"


def test_the_right_password_leads_to_the_first_page(site: Site) -> None:
    browser = site.browser()
    answer = browser.log_in("operator")
    assert (answer.status_code, answer.location) == (303, "/")
    page = browser.get("/")
    assert page.status_code == 200
    assert "Lin Wei" in page.text


def test_the_login_leads_on_to_the_page_that_was_wanted(site: Site) -> None:
    browser = site.browser()
    form = browser.get("/login?next=/?outcome%3Drefused").text
    assert 'name="next" type="hidden" value="/?outcome=refused"' in form
    assert browser.log_in("operator", next="/?outcome=refused").location == "/?outcome=refused"
    assert browser.get("/login").location == "/"


@pytest.mark.parametrize("login", ["operator", "nobody", "no\x00body", "x" * 150, "Ünknown", "'; --"])
def test_wrong_password_and_unknown_login_look_the_same(site: Site, login: str) -> None:
    answer = site.browser().log_in(login, "wrong")
    assert answer.status_code == 401
    assert "Login and password do not match." in answer.text
    assert "operator of" not in answer.text


def test_a_login_is_found_however_it_is_typed(site: Site) -> None:
    assert site.browser().log_in(" Operator ").status_code == 303


def test_an_empty_form_is_explained(site: Site) -> None:
    answer = site.browser().log_in("", "")
    assert answer.status_code == 200
    assert "Type your login." in answer.text
    assert "Type your password." in answer.text


def test_after_some_wrong_passwords_even_the_right_one_waits(site: Site) -> None:
    for _ in range(FREE_TRIES):
        assert site.browser().log_in("operator", "wrong").status_code == 401
    refused = site.browser().log_in("operator")
    assert refused.status_code == 401
    assert "stays closed for a while" in refused.text
    site.clock.advance(timedelta(seconds=LONGEST_PAUSE_S))
    assert site.browser().log_in("operator").status_code == 303
    assert site.browser().log_in("merchant").status_code == 303  # nobody else had to wait


def test_a_form_without_its_token_does_nothing(site: Site) -> None:
    browser = site.browser()
    answer = browser.post("/login", {"login": "operator", "password": PASSWORD}, token="")
    assert answer.status_code == 400
    assert "This form is no longer valid" in answer.text
    assert browser.get("/").status_code == 303
    stolen = site.browser().token()
    assert (
        browser.post("/login", {"login": "operator", "password": PASSWORD}, token=stolen).status_code == 400
    )


def test_logging_out_needs_the_token_and_ends_the_session(site: Site) -> None:
    browser = site.browser()
    browser.log_in("operator")
    assert browser.post("/logout", {}, token="").status_code == 400
    assert browser.get("/").status_code == 200
    assert browser.get("/logout").status_code == 405
    assert browser.post("/logout", {}).location == "/login"
    assert browser.get("/").status_code == 303


def test_a_login_lasts_a_working_day(site: Site) -> None:
    browser = site.browser()
    browser.log_in("operator")
    site.clock.advance(LOGIN_LASTS - timedelta(seconds=1))
    assert browser.get("/").status_code == 200
    site.clock.advance(timedelta(seconds=1))
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE staff SET status = 'closed' WHERE login = 'merchant'",
        "UPDATE staff SET password_hash = password_hash || 'x' WHERE login = 'merchant'",
        "UPDATE organisation SET status = 'closed' WHERE kind = 'merchant'",
    ],
)
def test_a_session_ends_with_what_it_stood_on(site: Site, change: str) -> None:
    browser = site.browser()
    browser.log_in("merchant")
    assert browser.get("/").status_code == 200
    with site.database.transaction(Scope.everything()) as connection:
        connection.execute(text(change))
    assert browser.get("/").status_code == 303


def test_a_session_that_somebody_made_up_is_none(site: Site) -> None:
    browser = site.browser()
    browser.client.set_cookie("session", "eyJfdXNlcl9pZCI6IjEuYSJ9.aaaa.bbbb")
    assert browser.get("/").status_code == 303


def test_the_session_from_before_the_login_is_dropped(site: Site) -> None:
    browser = site.browser()
    before = browser.token()
    browser.log_in("operator")
    assert browser.post("/logout", {}, token=before).status_code == 400


def test_cookies_are_closed_to_scripts_and_other_sites(site: Site) -> None:
    cookie = site.browser().log_in("operator").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
