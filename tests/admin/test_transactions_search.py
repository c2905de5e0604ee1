"""Searching among transactions, the page of one, and lists as files."""

import csv
import io
import re
from dataclasses import dataclass

import pytest
from openpyxl import load_workbook

from ledger import books
from tests.admin.browsing import Browser, words
from tests.admin.conftest import Site
from tests.factories import Holder, create_holder, create_redeem, create_refund, create_reversal


@dataclass
class Shop:
    site: Site
    holder: Holder
    browsers: dict[str, Browser]

    def ids(self, path: str, login: str = "operator") -> list[int]:
        answer = self.browsers[login].get(path)
        assert answer.status_code == 200, path
        return [int(number) for number in re.findall(r'<tr role="row" data-id="(\d+)"', answer.text)]


@pytest.fixture(scope="module")
def shop(shared_site: Site) -> Shop:
    """Three sales of ours, one refused, one refunded in part; a stranger's sale; ids from 2 upwards."""
    site = shared_site
    holder = site.change(lambda connection: create_holder(connection, site.house, points=1_000))
    stranger = site.change(lambda connection: create_holder(connection, site.other))
    sale, second = create_redeem(site.house, holder), create_redeem(site.house, holder)
    for request in (
        sale, second, create_redeem(site.house, holder, quantity=50), create_refund(sale, 50),
        create_reversal(second), create_redeem(site.other, stranger),
    ):  # fmt: skip
        site.change(lambda connection, request=request: books.post(connection, [request], site.clock.now))  # type: ignore[misc]
    return Shop(
        site, holder, {login: site.signed_in(login) for login in ("operator", "enterprise", "merchant")}
    )


def test_every_field_finds_and_stands_in_the_address(shop: Shop) -> None:
    house, card = shop.site.house, shop.holder.card.number
    ((sale, txid, member, terminal),) = shop.site.ask(
        "SELECT t.id, t.txid, m.code, d.name FROM transaction t JOIN account a ON a.id = t.account_id"
        " JOIN member m ON m.id = a.member_id JOIN terminal d ON d.id = t.terminal_id"
        " WHERE t.kind = 'redeem' ORDER BY t.id LIMIT 1"
    )
    everything = shop.ids("/transactions")
    ours = [each for each in everything if each not in (everything[0], everything[-1], everything[-2])]
    for query, found in {
        f"no={sale}": [sale],
        f"txid={txid}": [sale],
        f"card={card}": ours,
        f"merchant={house.merchant}": ours,
        f"store=Store&merchant={house.merchant}": None,
        f"terminal={terminal}": ours,
        f"terminal=%23{house.terminal}&kind=refund": ours[1:2],
        "kind=reversal": ours[:1],
        "outcome=refused": ours[2:3],
        "points_from=121": everything[-2:],
        "since=2026-11-22&until=2026-11-22&service=wash": everything[:-2],
        "posted_from=2026-11-22T17:30&posted_to=2026-11-22T17:30": everything,
        "posted_to=2026-11-22T17:29": [],
        "reference=none": [],
    }.items():
        path = f"/transactions?{query}"
        if found is None:
            assert shop.browsers["operator"].get(path).status_code == 422
        else:
            assert shop.ids(path) == found, query
    assert shop.ids(f"/transactions?member={member}", "enterprise")[:5] == ours
    page = shop.browsers["operator"].get("/transactions?kind=refund&outcome=approved").text
    assert 'href="/transactions?outcome=approved"><span class="sub">Kind</span> Refund' in page
    assert "live.js" not in page


def test_what_makes_no_sense_is_said_beside_its_field(shop: Shop) -> None:
    for query, said in {
        "no=x": "Type a whole number.",
        "no=9223372036854775808": "Type a whole number.",
        "txid=1": "This is not a txid",
        "card=12": "Type the 16 digits",
        "card=8600000000000000": "There is no such card.",
        "member=nobody": "There is no member with this code.",
        "merchant=none%00": "Nothing is called like this.",
        "merchant=Merchant": "Several are called like this: Merchant",
        "kind=theft": "Choose one of the list.",
        "since=2026-02-30": "Type a date such as",
        "since=2026-02-03&until=2026-02-01": "This is before where it begins.",
        "posted_from=soon": "Type a date and a time",
        "points_from=１": "Type a whole number.",
        "batch=1": "Name the terminal, too",
    }.items():
        answer = shop.browsers["operator"].get(f"/transactions?{query}")
        assert answer.status_code == 422, query
        feedback = " ".join(re.findall(r'<div class="invalid-feedback[^"]*">(.*?)</div>', answer.text))
        assert said in feedback, query
    assert 'value="2026-02-30"' in shop.browsers["operator"].get("/transactions?since=2026-02-30").text


def test_nobody_searches_by_what_is_not_theirs_to_know(shop: Shop) -> None:
    card, merchant = shop.holder.card.number, shop.browsers["merchant"]
    form = merchant.get("/transactions").text
    assert 'name="member"' not in form
    assert 'name="enterprise"' not in form
    assert 'name="terminal"' not in shop.browsers["enterprise"].get("/transactions").text
    # A whole number is for a merchant no more than the digits that it sees anyhow.
    assert shop.ids(f"/transactions?card={card}", "merchant") == shop.ids("/transactions", "merchant")
    assert shop.ids(f"/transactions?merchant={shop.site.other.merchant}", "enterprise") == []


def test_one_transaction_with_all_that_belongs_to_it(shop: Shop) -> None:
    operator = shop.browsers["operator"]
    ((sale, refund),) = shop.site.ask("SELECT refunds, id FROM transaction WHERE kind = 'refund'")
    page = words(operator.get(f"/transactions/{sale}").text)
    for said in (
        "Partly refunded 50 of 120", "Member → Merchant 120", "Granted", "Not yet settled", "Enterprise",
        "¥20.00", "0 · Approved", "120 points", f"{refund:06d}",
    ):  # fmt: skip
        assert said in page, said
    assert "20.00" not in words(shop.browsers["enterprise"].get(f"/transactions/{sale}").text)
    seen = shop.browsers["merchant"].get(f"/transactions/{sale}").text
    assert "20.00" in seen
    assert shop.holder.card.number not in seen
    assert "/cards/" not in seen


def test_foreign_and_unknown_transactions_are_not_found_and_leave_a_line(shop: Shop) -> None:
    ((foreign,),) = shop.site.ask("SELECT max(id) FROM transaction")
    before = shop.site.ask("SELECT count(*) FROM trail_line WHERE what = 'missing'")[0][0]
    for login in ("enterprise", "merchant"):
        assert shop.browsers[login].get(f"/transactions/{foreign}").status_code == 404
    assert shop.browsers["operator"].get("/transactions/9223372036854775806").status_code == 404
    assert shop.site.ask("SELECT count(*) FROM trail_line WHERE what = 'missing'")[0][0] == before + 3


def test_a_list_is_a_file_with_the_same_filters(shop: Shop) -> None:
    ids = shop.ids("/transactions?kind=redeem", "merchant")
    sent = shop.browsers["merchant"].get("/transactions/file.csv?kind=redeem")
    lines = list(csv.reader(io.StringIO(sent.data.decode("utf-8-sig"))))
    assert [int(line[0]) for line in lines[1:]] == ids
    assert lines[0][-2:] == ["Settlement, in minor units", "Currency"]
    book = load_workbook(io.BytesIO(shop.browsers["enterprise"].get("/transactions/file.xlsx").data))
    sheet = list(book.active.iter_rows(values_only=True))
    assert [row[0] for row in sheet[1:]] == shop.ids("/transactions", "enterprise")
    assert "Currency" not in sheet[0]
    for bad in ("file.pdf", "file.csv?kind=theft"):
        assert shop.browsers["operator"].get(f"/transactions/{bad}").status_code == 404


def test_a_search_that_ends_early_says_how_far_it_came(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.transaction_lists.SCAN", 2)
    page = shop.browsers["operator"].get("/transactions?points_from=1000").text
    on = re.search(r'Searched back to .*?<a href="([^"]+)"', page, re.DOTALL)
    assert on
    assert re.search(r"points_from=1000&amp;before=\d+", on[1])
    assert 'id="empty" hidden' in page
