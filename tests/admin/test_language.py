from datetime import UTC, date, datetime

import pytest
from flask_wtf import FlaskForm
from wtforms import IntegerField
from wtforms.validators import InputRequired

from admin import language
from tests.admin.conftest import Site


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        ("en-GB,en;q=0.9", "en"),
        ("zh-CN", "zh"),
        ("zh-TW;q=0.5, fr;q=0.9", "zh"),
        ("fr, en;q=0.1, zh;q=0.5", "zh"),
        ("ZH-Hans-SG", "zh"),
        ("fr", "en"),
        ("", "en"),
        ("*", "en"),
        (";;;", "en"),
    ],
)
def test_the_browser_says_what_its_person_reads(site: Site, wanted: str, got: str) -> None:
    assert f'<html lang="{language.LANGUAGES[got][1]}">' in site.browser(language=wanted).get("/login").text


def test_a_choice_is_remembered_and_wins(site: Site) -> None:
    browser = site.browser(language="en")
    answer = browser.post("/preferences", {"language": "zh", "next": "/login"})
    assert (answer.status_code, answer.location) == (303, "/login")
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    page = browser.get("/login").text
    assert "<title>登录 · Tessera</title>" in page
    assert 'value="en" lang="en">English<' in page
    browser.post("/preferences", {"language": "en", "next": "/login"})
    assert "<title>Log in · Tessera</title>" in browser.get("/login").text


def test_numbers_and_days(site: Site) -> None:
    moment = datetime(2026, 11, 22, 16, 30, 5, tzinfo=UTC)
    with site.app.test_request_context(headers={"Accept-Language": "en"}):
        assert language.change(12_345) == "+12,345"
        assert language.change(-35) == "−35"
        assert language.change(0) == "0"
        assert language.day(date(2026, 11, 2)) == "2 Nov 2026"
        assert language.moment(moment) == "23 Nov 2026 00:30:05"  # Shanghai is eight hours ahead
    with site.app.test_request_context(headers={"Accept-Language": "zh"}):
        assert language.day(date(2026, 11, 2)) == "2026年11月2日"
        assert language.short_day(date(2026, 11, 2)) == "11月2日"
        assert language.moment(moment) == "2026年11月23日 00:30:05"


def test_times_to_the_minute_and_months(site: Site) -> None:
    moment, now = datetime(2026, 11, 22, 16, 30, 59, tzinfo=UTC), datetime(2026, 11, 22, 15, 59, tzinfo=UTC)
    later, first = datetime(2026, 11, 23, 15, 59, tzinfo=UTC), date(2026, 11, 2)
    with site.app.test_request_context(headers={"Accept-Language": "en"}):
        assert language.minute(moment) == "23 Nov 2026 00:30"
        assert language.short_minute(moment) == "23 Nov 00:30"
        assert language.soon(moment, now) == "23 Nov 00:30"  # in Shanghai it is still the 22nd
        assert language.soon(moment, later) == "00:30"
        assert (language.month(first), language.month_year(first)) == (
            "Nov",
            "Nov 2026",
        )
        assert [language.roughly(value) for value in (0, 950, 40_000, 1_500_000)] == [
            "0",
            "950",
            "40K",
            "1.5M",
        ]
    with site.app.test_request_context(headers={"Accept-Language": "zh"}):
        assert language.minute(moment) == "2026年11月23日 00:30"
        assert language.short_minute(moment) == "11月23日 00:30"
        assert (language.month(first), language.month_year(first)) == (
            "11月",
            "2026年11月",
        )
        assert [language.roughly(value) for value in (950, 12_000, 40_000)] == ["950", "1.2万", "4万"]
        assert language.gettext("Type at most %(max)d characters.", max=5) == "最多输入 5 个字符。"


def test_what_forms_say_of_themselves_is_in_the_language_of_the_page(site: Site) -> None:
    """WTForms' own sentences, which are in no catalogue of ours."""

    class Amount(FlaskForm):  # type: ignore[misc]
        amount = IntegerField(validators=[InputRequired()])

    for wanted, said in (("en", "Not a valid integer value."), ("zh-CN", "不是有效的整数。")):
        with site.app.test_request_context(
            method="POST", data={"amount": "x"}, headers={"Accept-Language": wanted}
        ):
            form = Amount(meta={"csrf": False})
            assert not form.validate()
            assert form.amount.errors == [said]
