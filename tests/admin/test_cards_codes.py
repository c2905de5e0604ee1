"""The one-time code for a new PIN: shown once, and what it is worth."""

import re
from datetime import timedelta

from admin import create_app
from admin.cards import CODE_LASTS
from admin.settings import Settings
from ledger.keyring import Keyring
from ledger.transaction_lists import Asked, search
from ledger.walks import Whose
from tests.admin.browsing import Browser, words
from tests.admin.card_desk import create_card, details, events, path, post
from tests.admin.conftest import Site
from tests.factories import NOW, TODAY, Holder, create_pin_change


def given_code(page: str) -> str:
    found = re.search(r'class="big-code"[^>]*><span>(\d{4})</span><span>(\d{4})</span>', page)
    assert found, "the page shows no code"
    return found[1] + found[2]


def code_proof(settings: Settings, holder: Holder, code: str) -> bytes:
    keyring = Keyring.load(settings.secrets)
    return keyring.code_verifier(holder.card.slot, holder.card.account_id, holder.card.id, code)


def test_a_code_is_shown_once_and_sets_a_new_pin(site: Site, settings: Settings) -> None:
    holder = create_card(site, pin=None)
    browser = site.signed_in("enterprise")
    answer = browser.submit(path(holder, "code"), reason="Forgot it")
    code = given_code(answer.text)
    assert "29 Nov 2026 17:30" in words(answer.text)
    assert answer.headers["Cache-Control"] == "no-store"
    assert details(site, holder).code_until == NOW + CODE_LASTS
    assert events(site, holder) == [("pin_code", "Lin Wei", "Forgot it")]
    for page in (path(holder), path(holder, "code"), "/"):
        assert code not in browser.get(page).text
    proof = code_proof(settings, holder, code)
    (outcome,) = post(site, create_pin_change(site.house, holder, pin=None, code_proof=proof))
    assert outcome.code == 0
    page = words(browser.get(path(holder)).text)
    assert "PIN changed at a terminal Member with a one-time code" in page
    whose = Whose(site.house.enterprise, "operator")
    (line,) = site.change(lambda connection: search(connection, Asked(), whose, limit=1).lines)
    assert line.kind == "pin_change"


def test_the_code_itself_is_nowhere_in_the_database_and_not_in_the_cookie(site: Site) -> None:
    holder = create_card(site)
    browser = site.signed_in("enterprise")
    answer = browser.submit(path(holder, "code"))
    code = given_code(answer.text)
    assert code not in str(answer.headers)
    tables = [name for (name,) in site.ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    for table in set(tables) - {"alembic_version"}:
        rows = site.ask(f'SELECT t::text FROM "{table}" t')
        assert not [row for (row,) in rows if code in row], table
    assert site.ask("SELECT count(*) FROM card WHERE pin_code IS NOT NULL") == [(1,)]


def test_a_second_code_makes_the_first_worthless(site: Site, settings: Settings) -> None:
    holder = create_card(site)
    browser = site.signed_in("enterprise")
    first = given_code(browser.submit(path(holder, "code")).text)
    site.clock.advance(timedelta(seconds=1))
    assert "An earlier code is worth nothing from then on." in browser.get(path(holder, "code")).text
    second = given_code(browser.submit(path(holder, "code")).text)
    assert first != second
    codes = []
    for code in (first, second):
        proof = code_proof(settings, holder, code)
        codes += post(site, create_pin_change(site.house, holder, pin=None, code_proof=proof))
    assert [outcome.code for outcome in codes] == [3022, 0]


def test_the_code_comes_from_the_random_bytes_that_the_site_is_given(site: Site, settings: Settings) -> None:
    holder = create_card(site)
    app = create_app(
        settings,
        site.database,
        clock=site.clock,
        random_bytes=lambda size: (10**9 + 42).to_bytes(size, "big"),
    )
    browser = Browser(app, "en")
    browser.log_in("enterprise")
    assert given_code(browser.submit(path(holder, "code")).text) == "00000042"


def test_an_expired_card_gets_no_code(site: Site) -> None:
    holder = create_card(site, card_expires_on=TODAY - timedelta(days=1))
    browser = site.signed_in("enterprise")
    answer = browser.get(path(holder, "code"))
    assert answer.status_code == 409
    assert "The card has expired: it gets no PIN code." in answer.text
