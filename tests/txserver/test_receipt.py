"""Receipts: lines that fit, texts from outside that do no harm."""

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from protocol.messages import PinChangeReply
from tests.txserver.paper import printed, reply_fields, text_of
from tests.txserver.terminal_peer import create_identity
from txserver.pos_texts import Texts
from txserver.receipt import WIDTH, Receipt, columns, enrolment_receipt, moment, printable, refusal


@given(st.text(max_size=80), st.text(max_size=80))
@example("", "\u2028")
def test_whatever_is_printed_stays_in_the_frame(label: str, value: str) -> None:
    lines = printed(Receipt("T", "cyan", ((label, value), value, "")))
    assert {cell_len(line) for line in lines} == {WIDTH + 4}


@given(st.text())
def test_nothing_printable_moves_the_cursor_or_hides(text: str) -> None:
    assert not any(unicodedata.category(character).startswith("C") for character in printable(text))
    assert len(printable(text)) == len(text)


def test_who_prints_stands_above() -> None:
    text = text_of(enrolment_receipt(create_identity(), Texts("zh")))
    for word in ("登记成功", "Blue Car Wash", "North Gate", "17"):
        assert word in text


def test_a_refusal_is_in_the_clerks_language() -> None:
    reply = PinChangeReply(**reply_fields(1032))
    assert "Card reported lost" in text_of(refusal(reply, create_identity(), Texts()))
    assert "该卡已挂失" in text_of(refusal(reply, create_identity(), Texts("zh")))


def test_columns_count_cells_and_not_letters() -> None:
    assert columns([("消费", -6), ("12×", 5), ("7", 3)]) == "消费    12×  7"
    assert columns([("too long for it", -3), ("1", 2)]) == "too long for it 1"


def test_a_moment_is_told_with_its_zone() -> None:
    assert moment(1_800_000_000_000) == "2027-01-15 08:00:00 UTC"
