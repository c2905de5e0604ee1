"""The first page: figures, charts, what waits, and finding things by their number."""

import re
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest

from ledger import books, businessday
from ledger.permissions import READY_MADE
from tests.admin.browsing import Browser, words
from tests.admin.conftest import Site
from tests.conftest import TestDatabase
from tests.factories import TODAY, Holder, create_holder, create_redeem


@dataclass
class Home:
    site: Site
    holder: Holder
    browsers: dict[str, Browser]


@pytest.fixture(scope="module")
def home(shared_site: Site) -> Home:
    """A sale and a refusal on each of two days, the second of which is open."""
    site = shared_site
    holder = site.change(lambda connection: create_holder(connection, site.house, points=1_000))
    for days in (0, 1):
        day, now = TODAY + timedelta(days=days), site.clock.now
        site.change(lambda connection, day=day, now=now: businessday.advance(connection, day, now))  # type: ignore[misc]
        for quantity in (None, 50):
            sale = create_redeem(site.house, holder, quantity=quantity)
            site.change(lambda connection, sale=sale, now=now: books.post(connection, [sale], now))  # type: ignore[misc]
    return Home(
        site, holder, {login: site.signed_in(login) for login in ("operator", "enterprise", "merchant")}
    )


def test_each_kind_of_tenant_sees_its_own_figures(home: Home) -> None:
    for login, said in {
        "operator": ["Points redeemed today 120", "Points granted today 0",
                     "Transactions today 2 50.0% refused", "Terminals in use today 1",
                     "Granted 1,000", "Redeemed 240", "Top merchants"],
        "enterprise": ["Points redeemed today 120", "Refused today 1 of 2", "Granted 1,000"],
        "merchant": ["Points redeemed today 120", "Terminals in use today 1", "Top services Wash 240"],
    }.items():  # fmt: skip
        page = words(home.browsers[login].get("/").text)
        for each in said:
            assert each in page, (login, each)
    assert "Granted" not in words(home.browsers["merchant"].get("/").text)
    assert "Show as table" in words(home.browsers["operator"].get("/?days=7").text)
    assert 'href="/?days=90" aria-current="true"' in home.browsers["operator"].get("/?days=90").text
    assert home.browsers["operator"].get("/?days=x").status_code == 200


def test_whoever_may_see_nothing_is_welcome_all_the_same(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(READY_MADE["operator"], "administrator", frozenset())
    page = home.browsers["operator"].get("/")
    assert page.status_code == 200
    assert "Points redeemed" not in page.text
    assert "Choose a room in the menu." in page.text


def test_what_waits_is_named_with_its_page(home: Home, module_database_urls: TestDatabase) -> None:
    assert "Terminals whose last batch differs" not in home.browsers["merchant"].get("/").text
    with psycopg.connect(module_database_urls.server) as server:
        server.execute(
            "INSERT INTO terminal_batch (terminal_id, batch, tenant_id, txid, code, business_date,"
            " reconciled_at) VALUES (%s, 1, %s, gen_random_uuid(), 1401, %s, now())",
            (home.site.house.terminal, home.site.house.merchant, TODAY),
        )
    page = home.browsers["merchant"].get("/").text
    assert re.search(r'href="/terminals[^"]*"><span><span class="waits">1</span> Terminals whose', page)


def test_numbers_lead_to_their_pages(home: Home) -> None:
    ((number, txid, code),) = home.site.ask(
        "SELECT t.id, t.txid, m.code FROM transaction t JOIN account a ON a.id = t.account_id"
        " JOIN member m ON m.id = a.member_id WHERE t.kind = 'redeem' ORDER BY t.id LIMIT 1"
    )
    card = home.holder.card.number
    operator, merchant = home.browsers["operator"], home.browsers["merchant"]
    for typed, path in {
        str(number): f"/transactions/{number}",
        str(txid): f"/transactions/{number}",
        card: f"/cards/{card}",
    }.items():
        answer = operator.get(f"/find?q={typed}")
        assert (answer.status_code, answer.location) == (303, path), typed
    assert operator.get(f"/find?q={code}").location.startswith("/members/")
    for typed in (card, code, "nothing", "%00", "9" * 30):
        answer = merchant.get(f"/find?q={typed}")
        assert answer.status_code == 404
        assert "Nothing that you may see has this number." in answer.text
    assert operator.get("/find").status_code == 200
