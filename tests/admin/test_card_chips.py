"""What is written on chips: the list that a person types, and the record of each."""

import pytest
from flask import Flask
from flask_babel import Babel
from hypothesis import given
from hypothesis import strategies as st

from admin.card_chips import ChipsWrong, ndef_text, told_chips

NUMBERS = ["8600300000000058", "8600300000000066", "8600300000000074"]
APP = Flask(__name__)
Babel(APP)


def told(typed: str) -> dict[str, str]:
    with APP.test_request_context():
        return {number: uid.hex() for number, uid in told_chips(typed, NUMBERS).items()}


def test_uids_go_to_the_cards_in_their_order_or_to_those_that_are_named() -> None:
    assert told("04a1b2c3\n\n 04:A1:B2:C3:D4:E5:F6 \n") == {
        NUMBERS[0]: "04a1b2c3", NUMBERS[1]: "04a1b2c3d4e5f6",
    }  # fmt: skip
    assert told("8600 3000 0000 0074, 04a1b2c3\n8600300000000058,04-A1-B2-C4") == {
        NUMBERS[2]: "04a1b2c3", NUMBERS[0]: "04a1b2c4",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("04a1b2", "Line 1: a UID has 8, 14 or 20"),
        ("04a1b2c3\n04a1b2cx", "Line 2: a UID has 8, 14 or 20"),
        ("04a1b2c3\n04A1B2C3", "Line 2: this UID is there twice"),
        ("8600300000000099,04a1b2c3", "Line 1: no such card"),
        ("8600300000000058,04a1b2c3\n8600300000000058,04a1b2c4", "Line 2: the card has a chip already"),
        ("04a1b2c3\n" * 4, "There are 4 lines for 3 cards"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(typed: str, said: str) -> None:
    with pytest.raises(ChipsWrong, match=said):
        told(typed)


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=1, max_size=122))
def test_an_ndef_text_record_says_how_long_it_is(text: str) -> None:
    message = ndef_text(text)
    # Message begin and end, short record, well known (D1); type "T"; UTF-8 and two letters of language.
    assert message[:2] == b"\xd1\x01"
    assert message[2] == len(message) - 4
    assert message[3:4] == b"T"
    assert message[4:7] == b"\x02en"
    assert message[7:].decode() == text
