"""Each kind of transaction in the list: its word, its points, and what became of it."""

import re
from datetime import timedelta

import pytest

from admin.transaction_words import kind_name
from ledger import books, businessday
from ledger.database import Scope
from ledger.model import Transaction
from ledger.postings import Request
from tests.admin.conftest import Site
from tests.factories import (
    TODAY,
    Holder,
    create_capture,
    create_expire,
    create_hold,
    create_holder,
    create_pin_change,
    create_redeem,
    create_refund,
    create_release,
    create_reversal,
)

HOUR = timedelta(hours=1)


def create_member(site: Site, points: int = 1_000, **fields: object) -> Holder:
    with site.database.transaction(Scope.everything()) as connection:
        return create_holder(connection, site.house, points=points, **fields)  # type: ignore[arg-type]


def post(site: Site, *requests: Request) -> None:
    with site.database.transaction(Scope.everything()) as connection:
        for request in requests:
            books.post(connection, [request], site.clock.now)


def lines(site: Site, login: str = "operator", *, language: str = "en") -> list[tuple[str, str, str]]:
    """Kind, points and status of each row, newest first."""
    page = site.signed_in(login, language=language).get("/transactions").text
    rows = re.findall(r'<tr role="row" data-id="\d+">(.*?)</tr>', page, re.DOTALL)
    return [(cell(row, "kind"), cell(row, "number points"), cell(row, "status")) for row in rows]


def cell(row: str, name: str) -> str:
    found = re.search(rf'<td role="cell" class="{name}[^"]*"[^>]*>(.*?)</td>', row, re.DOTALL)
    assert found, name
    return re.sub(r"<[^>]+>", "", found[1]).strip()


def looks(site: Site) -> list[str]:
    """The classes that colour the points and the state of each row, newest first."""
    page = site.signed_in("operator").get("/transactions").text
    points = re.findall(r'class="number points (\w+)"', page)
    return [f"{point} {state}" for point, state in zip(points, state_looks(page), strict=True)]


def state_looks(page: str) -> list[str]:
    return re.findall(r'<td role="cell" class="status"><span class="state (\w+)"', page)


def test_an_open_hold_says_until_when_and_its_points_have_no_sign(site: Site) -> None:
    holder = create_member(site)
    post(site, create_hold(site.house, holder, seconds=3_600))
    assert lines(site)[0] == ("Hold", "300", "Open until 18:30")
    assert looks(site)[0] == "aside open"
    assert lines(site, language="zh")[0] == ("预留", "300", "未结束 至 18:30")
    post(site, create_hold(site.house, holder, seconds=86_400))
    assert lines(site)[0] == ("Hold", "300", "Open until 23 Nov 17:30")


def test_a_captured_hold_and_its_capture(site: Site) -> None:
    hold = create_hold(site.house, create_member(site))
    post(site, hold, create_capture(hold, 250))
    assert lines(site)[:2] == [("Capture", "−250", "Approved"), ("Hold", "300", "Captured")]
    assert looks(site)[:2] == ["down approved", "aside approved"]


def test_a_released_hold_and_its_release(site: Site) -> None:
    hold = create_hold(site.house, create_member(site))
    post(site, hold, create_release(hold))
    assert lines(site)[:2] == [("Release", "300", "Approved"), ("Hold", "300", "Released")]
    assert looks(site)[:2] == ["aside approved", "aside idle"]
    assert lines(site, language="zh")[:2] == [("释放", "300", "已批准"), ("预留", "300", "已释放")]


def test_a_hold_whose_time_is_over_has_expired_whether_or_not_that_is_booked(site: Site) -> None:
    holder = create_member(site)
    post(site, create_hold(site.house, holder, seconds=3_600))
    site.clock.advance(HOUR)
    assert lines(site)[0] == ("Hold", "300", "Expired")
    post(site, create_redeem(site.house, holder))
    assert lines(site)[:3] == [
        ("Redeem", "−120", "Approved"),
        ("Hold expired", "300", "Booked"),
        ("Hold", "300", "Expired"),
    ]
    assert looks(site)[1] == "aside idle"


def test_a_reversed_hold_and_its_reversal(site: Site) -> None:
    hold = create_hold(site.house, create_member(site))
    post(site, hold, create_reversal(hold))
    assert lines(site)[:2] == [("Reversal", "300", "Approved"), ("Hold", "300", "Reversed")]
    assert looks(site)[:2] == ["aside approved", "aside reversed"]


def test_a_refund_gives_points_and_its_sale_says_how_many(site: Site) -> None:
    redeem = create_redeem(site.house, create_member(site))
    post(site, redeem, create_refund(redeem, 50))
    assert lines(site)[:2] == [("Refund", "+50", "Approved"), ("Redeem", "−120", "Partly refunded 50 of 120")]
    assert looks(site)[:2] == ["up approved", "down reversed"]
    assert lines(site, language="zh")[1] == ("消费", "−120", "部分退款 已退 50，共 120")
    post(site, create_refund(redeem))
    assert lines(site)[0] == ("Refund", "+70", "Approved")
    assert lines(site)[2] == ("Redeem", "−120", "Refunded")


def test_what_expired_is_booked_as_a_loss(site: Site) -> None:
    holder = create_member(site, points=80, expires_on=TODAY)
    tomorrow = TODAY + timedelta(days=1)
    site.change(lambda connection: businessday.advance(connection, tomorrow, site.clock.now))
    post(site, create_expire(holder))
    assert lines(site)[0] == ("Expiry", "−80", "Booked")
    assert lines(site, language="zh")[0] == ("失效", "−80", "已入账")


def test_a_change_of_pin_has_no_points(site: Site) -> None:
    holder = create_member(site)
    post(site, create_pin_change(site.house, holder), create_pin_change(site.house, holder, pin="000000"))
    assert lines(site)[:2] == [("PIN change", "–", "Refused Wrong PIN"), ("PIN change", "–", "Approved")]


def test_a_refused_hold_reserved_nothing(site: Site) -> None:
    post(site, create_hold(site.house, create_member(site, points=10)))
    assert lines(site)[0] == ("Hold", "0", "Refused Not enough points")


@pytest.mark.parametrize("login", ["enterprise", "merchant"])
def test_tenants_see_what_became_of_a_sale_too(site: Site, login: str) -> None:
    holder = create_member(site)
    hold, redeem = create_hold(site.house, holder), create_redeem(site.house, holder)
    post(site, hold, create_capture(hold, 100), redeem, create_refund(redeem, 20))
    statuses = [status for _, _, status in lines(site, login)]
    assert statuses[:4] == ["Approved", "Partly refunded 20 of 120", "Approved", "Captured"]


def test_every_kind_of_transaction_has_a_word(site: Site) -> None:
    (check,) = [
        constraint
        for constraint in Transaction.__table__.constraints  # type: ignore[attr-defined]
        if constraint.name == "transaction_kind_check"
    ]
    kinds = re.findall(r"'(\w+)'", str(check.sqltext))
    assert len(kinds) == 12
    with site.app.test_request_context():
        found = {kind_name(kind) for kind in kinds}
    assert len(found) == len(kinds)


def test_the_live_list_changes_when_a_hold_runs_out(site: Site) -> None:
    post(site, create_hold(site.house, create_member(site), seconds=60))
    browser = site.signed_in("operator")
    first = browser.get("/transactions/live")
    site.clock.advance(timedelta(seconds=60))
    second = browser.get("/transactions/live", If_None_Match=first.headers["ETag"])
    assert second.status_code == 200
    assert "Expired" in second.text
