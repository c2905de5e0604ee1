"""Points that expire, by month and by day."""

import re
from datetime import date, timedelta

import pytest
from msgspec.structs import replace

from admin import points
from ledger import books, businessday
from ledger.database import Scope
from tests.admin.browsing import words
from tests.admin.conftest import Site
from tests.factories import NOW, TODAY, House, create_grant, create_hold, create_holder


def grant(site: Site, house: House, *given: tuple[int, date | None]) -> None:
    """A member with several lots."""

    with site.database.transaction(Scope.everything()) as connection:
        holder = create_holder(connection, house, points=0)
        for amount, day in given:
            books.post(connection, [replace(create_grant(house, holder, amount), expires_on=day)], NOW)


def bars(page: str) -> list[str]:
    return re.findall(r"<title>(.*?)</title>\s*<rect", page)


def days(page: str) -> list[str]:
    rows = page.partition('aria-labelledby="days"')[2].partition("<tbody")[2]
    return [words(row) for row in re.findall(r"<tr.*?</tr>", rows, re.DOTALL)]


def test_an_enterprise_sees_its_next_twelve_months(site: Site) -> None:
    grant(site, site.house, (500, date(2026, 11, 30)), (70, date(2027, 10, 31)), (9, date(2027, 11, 1)))
    grant(site, site.house, (40, date(2026, 11, 30)), (1_000, None))
    grant(site, site.other, (7, date(2026, 11, 30)))
    page = site.signed_in("enterprise").get("/points").text
    assert days(page) == ["30 Nov 2026 2 540", "31 Oct 2027 1 70"]
    months = bars(page)
    assert len(months) == 12
    assert (months[0], months[1], months[11]) == ("Nov 2026: 540", "Dec 2026: 0", "Oct 2027: 70")
    assert "610 points in all" in page
    assert "22 Nov 2026 – 31 Oct 2027" in words(page)


def test_the_operator_sees_everyones_and_who_funded_them(site: Site) -> None:
    grant(site, site.house, (500, date(2026, 12, 31)))
    grant(site, site.other, (20, date(2026, 12, 31)))
    page = site.signed_in("operator").get("/points").text
    found = days(page)
    assert len(found) == 2
    assert all(re.fullmatch(r"31 Dec 2026 Enterprise \d+ 1 (500|20)", line) for line in found)
    assert "Dec 2026: 520" in bars(page)


def test_what_is_reserved_is_told_apart(site: Site) -> None:
    with site.database.transaction(Scope.everything()) as connection:
        holder = create_holder(connection, site.house, points=400, expires_on=TODAY)
        books.post(connection, [create_hold(site.house, holder, amount=300)], NOW)
    page = site.signed_in("enterprise").get("/points").text
    assert days(page) == ["22 Nov 2026 1 400 300 reserved"]
    assert "400 points in all, 300 of them reserved just now" in page


def test_the_page_is_chinese_for_who_reads_chinese(site: Site) -> None:
    grant(site, site.house, (500, date(2027, 1, 31)))
    page = site.signed_in("enterprise", language="zh").get("/points").text
    assert days(page) == ["2027年1月31日 1 500"]
    assert "2027年1月: 500" in bars(page)


def test_without_any_the_page_says_so(site: Site) -> None:
    grant(site, site.house, (500, None), (5, TODAY + timedelta(days=400)))
    page = site.signed_in("operator").get("/points").text
    assert "Nothing expires in the next twelve months" in page
    assert not bars(page)


def test_what_had_its_last_day_yesterday_is_no_news(site: Site) -> None:
    grant(site, site.house, (500, TODAY))
    site.change(lambda connection: businessday.advance(connection, TODAY + timedelta(days=1), NOW))
    assert "Nothing expires" in site.signed_in("enterprise").get("/points").text


def test_too_many_days_are_cut_after_a_whole_one_and_the_page_says_to_where(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points, "LINES_MOST", 3)
    for house in (site.house, site.other):
        grant(site, house, (10, date(2026, 12, 1)), (20, date(2026, 12, 2)))
    page = site.signed_in("operator").get("/points").text
    assert len(days(page)) == 2
    assert all("1 Dec 2026" in line for line in days(page))
    assert "22 Nov 2026 – 1 Dec 2026" in words(page)


@pytest.mark.parametrize(
    ("today", "last"),
    [
        (date(2026, 11, 22), date(2027, 10, 31)),
        (date(2027, 1, 1), date(2027, 12, 31)),
        (date(2027, 3, 31), date(2028, 2, 29)),
        (date(2026, 12, 31), date(2027, 11, 30)),
    ],
)
def test_twelve_months_are_whole_ones(today: date, last: date) -> None:
    assert points._last_day(today) == last
