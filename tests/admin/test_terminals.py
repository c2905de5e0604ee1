"""Terminals: the list, one of them, new ones, and what ends one."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from admin.terminals import LISTED_MOST, NAME_MOST
from ledger import logins, organisations, terminals
from ledger.database import Database, Scope
from ledger.enrolments import open_until
from ledger.reconciliation import BatchTotal, Item, compare, reconcile
from ledger.terminal_lists import TerminalLine, find_terminal
from protocol.credentials import EnrolmentCode, parse_enrolment_code
from tests.admin.browsing import Browser, words
from tests.admin.conftest import Site
from tests.conftest import TestDatabase
from tests.factories import NOW, new_txid


@pytest.fixture
def server(database_urls: TestDatabase) -> Iterator[Database]:
    """The database as the transaction server sees it: it alone ends batches."""
    database = Database(database_urls.server, pool_size=1)
    yield database
    database.close()


def line_of(site: Site, terminal: int) -> TerminalLine:
    line = site.change(lambda connection: find_terminal(connection, terminal))
    assert line is not None
    return line


def create_waiting(site: Site, name: str = "Till 9") -> int:
    return site.change(
        lambda connection: terminals.create_terminal(
            connection, store=site.house.store, kind="counter", name=name
        )
    )


def shown_code(page: str) -> EnrolmentCode:
    found = re.search(r"<textarea[^>]*>(\w+)</textarea>", page)
    assert found, "the page shows no code"
    return parse_enrolment_code(found[1])


def enrols(site: Site, code: EnrolmentCode, key: bytes | None = None) -> bool:
    """Whether a device may enrol with a code, now."""

    def act(connection: Connection) -> bool:
        seat = terminals.enrol(
            connection,
            enrolment_id=code.enrolment.id,
            public_key=key or os.urandom(32),
            model="V200t",
            software="1.0",
            now=site.clock.now,
        )
        return seat is not None

    return site.change(act)


# ---- the list ----------------------------------------------------------------------------------------


def test_the_list_shows_how_each_terminal_stands(site: Site) -> None:
    create_waiting(site, "Till 9")
    page = words(site.signed_in("merchant").get("/terminals").text)
    line = line_of(site, site.house.terminal)
    assert f"{line.name} test 0 Store 1 Active – 17:30 – today –" in page
    assert "Till 9 Counter Store 1 Waiting – – – – –" in page
    assert "All 2 Active 1 Waiting 1 Revoked 0" in page


def test_the_operator_sees_whose_each_terminal_is_and_a_merchant_only_its_own(site: Site) -> None:
    ours, other = line_of(site, site.house.terminal), line_of(site, site.other.terminal)
    everyone = words(site.signed_in("operator").get("/terminals").text)
    assert f"{ours.name} test 0 {ours.merchant} Store 1" in everyone
    assert f"{other.name} test 0 {other.merchant} Store 1" in everyone
    own = site.signed_in("merchant").get("/terminals").text
    assert ours.name in own
    assert other.name not in own
    assert "All 1" in words(own)


def test_a_clock_that_is_off_and_a_batch_that_differs_stand_out(site: Site, server: Database) -> None:
    with server.transaction(Scope.everything()) as connection:
        key = os.urandom(32)
        give = "UPDATE terminal SET public_key = :key WHERE id = :id RETURNING id"
        site.ask(give, key=key, id=site.house.terminal)
        logins.login(connection, public_key=key, software="2", now=NOW, terminal_at=NOW - timedelta(days=2))
        reconcile(connection, site.house.terminal, 7, [BatchTotal("redeem", 1, 9)], txid=new_txid(), now=NOW)
    site.clock.advance(timedelta(days=20))
    page = site.signed_in("merchant").get("/terminals").text
    assert "22 Nov 17:30 2 d behind 20 days 7 Differs" in words(page)
    assert 'class="clock off"' in page


def test_terminals_are_found_by_words_and_by_status(site: Site) -> None:
    waiting = create_waiting(site, "Gate 100%")
    browser = site.signed_in("operator")
    assert "Gate 100%" in browser.get("/terminals?q=gate").text
    assert "No terminal found" in browser.get("/terminals?q=nowhere").text
    assert "No terminal found" in browser.get("/terminals?status=revoked").text
    page = browser.get("/terminals?status=created&q=100%25").text
    assert f'href="/terminals/{waiting}"' in page
    assert 'href="/terminals?q=100%25&amp;status=created" aria-current="true"' in page
    assert browser.get("/terminals?status=broken").status_code == 404
    assert browser.get("/terminals?q=%00").status_code == 200


def test_more_than_a_list_holds_is_said(site: Site) -> None:
    site.change(
        lambda connection: [
            terminals.create_terminal(connection, store=site.house.store, kind="pos", name=f"T{number}")
            for number in range(LISTED_MOST)
        ]
    )
    page = site.signed_in("merchant").get("/terminals").text
    assert page.count('class="go"') == LISTED_MOST
    following = re.search(r'href="(/terminals\?after=\d+)">More', page)
    assert following
    rest = site.signed_in("merchant").get(following[1]).text
    assert rest.count('class="go"') == 1
    shown = re.findall(r'class="go" href="([^"]+)"', page + rest)
    assert len(set(shown)) == LISTED_MOST + 1


# ---- one terminal ------------------------------------------------------------------------------------


def test_the_page_shows_both_sides_of_a_batch_and_names_each_difference(site: Site, server: Database) -> None:
    terminal = site.house.terminal
    lost, unknown = new_txid(), new_txid()
    with server.transaction(Scope.everything()) as connection:
        totals = [BatchTotal("redeem", 2, 420)]
        reconcile(connection, terminal, 1, [], txid=new_txid(), now=NOW)
        reconcile(connection, terminal, 2, totals, txid=new_txid(), now=NOW + timedelta(hours=1))
        items = [Item(lost, "redeem", 120, "approved"), Item(unknown, "capture", 300, "reversed")]
        items.sort(key=lambda item: item.txid.bytes)
        compare(connection, terminal, 2, items, after=None, last=True, now=NOW, most=9)
    page = words(site.signed_in("merchant").get(f"/terminals/{terminal}").text)
    assert "Batch 2 business date 22 Nov 2026 · 22 Nov 2026 18:30 Differs" in page
    assert "Redeem 2 × 420 0 × 0 ≠ differs" in page
    assert re.search(rf"Unknown here .*Redeem Approved, 120 not here {lost}", page)
    assert re.search(rf"Capture Reversed, 300 not here {unknown}", page)
    assert "Batch 1 business date 22 Nov 2026 · 22 Nov 2026 17:30 Balanced" in page
    assert "Nothing happened in this batch." in page


def test_one_that_ended_no_day_says_so(site: Site) -> None:
    page = site.signed_in("operator").get(f"/terminals/{site.house.terminal}").text
    assert "No batch yet" in page


def test_a_foreign_or_unknown_terminal_is_no_page(site: Site) -> None:
    browser = site.signed_in("merchant")
    for terminal in (site.other.terminal, 0, 10**9, 2**63 - 1, 2**63, "x", -1):
        assert browser.get(f"/terminals/{terminal}").status_code == 404
        assert browser.get(f"/terminals/{terminal}/revoke").status_code == 404
        assert browser.post(f"/terminals/{terminal}/revoke", {"mark": "00"}).status_code == 404
    assert line_of(site, site.other.terminal).status == "active"
    assert browser.get(f"/terminals/{site.house.terminal}/explode").status_code == 404


def test_the_page_is_chinese_for_who_reads_chinese(site: Site) -> None:
    page = words(site.signed_in("operator", language="zh").get(f"/terminals/{site.house.terminal}").text)
    assert "状态 正常" in page
    assert "发放登记码 要求更换密钥 停用" in page


# ---- new ones ----------------------------------------------------------------------------------------


def new_terminal(browser: Browser, site: Site, **typed: str) -> dict[str, str]:
    return (
        browser.hidden("/terminals/new")
        | {"store": str(site.house.store), "kind": "pos", "name": "POS 7"}
        | typed
    )


@pytest.mark.parametrize("login", ["operator", "merchant"])
def test_a_new_terminal_comes_with_a_code_that_lets_one_device_in(site: Site, login: str) -> None:
    browser = site.signed_in(login)
    answer = browser.post("/terminals/new", new_terminal(browser, site, name="  Till 5 ", kind="phone"))
    assert answer.status_code == 200
    code = shown_code(answer.text)
    (made,) = site.ask("SELECT id, status, kind, store_id FROM terminal WHERE name = 'Till 5'")
    assert made[1:] == ("created", "phone", site.house.store)
    assert "good until 29 Nov 2026 17:30" in words(answer.text)
    assert (code.host, code.port) == ("127.0.0.1", 7171)
    assert enrols(site, code)
    assert not enrols(site, code)
    assert line_of(site, made[0]).status == "active"


def test_the_code_is_shown_once_as_text_and_as_qr(site: Site) -> None:
    browser = site.signed_in("merchant")
    answer = browser.post("/terminals/new", new_terminal(browser, site))
    code = re.search(r"TSRE1\w+", answer.text)
    assert code
    assert answer.text.count(code[0]) == 1
    assert re.search(r'<svg[^>]* viewBox="0 0 \d+ \d+"[^>]* class="qr"', answer.text)
    assert " style=" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    (terminal,) = site.ask("SELECT id FROM terminal WHERE name = 'POS 7'")
    for path in ("/terminals", f"/terminals/{terminal[0]}", f"/terminals/{terminal[0]}/code"):
        assert "TSRE1" not in browser.get(path).text
    assert "outstanding until 29 Nov 2026 17:30" in browser.get(f"/terminals/{terminal[0]}").text


def test_a_form_that_is_sent_twice_makes_one_terminal(site: Site) -> None:
    browser = site.signed_in("merchant")
    form = new_terminal(browser, site)
    assert browser.post("/terminals/new", form).status_code == 200
    again = browser.post("/terminals/new", form | {"name": "Another"})
    assert (again.status_code, again.location) == (303, "/terminals")
    assert "nothing was made twice" in browser.get("/terminals").text
    assert site.ask("SELECT name FROM terminal WHERE status = 'created'") == [("POS 7",)]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"name": " "}, "Give it a name, such as POS 3."),
        ({"name": "x" * (NAME_MOST + 1)}, f"Type at most {NAME_MOST} characters."),
        ({"name": "a\x00b"}, "Type it in one line"),
        ({"kind": "office"}, "Not a valid choice"),
        ({"store": "x"}, "Invalid Choice"),
        ({"store": "0"}, "Not a valid choice"),
    ],
)
def test_wrong_input_is_said_beside_the_field_and_nothing_is_lost(
    site: Site, typed: dict[str, str], said: str
) -> None:
    browser = site.signed_in("merchant")
    answer = browser.post("/terminals/new", new_terminal(browser, site) | {"name": "Kept"} | typed)
    assert answer.status_code == 200
    assert said in answer.text
    assert 'value="Kept"' in answer.text or "name" in typed
    assert site.ask("SELECT count(*) FROM terminal WHERE status = 'created'") == [(0,)]


def test_a_merchant_makes_none_in_anothers_store(site: Site) -> None:
    browser = site.signed_in("merchant")
    assert f'value="{site.other.store}"' not in browser.get("/terminals/new").text
    answer = browser.post("/terminals/new", new_terminal(browser, site, store=str(site.other.store)))
    assert answer.status_code == 404
    (line,) = site.ask("SELECT tenant_id, subject_id FROM trail_line WHERE what = 'missing'")
    assert line == (site.house.merchant, f"store {site.other.store}")
    assert site.ask("SELECT count(*) FROM terminal WHERE status = 'created'") == [(0,)]


def test_a_form_without_its_token_or_with_a_mark_that_is_not_ours_makes_nothing(site: Site) -> None:
    browser = site.signed_in("merchant")
    form = new_terminal(browser, site)
    assert browser.post("/terminals/new", form, token="").status_code == 400
    for mark in ("", "xyz", "00", "00" * 17):
        assert browser.post("/terminals/new", form | {"mark": mark}).status_code == 400
    assert site.ask("SELECT count(*) FROM terminal WHERE status = 'created'") == [(0,)]


def test_one_in_the_place_of_a_revoked_one_has_its_store_kind_and_name_ready(site: Site) -> None:
    gone = create_waiting(site, "Till 9")
    site.change(lambda connection: terminals.revoke(connection, gone))
    browser = site.signed_in("merchant")
    assert f'href="/terminals/new?like={gone}"' in browser.get(f"/terminals/{gone}").text
    form = browser.get(f"/terminals/new?like={gone}").text
    assert "In the place of Till 9" in form
    assert 'value="Till 9"' in form
    assert '<option selected value="counter">' in form
    for like in (site.other.terminal, 10**30, "x", -1):
        assert "In the place of" not in browser.get(f"/terminals/new?like={like}").text


def test_without_an_open_store_there_is_no_form(site: Site) -> None:
    site.change(lambda connection: organisations.set_status(connection, site.house.store, "closed"))
    page = site.signed_in("merchant").get("/terminals/new").text
    assert "There is no open store yet" in page
    assert 'name="store"' not in page


# ---- steps -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["operator", "merchant"])
def test_a_revoked_terminal_is_out_for_good(site: Site, login: str) -> None:
    terminal, path = site.house.terminal, f"/terminals/{site.house.terminal}"
    browser = site.signed_in(login)
    assert "This cannot be taken back." in browser.get(f"{path}/revoke").text
    serial = site.ask("SELECT serial FROM terminal WHERE id = :id", id=terminal)[0][0]
    answer = browser.submit(f"{path}/revoke")
    assert (answer.status_code, answer.location) == (303, path)
    assert line_of(site, terminal).status == "revoked"
    assert site.ask("SELECT serial FROM terminal WHERE id = :id", id=terminal) == [(serial + 1,)]
    page = browser.get(path).text
    assert "The terminal is revoked." in page
    assert f'href="{path}/revoke"' not in page
    for step in ("revoke", "code", "key"):
        for refused in (browser.get(f"{path}/{step}"), browser.post(f"{path}/{step}", {"mark": "00" * 16})):
            assert refused.status_code == 409
            assert "The terminal is revoked, for good." in refused.text
    assert site.ask("SELECT serial FROM terminal WHERE id = :id", id=terminal) == [(serial + 1,)]


def test_a_revocation_without_its_token_does_nothing(site: Site) -> None:
    browser = site.signed_in("merchant")
    assert browser.post(f"/terminals/{site.house.terminal}/revoke", {}, token="").status_code == 400
    assert line_of(site, site.house.terminal).status == "active"


def test_a_terminal_is_asked_for_a_new_key_once(site: Site) -> None:
    path = f"/terminals/{site.house.terminal}"
    browser = site.signed_in("merchant")
    form = browser.hidden(f"{path}/key")
    assert browser.post(f"{path}/key", form).status_code == 303
    assert line_of(site, site.house.terminal).key_change_asked
    page = words(browser.get(path).text)
    assert "New key Asked for" in page
    assert "Ask for a new key" not in page
    again = browser.post(f"{path}/key", form)
    assert again.status_code == 409
    assert "being asked for a new key already" in again.text
    waiting = create_waiting(site)
    refused = browser.get(f"/terminals/{waiting}/key")
    assert refused.status_code == 409
    assert "No device has enrolled as this terminal yet" in refused.text


def test_a_new_code_lets_another_device_take_the_place_and_shuts_the_present_one_out(site: Site) -> None:
    path, key = f"/terminals/{site.house.terminal}", os.urandom(32)
    browser = site.signed_in("merchant")
    assert "the present one is shut out then" in browser.get(f"{path}/code").text
    code = shown_code(browser.submit(f"{path}/code").text)
    assert enrols(site, code, key)
    assert site.ask("SELECT public_key FROM terminal WHERE id = :id", id=site.house.terminal) == [(key,)]


def test_a_new_code_makes_the_one_before_worthless(site: Site) -> None:
    waiting = create_waiting(site)
    browser = site.signed_in("merchant")
    first = shown_code(browser.submit(f"/terminals/{waiting}/code").text)
    second = shown_code(browser.submit(f"/terminals/{waiting}/code").text)
    assert [enrols(site, first), enrols(site, second)] == [False, True]


def test_a_form_for_a_code_that_is_sent_twice_gives_one(site: Site) -> None:
    waiting = create_waiting(site)
    browser = site.signed_in("merchant")
    form = browser.hidden(f"/terminals/{waiting}/code")
    code = shown_code(browser.post(f"/terminals/{waiting}/code", form).text)
    again = browser.post(f"/terminals/{waiting}/code", form)
    assert again.status_code == 409
    assert "its code was shown then" in again.text
    assert "TSRE1" not in again.text
    until = site.change(lambda connection: open_until(connection, waiting, NOW))
    assert until == NOW + timedelta(days=7)
    assert enrols(site, code)


def test_a_code_ends_after_a_week(site: Site) -> None:
    waiting = create_waiting(site)
    code = shown_code(site.signed_in("merchant").submit(f"/terminals/{waiting}/code").text)
    site.clock.advance(timedelta(days=7))
    assert not enrols(site, code)
    assert "outstanding" not in site.signed_in("merchant").get(f"/terminals/{waiting}").text
