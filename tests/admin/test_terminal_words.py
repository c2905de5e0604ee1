"""Words for terminals."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from admin.terminal_words import (
    age,
    at_server,
    at_terminal,
    clock_off,
    device_kinds,
    difference_words,
    terminal_standing,
)
from ledger.model import BatchDifference, Terminal
from ledger.terminal_lists import Difference
from tests.admin.conftest import Site
from tests.factories import NOW


def of_check(table: object, name: str) -> list[str]:
    """The words that a column of the database may hold."""
    (check,) = [
        constraint
        for constraint in table.__table__.constraints  # type: ignore[attr-defined]
        if constraint.name == name
    ]
    words: list[str] = str(check.sqltext).split("'")[1::2]
    return words


def difference(outcome: str = "late", **fields: object) -> Difference:
    known = {"terminal_state": "approved", "terminal_points": 120, "server_code": 0, "server_points": 120}
    return Difference(UUID(int=1), outcome, "redeem", **(known | fields), noted_at=NOW)  # type: ignore[arg-type]


def test_every_kind_and_status_and_difference_has_a_word(site: Site) -> None:
    outcomes = of_check(BatchDifference, "batch_difference_outcome_check")
    statuses = of_check(Terminal, "terminal_status_check")
    with site.app.test_request_context():
        assert set(device_kinds()) == set(of_check(Terminal, "terminal_kind_check")) - {"office"}
        assert len({terminal_standing(status)[1] for status in statuses}) == 3
        words = {difference_words(difference(outcome)) for outcome in outcomes}
    assert len(words) == len(outcomes) == 7
    assert all(name and meaning.endswith(".") for name, meaning in words)


@pytest.mark.parametrize(
    ("seconds", "look", "words"),
    [
        (0, "none", "correct"),
        (1, "none", "correct"),
        (2, "none", "2 s ahead"),
        (-59, "none", "59 s behind"),
        (60, "off", "60 s ahead"),
        (-300, "off", "5 min behind"),
        (7_200, "off", "2 h ahead"),
        (-172_800, "off", "2 d behind"),
        (10**9, "off", "11574 d ahead"),
    ],
)
def test_a_clock_is_off_by_words(site: Site, seconds: int, look: str, words: str) -> None:
    with site.app.test_request_context():
        assert clock_off(seconds) == (look, words)


@pytest.mark.parametrize(
    ("since", "words"),
    [
        (NOW, "today"),
        (NOW - timedelta(hours=17), "today"),  # past midnight in Shanghai
        (NOW - timedelta(hours=18), "1 day"),
        (NOW - timedelta(days=20), "20 days"),
        (NOW + timedelta(days=3), "today"),
    ],
)
def test_an_age_counts_days_of_the_calendar(site: Site, since: datetime, words: str) -> None:
    with site.app.test_request_context():
        assert age(since, NOW) == words
    with site.app.test_request_context(headers={"Accept-Language": "zh"}):
        assert age(datetime(2026, 11, 2, tzinfo=UTC), NOW) == "20 天"


@pytest.mark.parametrize(
    ("fields", "terminal", "server"),
    [
        ({}, "Approved, 120", "Approved, 120"),
        ({"terminal_state": "unknown"}, "Outcome unknown, 120", "Approved, 120"),
        (
            {"terminal_state": "reversed", "server_code": None, "server_points": None},
            "Reversed, 120",
            "not here",
        ),
        ({"terminal_state": None, "terminal_points": None}, "not listed", "Approved, 120"),
        (
            {"terminal_state": "refused", "terminal_points": None, "server_code": 1017},
            "Refused",
            "Wrong PIN",
        ),
    ],
)
def test_both_sides_of_a_difference_are_said(
    site: Site, fields: dict[str, object], terminal: str, server: str
) -> None:
    with site.app.test_request_context():
        found = difference(**fields)  # type: ignore[arg-type]
        assert (at_terminal(found), at_server(found)) == (terminal, server)
