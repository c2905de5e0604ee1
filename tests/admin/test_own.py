"""A person's own page, and the second step of the login."""

import re
from datetime import timedelta
from pathlib import Path

import pyotp
import pytest
from sqlalchemy import Connection

from admin.login import SECOND_STEP_LASTS
from ledger.keyring import Keyring
from ledger.login_events import WRONG_MOST, WRONG_WITHIN, Visitor, record_login
from ledger.staff import FREE_TRIES, LONGEST_PAUSE_S
from tests.admin.browsing import Browser, words
from tests.admin.conftest import Site
from tests.admin.people import PASSWORD, create_person


@pytest.fixture
def site(shared_site: Site) -> Site:
    """The module's site, at a later time than the test before left it."""
    shared_site.clock.advance(timedelta(hours=13))
    return shared_site


def person(site: Site, login: str) -> int:
    return site.change(lambda connection: create_person(connection, site.house.enterprise, login=login))


def set_up(site: Site, browser: Browser) -> tuple[pyotp.TOTP, list[str]]:
    """Turn the second factor on; returns the app's clock and the recovery codes."""
    page = browser.get("/own/second-factor").text
    secret = "".join(re.findall(r'id="secret"[^>]*>([A-Z2-7 ]+)<', page)[0].split())
    clock = pyotp.TOTP(secret)
    assert 'class="qr"' in page
    wrong = browser.post("/own/second-factor", {"code": "000000", "present": PASSWORD})
    assert "This code does not fit." in wrong.text
    assert secret[:4] in wrong.text
    done = browser.post("/own/second-factor", {"code": clock.at(site.clock.now), "present": PASSWORD})
    codes = re.findall(r"\b[a-z2-9]{5}-[a-z2-9]{5}\b", done.text)
    assert len(set(codes)) == 10
    return clock, codes


def test_a_second_factor_asks_for_a_code_that_is_good_once(site: Site) -> None:
    person(site, "mei")
    browser = site.signed_in("mei")
    clock, codes = set_up(site, browser)
    assert browser.get("/own").status_code == 200

    other = site.browser()
    asked = other.log_in("mei", next="/cards")
    assert asked.location == "/login/second?next=/cards"
    assert other.get("/own").status_code == 303  # the password alone opens nothing
    now = clock.at(site.clock.now)
    assert other.post("/login/second", {"code": now}).status_code == 401  # it set the factor up
    site.clock.advance(timedelta(seconds=60))
    now = clock.at(site.clock.now)
    answer = other.post("/login/second", {"code": f"{now[:3]} {now[3:]}", "next": "/cards"})
    assert (answer.status_code, answer.location) == (303, "/cards")

    third = site.browser()
    third.log_in("mei")
    assert third.post("/login/second", {"code": now}).status_code == 401
    assert third.post("/login/second", {"code": codes[0].upper()}).status_code == 303
    fourth = site.browser()
    fourth.log_in("mei")
    assert fourth.post("/login/second", {"code": codes[0]}).status_code == 401
    history = words(browser.get("/own").text)
    for outcome in ("Wrong code", "Logged in with a recovery code", "Recovery codes left 9"):
        assert outcome in history
    sealed = site.ask("SELECT factor_secret FROM staff WHERE login = 'mei'")[0][0]
    assert clock.byte_secret() not in bytes(sealed)


def test_setting_it_up_needs_the_password_and_closes_after_wrong_ones(site: Site) -> None:
    person(site, "open")
    browser = site.signed_in("open")
    secret = "".join(
        re.findall(r'id="secret"[^>]*>([A-Z2-7 ]+)<', browser.get("/own/second-factor").text)[0].split()
    )
    code = pyotp.TOTP(secret).at(site.clock.now)
    assert "Type your password." in browser.post("/own/second-factor", {"code": code}).text
    for _ in range(FREE_TRIES):
        wrong = browser.post("/own/second-factor", {"code": code, "present": "a guess"}).text
        assert ("This is not your password." in wrong, "does not fit" in wrong) == (True, False)
        assert f'value="{code}"' in wrong  # what was typed stays
    paused = browser.post("/own/second-factor", {"code": code, "present": PASSWORD})
    assert "This is not your password." in paused.text
    assert site.ask("SELECT factor_secret IS NULL FROM staff WHERE login = 'open'") == [(True,)]


def test_wrong_codes_close_the_second_step_for_a_while(site: Site) -> None:
    person(site, "bo")
    clock, codes = set_up(site, site.signed_in("bo"))
    browser = site.browser()
    browser.log_in("bo")
    for _ in range(FREE_TRIES):
        assert browser.post("/login/second", {"code": "123456"}).status_code == 401
    site.clock.advance(timedelta(seconds=2))
    for code in (clock.at(site.clock.now + timedelta(seconds=30)), codes[0]):
        assert browser.post("/login/second", {"code": code}).status_code == 401
    site.clock.advance(timedelta(seconds=LONGEST_PAUSE_S))
    assert browser.post("/login/second", {"code": codes[0]}).location == "/login"  # the password was long ago
    browser.log_in("bo")
    assert browser.post("/login/second", {"code": codes[0]}).status_code == 303


def test_the_first_step_is_forgotten_after_some_minutes(site: Site) -> None:
    person(site, "late")
    clock, _codes = set_up(site, site.signed_in("late"))
    browser = site.browser()
    browser.log_in("late")
    site.clock.advance(SECOND_STEP_LASTS)
    answer = browser.post("/login/second", {"code": clock.at(site.clock.now)})
    assert answer.location == "/login"
    assert browser.get("/login/second").status_code == 303


def test_taking_it_off_needs_the_password(site: Site) -> None:
    person(site, "off")
    browser = site.signed_in("off")
    set_up(site, browser)
    assert (
        "This is not your password." in browser.post("/own/second-factor/remove", {"present": "wrong"}).text
    )
    fresh = browser.post("/own/second-factor/codes", {"present": PASSWORD})
    assert len(re.findall(r"\b[a-z2-9]{5}-[a-z2-9]{5}\b", fresh.text)) == 10
    assert browser.post("/own/second-factor/remove", {"present": PASSWORD}).location == "/own"
    assert site.browser().log_in("off").location == "/"
    assert site.ask(
        "SELECT count(*) FROM recovery_code r JOIN staff s ON s.id = r.staff_id AND login = 'off'"
    ) == [(0,)]


def test_a_new_password_ends_the_sessions_elsewhere_and_keeps_this_one(site: Site) -> None:
    person(site, "ana")
    here, elsewhere = site.signed_in("ana"), site.signed_in("ana")
    typed = {"present": PASSWORD, "password": "quite another walk", "again": "quite another walk"}
    assert "The two are not the same." in here.post("/own/password", typed | {"again": "x"}).text
    assert "This is not your password." in here.post("/own/password", typed | {"present": "x"}).text
    assert (
        "A password has 8 to 200 characters."
        in here.post("/own/password", typed | {"password": "short", "again": "short"}).text
    )
    assert here.post("/own/password", typed).location == "/own"
    assert here.get("/own").status_code == 200
    assert elsewhere.get("/own").status_code == 303
    assert site.browser().log_in("ana").status_code == 401
    assert site.browser().log_in("ana", "quite another walk").status_code == 303
    lines = site.ask(
        "SELECT l.what FROM trail_line l JOIN staff s ON s.id = l.staff_id WHERE s.login = 'ana'"
    )
    assert lines == [("staff.password",)]


def test_a_session_is_listed_and_can_be_ended_from_another_browser(site: Site) -> None:
    ana = person(site, "eva")
    here, there = site.signed_in("eva"), site.browser()
    there.headers["User-Agent"] = "Mozilla/5.0 (iPhone) AppleWebKit Safari/604.1"
    there.log_in("eva")
    page = here.get("/own").text
    assert "Safari · iPhone" in page
    assert "This browser" in page
    number = re.findall(r"/own/sessions/(\d+)/end", page)
    assert len(number) == 1
    stranger = site.signed_in("merchant")
    stranger.post(f"/own/sessions/{number[0]}/end", {})
    assert there.get("/own").status_code == 200
    assert here.post(f"/own/sessions/{number[0]}/end", {}).status_code == 303
    assert there.get("/own").status_code == 303
    for _ in range(2):
        site.signed_in("eva")
    assert here.post("/own/sessions/others", {}).status_code == 303
    assert site.ask("SELECT count(*) FROM staff_session WHERE staff_id = :id", id=ana) == [(1,)]


def test_a_session_knows_to_the_minute_when_it_was_used(site: Site) -> None:
    eva = person(site, "mia")
    browser = site.signed_in("mia")
    began = site.clock.now
    for seconds in (30, 29):
        site.clock.advance(timedelta(seconds=seconds))
        browser.get("/own")
    assert site.ask("SELECT seen_at FROM staff_session WHERE staff_id = :id", id=eva) == [(began,)]
    site.clock.advance(timedelta(seconds=1))
    browser.get("/own")
    assert site.ask("SELECT seen_at FROM staff_session WHERE staff_id = :id", id=eva) == [(site.clock.now,)]


def test_logging_out_ends_the_row_so_a_kept_cookie_is_worth_nothing(site: Site) -> None:
    person(site, "kim")
    browser = site.signed_in("kim")
    cookie = browser.client.get_cookie("session")
    assert cookie is not None
    browser.post("/logout", {})
    thief = site.browser()
    thief.client.set_cookie("session", cookie.value)
    assert thief.get("/own").status_code == 303


def test_who_guesses_many_logins_from_one_place_is_stopped_at_both_steps(site: Site) -> None:
    person(site, "sue")
    _clock, codes = set_up(site, site.signed_in("sue"))
    browser, nobody = site.browser(), site.browser()
    browser.log_in("sue")
    assert "Second step" in browser.get("/login/second").text

    def guess(connection: Connection) -> None:
        for _ in range(WRONG_MOST):
            record_login(
                connection, Visitor("127.0.0.1", ""), "unknown", staff=None, tenant=None, now=site.clock.now
            )

    site.change(guess)
    events = site.ask("SELECT count(*) FROM login_event")
    for answer in (nobody.log_in("merchant"), browser.post("/login/second", {"code": codes[0]})):
        assert answer.status_code == 429
        assert "Too many logins from here went wrong." in answer.text
    assert site.ask("SELECT count(*) FROM login_event") == events  # nothing is written meanwhile
    site.clock.advance(WRONG_WITHIN)
    assert nobody.log_in("merchant").status_code == 303


def test_a_tenant_may_ask_for_a_second_factor_before_anything_is_seen(site: Site) -> None:
    theirs = site.other.enterprise

    def enter(connection: Connection) -> None:
        create_person(connection, theirs, login="chief")
        create_person(connection, theirs, login="clerk", ready_made="viewer")

    site.change(enter)
    chief, clerk = site.signed_in("chief"), site.signed_in("clerk")
    assert clerk.get("/staff/rule").status_code == 403
    assert chief.submit("/staff/rule", rule="administrators").status_code == 303
    assert clerk.get("/cards").status_code == 200
    assert chief.get("/cards").location == "/own/second-factor"
    assert chief.post("/own/second-factor/remove", {}).location == "/own/second-factor"
    assert "asks for a second factor" in chief.get("/own/second-factor").text
    set_up(site, chief)
    assert chief.get("/cards").status_code == 200
    assert chief.submit("/staff/rule", rule="everybody").status_code == 303
    assert clerk.get("/cards").location == "/own/second-factor"


def test_no_secret_of_one_person_opens_with_the_key_of_another(secrets: Path) -> None:
    keyring = Keyring.load(secrets)
    assert keyring.factor_key(1) != keyring.factor_key(2)
    assert keyring.recovery_verifier(1, "abc") != keyring.recovery_verifier(2, "abc")
