import re
from collections.abc import Sequence

import pytest
from sqlalchemy import text

from admin.transactions import PAGE_ROWS
from ledger import books
from ledger.database import Scope
from ledger.postings import Request
from tests.admin.conftest import Site
from tests.factories import NOW, House, create_holder, create_redeem, create_reversal


def post(site: Site, requests: Sequence[Request]) -> None:
    with site.database.transaction(Scope.everything()) as connection:
        books.post(connection, requests, NOW)


def create_debits(site: Site, house: House, count: int) -> None:
    """`count` redemptions of 120 points, after the grant that makes them possible."""
    with site.database.transaction(Scope.everything()) as connection:
        holder = create_holder(connection, house, points=120 * count)
    post(site, [create_redeem(house, holder) for _ in range(count)])


def rows(page: str) -> list[str]:
    """The text of each row of the list, cells separated by |."""
    found = re.findall(r'<tr role="row" data-id="\d+">(.*?)</tr>', page, re.DOTALL)
    return ["|".join(re.sub(r"<[^>]+>", "", cell).strip() for cell in row.split("</td>")) for row in found]


def test_without_transactions_the_page_says_what_to_do(site: Site) -> None:
    page = site.signed_in("operator").get("/transactions").text
    assert not rows(page)
    assert "Spend some points at a terminal" in page
    assert 'id="list" hidden' in page


def test_a_debit_is_shown_with_all_that_belongs_to_it(site: Site) -> None:
    with site.database.transaction(Scope.everything()) as connection:
        holder = create_holder(connection, site.house, points=12_345)
        terminal, merchant = connection.execute(
            text(
                "SELECT t.name, m.name FROM terminal t JOIN organisation m ON m.id = t.tenant_id"
                " WHERE t.id = :id"
            ),
            {"id": site.house.terminal},
        ).one()
    post(site, [create_redeem(site.house, holder)])
    debit, grant = rows(site.signed_in("operator").get("/transactions").text)
    tail = holder.card.number[-4:]
    cells = [
        "17:30:00 22 Nov",
        "000003",
        f"{merchant} Store 1",
        terminal,
        f"•••• {tail}",
        "Redeem",
        "Wash",
        "−120",
        "12,225",
    ]
    assert debit == "|".join([*cells, "Approved", ""])
    assert grant.startswith("17:30:00 22 Nov|000002|–|Office|–|Grant|–|+12,345|")


def test_the_page_is_chinese_for_who_reads_chinese(site: Site) -> None:
    with site.database.transaction(Scope.everything()) as connection:
        holder = create_holder(connection, site.house, points=100)
    post(site, [create_redeem(site.house, holder)])
    page = site.signed_in("operator", language="zh-CN,zh;q=0.9").get("/transactions").text
    assert '<html lang="zh-CN">' in page
    assert "营业日 2026年11月22日" in page
    debit, grant = rows(page)
    assert debit.startswith("17:30:00 11月22日|000003|")
    assert debit.endswith("|消费|服务 wash|0|100|已拒绝 积分不足|")
    assert "|后台|–|发放|" in grant


def test_a_refusal_gives_its_reason(site: Site) -> None:
    with site.database.transaction(Scope.everything()) as connection:
        holder = create_holder(connection, site.house)
    post(site, [create_redeem(site.house, holder, pin="000000")])
    refused = rows(site.signed_in("operator").get("/transactions").text)[0]
    assert refused.endswith("|Redeem|Wash|0|–|Refused Wrong PIN|")


def test_a_reversed_debit_and_its_reversal(site: Site) -> None:
    with site.database.transaction(Scope.everything()) as connection:
        holder = create_holder(connection, site.house, points=500)
    debit = create_redeem(site.house, holder)
    post(site, [debit])
    post(site, [create_reversal(debit)])
    reversal, redeem, _grant = rows(site.signed_in("operator").get("/transactions").text)
    assert "|Reversal|" in reversal
    assert reversal.endswith("|+120|500|Approved|")
    assert redeem.endswith("|−120|380|Reversed|")


def test_a_tombstone_is_shown(site: Site) -> None:
    with site.database.transaction(Scope.everything()) as connection:
        holder = create_holder(connection, site.house, points=0)
    post(site, [create_reversal(create_redeem(site.house, holder))])
    page = rows(site.signed_in("operator").get("/transactions").text)
    assert [row for row in page if "|Void|" in row and "Refused Undone before it arrived" in row]


def test_the_segments_choose_by_outcome_and_stand_in_the_address(site: Site) -> None:
    with site.database.transaction(Scope.everything()) as connection:
        holder = create_holder(connection, site.house, points=200)
    post(site, [create_redeem(site.house, holder), create_redeem(site.house, holder)])
    browser = site.signed_in("operator")
    assert len(rows(browser.get("/transactions").text)) == 3
    approved, refused = (
        browser.get("/transactions?outcome=approved").text,
        browser.get("/transactions?outcome=refused").text,
    )
    assert len(rows(approved)) == 2
    assert len(rows(refused)) == 1
    assert 'href="/transactions?outcome=refused" aria-current="true"' in refused
    assert 'data-url="/transactions/live?outcome=refused"' in refused


@pytest.mark.parametrize(
    "query",
    ["outcome=everything", "before=x", "before=0", "before=-1", "before=9223372036854775808", "before=１"],
)
def test_an_address_that_makes_no_sense_is_no_page(site: Site, query: str) -> None:
    assert site.signed_in("operator").get(f"/transactions?{query}").status_code == 404


def test_older_transactions_are_reached_page_by_page(site: Site) -> None:
    create_debits(site, site.house, PAGE_ROWS + 4)  # and one grant
    browser = site.signed_in("operator")
    first = browser.get("/transactions").text
    assert len(rows(first)) == PAGE_ROWS
    older = re.search(r'id="older" rel="next" href="([^"]+)"', first)
    assert older
    second = browser.get(older[1].replace("&amp;", "&")).text
    assert len(rows(second)) == 5
    assert not set(rows(first)) & set(rows(second))
    assert "live.js" not in second
    assert 'id="older"' not in second
    assert "Back to the latest" in second
    assert "You have seen the first transaction" in browser.get("/transactions?before=1").text


def test_staff_see_their_own_tenant_and_nothing_else(site: Site) -> None:
    create_debits(site, site.house, 2)
    create_debits(site, site.other, 3)
    counts = {
        login: len(rows(site.signed_in(login).get("/transactions").text))
        for login in ("operator", "enterprise")
    }
    assert counts == {"operator": 7, "enterprise": 3}
    merchant = site.signed_in("merchant")
    assert len(rows(merchant.get("/transactions").text)) == 2  # a grant is not the merchant's business
    live = rows(merchant.get("/transactions/live").text)
    assert len(live) == 2
    assert all("|Redeem|" in row for row in live)


def test_the_enterprise_sees_which_shop_but_not_its_devices(site: Site) -> None:
    create_debits(site, site.house, 1)
    debit = rows(site.signed_in("enterprise").get("/transactions").text)[0]
    assert "Store 1|#" in debit
    assert "POS" not in debit


def test_the_live_list_changes_when_something_happened(site: Site) -> None:
    create_debits(site, site.house, 1)
    browser = site.signed_in("operator")
    first = browser.get("/transactions/live")
    assert rows(first.text) == rows(browser.get("/transactions").text)
    assert first.headers["X-Older"] == "0"
    mark = first.headers["ETag"]
    same = browser.get("/transactions/live", If_None_Match=mark)
    assert (same.status_code, same.data) == (304, b"")
    create_debits(site, site.other, 1)
    news = browser.get("/transactions/live", If_None_Match=mark)
    assert news.status_code == 200
    assert len(rows(news.text)) == 4
    # It changes with a reversal of an old row, too, and for another language.
    assert site.browser().get("/transactions/live").status_code == 303


def test_the_live_list_says_when_there_is_more(site: Site) -> None:
    create_debits(site, site.house, PAGE_ROWS)
    assert site.signed_in("operator").get("/transactions/live").headers["X-Older"] == "1"


def test_names_are_words_and_never_markup(site: Site) -> None:
    nasty = "<script>alert('x')</script>\"&"
    with site.database.transaction(Scope.everything()) as connection:
        for table in ("organisation", "terminal", "service", "staff"):
            connection.execute(text(f"UPDATE {table} SET name = :name"), {"name": nasty})
    create_debits(site, site.house, 1)
    browser = site.signed_in("merchant")
    for path in ("/transactions", "/transactions/live"):
        page = browser.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(&#39;x&#39;)" in page
