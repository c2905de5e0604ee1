"""The business day: what is open, and opening the next date by hand."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection

from ledger import books, businessday
from ledger.businessday import Calendar, business_date, date_at, read_calendar, set_calendar
from ledger.database import Scope
from tests.admin.browsing import words
from tests.admin.conftest import Site
from tests.factories import create_holder, create_redeem

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def today(site: Site) -> date:
    """The date that is due by the calendar; it is open, and all clocks agree.

    Opening a date asks the database's own clock, so this cannot be a date of our choice. It turns in half
    a day, and so in no test.
    """

    def act(connection: Connection) -> date:
        set_calendar(connection, Calendar("UTC", time((site.clock.now.hour + 12) % 24)))
        due = date_at(site.clock.now, read_calendar(connection))
        return businessday.advance(connection, due, site.clock.now)

    site.clock.now = datetime.now(UTC)
    return site.change(act)


def open_date(site: Site) -> date:
    found = site.change(business_date)
    assert found is not None
    return found


def in_words(day: date) -> str:
    return f"{day.day} {day:%b} {day.year}"


def test_the_page_says_which_date_is_open_since_when_and_how_it_turns(site: Site, today: date) -> None:
    site.change(lambda connection: set_calendar(connection, Calendar("Asia/Shanghai", time(2, 30))))
    page = words(site.signed_in("operator").get("/day").text)
    assert f"Open now {in_words(today)}" in page
    assert "Open since" in page
    turn = datetime.combine(today + DAY, time(2, 30), ZoneInfo("Asia/Shanghai"))
    ends = f"{in_words(today + DAY)} 02:30" if turn > site.clock.now else "at any moment"
    assert f"Ends by itself {ends}" in page
    assert "Cut-off 02:30 Time zone Asia/Shanghai" in page


def test_the_days_before_are_listed_with_when_they_were_closed(site: Site, today: date) -> None:
    site.clock.now = datetime(today.year, today.month, today.day, 1, 5, tzinfo=UTC) + 12 * HOUR
    site.change(lambda connection: businessday.advance(connection, today + DAY, site.clock.now))
    page = words(site.signed_in("operator").get("/day").text)
    before = page.partition("Business date Opened Closed at ")[2]
    assert before.startswith(f"{in_words(today)} ")
    assert f" {today.day} {today:%b} 21:05" in before


def test_the_next_date_is_opened_after_it_was_said_what_that_means(site: Site, today: date) -> None:
    browser = site.signed_in("operator")
    following = today + DAY
    asked = words(browser.get("/day/next").text)
    assert f"{in_words(today)} is closed, and nothing is ever booked on it again." in asked
    assert "This cannot be taken back." in asked
    assert open_date(site) == today
    answer = browser.submit("/day/next")
    assert (answer.status_code, answer.location) == (303, "/day")
    assert open_date(site) == following
    page = words(browser.get("/day").text)
    assert f"{in_words(following)} is open: everything is booked on it from now on." in page
    assert "the open date is a day ahead of the calendar already" in page
    assert "not the open date" in page


def test_a_form_that_is_sent_twice_opens_one_date(site: Site, today: date) -> None:
    browser = site.signed_in("operator")
    form = browser.hidden("/day/next")
    assert browser.post("/day/next", form).status_code == 303
    assert browser.post("/day/next", form).status_code == 303
    assert open_date(site) == today + DAY
    assert "is open already. Nothing was changed." in browser.get("/day").text


def test_a_second_day_ahead_is_not_offered_and_refused_when_sent_anyway(site: Site, today: date) -> None:
    browser = site.signed_in("operator")
    browser.submit("/day/next")
    assert 'href="/day/next"' not in browser.get("/day").text
    far = (today + 2 * DAY).isoformat()
    for answer in (
        browser.get("/day/next"),
        browser.post("/day/next", {"mark": far}),
        browser.post("/day/next", {"mark": "9999-12-31"}),
        browser.post("/day/next", {"mark": "tomorrow"}),
        browser.post("/day/next", {"mark": ""}),
        browser.post("/day/next", {}),
    ):
        assert answer.status_code == 409
        assert "The next date cannot be opened yet" in answer.text
    assert open_date(site) == today + DAY


def test_the_databases_clock_decides_when_the_sites_is_wrong(site: Site, today: date) -> None:
    browser = site.signed_in("operator")
    site.clock.advance(timedelta(hours=11))
    site.clock.now += 3 * DAY
    browser = site.signed_in("operator")
    assert browser.submit("/day/next").status_code == 409
    assert open_date(site) == today


def test_a_date_that_has_passed_changes_nothing(site: Site, today: date) -> None:
    browser = site.signed_in("operator")
    answer = browser.post("/day/next", {"mark": (today - DAY).isoformat()})
    assert answer.status_code == 303
    assert open_date(site) == today
    assert "is open already. Nothing was changed." in browser.get("/day").text


def test_while_a_purchase_hangs_the_day_stays_open_and_the_page_says_so(site: Site, today: date) -> None:
    holder = site.change(lambda connection: create_holder(connection, site.house))
    browser = site.signed_in("operator")
    form = browser.hidden("/day/next")
    with site.database.transaction(Scope.everything()) as connection:
        books.post(connection, [create_redeem(site.house, holder)], site.clock.now)
        answer = browser.post("/day/next", form)
    assert answer.status_code == 409
    assert "A purchase is still being booked, so the day stays open." in answer.text
    assert open_date(site) == today
    assert browser.post("/day/next", form).status_code == 303


def test_a_form_without_its_token_opens_nothing(site: Site, today: date) -> None:
    browser = site.signed_in("operator")
    assert browser.post("/day/next", browser.hidden("/day/next"), token="").status_code == 400
    assert open_date(site) == today


def test_behind_the_calendar_the_next_date_is_the_calendars(site: Site, today: date) -> None:
    site.clock.now += 5 * DAY
    page = site.signed_in("operator").get("/day/next").text
    assert f"Open {in_words(today + 5 * DAY)} now" in page
    overview = words(site.signed_in("operator").get("/day").text)
    assert "Ends by itself at any moment" in overview


def test_the_page_is_chinese_for_who_reads_chinese(site: Site, today: date) -> None:
    page = words(site.signed_in("operator", language="zh").get("/day").text)
    assert f"当前营业日 {today.year}年{today.month}月{today.day}日" in page
    following = today + DAY
    assert f"立即开启 {following.year}年{following.month}月{following.day}日" in page
