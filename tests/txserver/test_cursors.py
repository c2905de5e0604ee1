"""Cursors lead only to the page that they were given for."""

import string
from datetime import date, timedelta

import pytest

from txserver.cursors import CursorError, page_start, to_cursor

KEY = bytes([6] * 32)
SINCE, UNTIL = date(2026, 1, 1), date(2026, 12, 31)
LARGEST = 2**63 - 1


def create_cursor(number: int = 4711) -> str:
    return to_cursor(KEY, 3, 9, SINCE, UNTIL, number)


def read(cursor: str) -> int:
    return page_start(KEY, 3, 9, SINCE, UNTIL, cursor)


@pytest.mark.parametrize("number", [0, 1, 4711, LARGEST])
def test_a_cursor_leads_where_it_was_given_for(number: int) -> None:
    cursor = create_cursor(number)
    assert read(cursor) == number
    assert len(cursor) <= 40
    assert cursor.isascii()
    assert cursor.isprintable()


def test_a_cursor_is_good_for_nothing_else() -> None:
    cursor, later = create_cursor(), timedelta(days=1)
    for key, slot, account, since, until in (
        (bytes(32), 3, 9, SINCE, UNTIL),
        (KEY, 4, 9, SINCE, UNTIL),
        (KEY, 3, 10, SINCE, UNTIL),
        (KEY, 3, 9, SINCE + later, UNTIL),
        (KEY, 3, 9, SINCE, UNTIL + later),
        (KEY, 3, 9, date.min, date.max),
    ):
        with pytest.raises(CursorError):
            page_start(key, slot, account, since, until, cursor)


def test_one_made_up_leads_nowhere() -> None:
    mac = create_cursor().partition(".")[2]
    for cursor in (
        "", ".", "4711", "4711.", f".{mac}", f"4712.{mac}", f"04711.{mac}", f"+4711.{mac}", f"4711.{mac} ",
        f"4711.{mac.upper()}x", f"4711.{mac}.{mac}", "4711." + "0" * 16, f"-1.{mac}", f"٤٧١١.{mac}",
        f"4711.{'é' * 16}", "9" * 40, f"4711.{mac[:-1]}",
    ):  # fmt: skip
        with pytest.raises(CursorError):
            read(cursor)


def test_no_character_can_be_changed() -> None:
    cursor = create_cursor()
    for at, there in enumerate(cursor):
        for character in string.hexdigits + ".":
            if character != there:
                with pytest.raises(CursorError):
                    read(cursor[:at] + character + cursor[at + 1 :])
