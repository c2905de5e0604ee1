"""The pages of the audit trail."""

import csv
import io
import re
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import Connection

from ledger.trail import Actor, record
from tests.admin.browsing import Browser, words
from tests.admin.conftest import Site
from tests.conftest import TestDatabase
from tests.factories import NOW


@pytest.fixture(scope="module")
def told(shared_site: Site) -> Site:
    """Sixty lines in our enterprise's trail, one in the other's, and one that wants to be a formula."""

    def tell(connection: Connection) -> None:
        ours, theirs = shared_site.house.enterprise, shared_site.other.enterprise
        for number in range(60):
            record(
                connection, Actor(None, "Zhang San", f"10.0.0.{number % 2}"),
                "member.create" if number % 3 else "role.change", tenant=ours, kind="member", id=number,
                before={"name": "before"}, after={"name": f"<after {number}>"},
                now=NOW - timedelta(days=60 - number),
            )  # fmt: skip
        record(
            connection,
            Actor(None, "=1+1"),
            "card.issue",
            tenant=theirs,
            kind="card",
            id=1,
            now=NOW,
        )

    shared_site.change(tell)
    return shared_site


@pytest.fixture(scope="module")
def clerk(told: Site) -> Browser:
    return told.signed_in("enterprise")


@pytest.fixture(scope="module")
def boss(told: Site) -> Browser:
    return told.signed_in("operator")


def numbers(page: str) -> list[int]:
    return [int(each) for each in re.findall(r'<a class="go" href="/trail/(\d+)', page)]


def test_the_newest_stand_first_and_older_ones_are_a_click_away(clerk: Browser) -> None:
    page = clerk.get("/trail").text
    shown = numbers(page)
    assert shown == sorted(shown, reverse=True)
    assert len(shown) == 50
    older = re.search(r'rel="next" href="(/trail\?[^"]+)"', page)
    assert older
    rest = numbers(clerk.get(older[1].replace("&amp;", "&")).text)
    assert rest
    assert max(rest) == min(shown) - 1
    assert min(rest) == 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("who=Zhang+San&kind=member&id=7", [8]),
        ("what=role.change&address=10.0.0.0&from=2026-09-23&to=2026-09-30", [7, 1]),
        ("from=2026-11-20&to=2026-11-20", [59]),
        ("who=nobody", []),
        ("address=192.168.0.1", []),
    ],
)
def test_it_is_searched_and_the_address_remembers_what_for(
    clerk: Browser, query: str, found: list[int]
) -> None:
    page = clerk.get(f"/trail?{query}").text
    assert numbers(page) == found
    for part in query.split("&"):
        name, _is, value = part.partition("=")
        value = value.replace("+", " ")
        assert re.search(rf'name="{name}" value="{value}"|value="{value}" selected', page) or not found


def test_a_day_that_is_none_is_said_beside_its_field(clerk: Browser) -> None:
    page = clerk.get("/trail?from=yesterday&who=Lin").text
    assert "Give a day such as 2026-11-22." in page
    assert 'value="yesterday"' in page
    assert 'value="Lin"' in page
    assert "The last day is before the first." in clerk.get("/trail?from=2026-02-02&to=2026-02-01").text
    for query in ("who=%00", "before=x", f"before={10**18}", "to=9999-12-31", "id=" + "9" * 400):
        assert clerk.get(f"/trail?{query}").status_code == 200


def test_a_line_shows_before_and_after_side_by_side(clerk: Browser) -> None:
    page = clerk.get("/trail/8").text
    assert "Member: created" in page
    assert "Name before &lt;after 7&gt;" in re.sub(r"\s+", " ", re.sub(r"</?t[dr][^>]*>", " ", page))
    assert 'href="/trail?kind=member&amp;id=7"' in page


def test_a_foreign_trail_is_no_page_but_the_operators_to_choose(
    told: Site, clerk: Browser, boss: Browser
) -> None:
    ours, theirs = told.house.enterprise, told.other.enterprise
    for path in (f"/trail?tenant={theirs}", f"/trail/1?tenant={theirs}", f"/trail/verify?tenant={theirs}"):
        assert clerk.get(path).status_code == 404
        assert words(boss.get(path).text)
    assert clerk.get(f"/trail/export.csv?tenant={theirs}").status_code == 404
    assert clerk.get("/trail/99999").status_code == 404
    assert "Asked for what is not there or not theirs" in clerk.get("/trail?what=missing").text
    page = boss.get(f"/trail?tenant={ours}&kind=member").text
    assert len(numbers(page.replace(f"?tenant={ours}", ""))) == 50
    assert f'value="{ours}" selected' in page
    assert f'value="{told.other.merchant}"' in page


def test_the_list_goes_out_as_a_file_without_formulas(told: Site, clerk: Browser, boss: Browser) -> None:
    answer = clerk.get("/trail/export.csv?kind=member&what=member.create")
    rows = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert [int(row[0]) for row in rows[1:]] == [n + 1 for n in range(59, -1, -1) if n % 3]
    assert rows[1][9] == '{"name":"<after 59>"}'
    formula = boss.get(f"/trail/export.csv?tenant={told.other.enterprise}").data.decode("utf-8-sig")
    assert "'=1+1" in formula
    assert boss.get(f"/trail/export.xlsx?tenant={told.other.enterprise}").data[:2] == b"PK"
    assert clerk.get("/trail/export.pdf").status_code == 404


def test_verifying_says_that_it_holds_or_where_it_breaks(
    told: Site, clerk: Browser, module_database_urls: TestDatabase
) -> None:
    assert "and the trail ends where it should." in clerk.get("/trail/verify").text
    with psycopg.connect(module_database_urls.owner) as owner:
        owner.execute("ALTER TABLE trail_line DISABLE ROW LEVEL SECURITY")
        owner.execute(
            "UPDATE trail_line SET staff_name = 'Li Si' WHERE tenant_id = %s AND number = 20",
            [told.house.enterprise],
        )
        owner.execute("ALTER TABLE trail_line ENABLE ROW LEVEL SECURITY")
    broken = clerk.get("/trail/verify").text
    assert "The chain is broken at line 20: the line was changed." in broken
    chinese = told.signed_in("enterprise", language="zh").get("/trail/verify").text
    assert "20" in words(chinese)
    assert "broken" not in words(chinese)
