"""How places, hours, money and percentages are typed and read."""

import pytest
from flask import Flask
from flask_babel import Babel
from hypothesis import given
from hypothesis import strategies as st
from wtforms import ValidationError

from admin.merchant_forms import hours_words, parse_hours, parse_place, place_words
from admin.money import CURRENCIES, digits_of, parse_money, typed_money
from admin.price_changes import codes, parse_percent

APP = Flask("admin")
Babel(APP)


@given(st.integers(0, 10**11), st.sampled_from(CURRENCIES))
def test_money_that_is_shown_can_be_typed_again(minor: int, currency: str) -> None:
    assert parse_money(typed_money(minor, currency), currency) == minor


@pytest.mark.parametrize(
    ("typed", "minor"), [("20", 2000), ("20.5", 2050), ("1,234.50", 123450), (" ２０．００ ", 2000), ("0", 0)]
)
def test_money_is_read_exactly(typed: str, minor: int) -> None:
    assert parse_money(typed, "CNY") == minor


@pytest.mark.parametrize("typed", ["", "-1", "20.005", "1e3", "20,5", "1,23", "nan", "٣", "1.", "20.00 CNY"])
def test_what_is_no_money_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        parse_money(typed, "CNY")


def test_some_money_has_no_smaller_unit() -> None:
    assert digits_of("JPY") == 0
    with pytest.raises(ValueError, match="not an amount"):
        parse_money("20.5", "JPY")


@given(st.integers(0, 1_439), st.integers(1, 1_440))
def test_hours_that_are_shown_can_be_typed_again(opens: int, length: int) -> None:
    span = (opens, opens + length)
    assert parse_hours(hours_words(span)) == span


@given(st.integers(-90_000_000, 90_000_000), st.integers(-180_000_000, 180_000_000))
def test_places_that_are_shown_can_be_typed_again(latitude: int, longitude: int) -> None:
    assert parse_place(place_words(latitude, longitude)) == (latitude, longitude)


@pytest.mark.parametrize("typed", ["9-21", "24:00-25:00", "10:60-11:00", "10:00", "10:00-24:01"])
def test_what_is_no_hours_is_refused(typed: str) -> None:
    with APP.test_request_context(), pytest.raises(ValidationError):
        parse_hours(typed)


@pytest.mark.parametrize(
    ("typed", "hundredths"),
    [("5", 500), ("-10", -1_000), ("+2.5%", 250), ("−0.25", -25), ("-100", -10_000), ("９%", 900)],
)
def test_percentages_are_read_exactly(typed: str, hundredths: int) -> None:
    assert parse_percent(typed) == hundredths


@pytest.mark.parametrize("typed", ["", "five", "1.234", "-100.01", "1e2", "--5"])
def test_what_is_no_percentage_is_refused(typed: str) -> None:
    with APP.test_request_context(), pytest.raises(ValidationError):
        parse_percent(typed)


def test_codes_stand_between_any_signs() -> None:
    assert codes(" M1, M2，M1;\tM3 ,") == ["M1", "M2", "M3"]
    assert codes(" , ") is None
