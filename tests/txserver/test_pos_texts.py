"""The table of texts: whole in both languages."""

import string

import pytest

from txserver.pos_texts import _TEXTS, LANGUAGES, Texts
from txserver.pos_texts_paper import PAPER
from txserver.pos_texts_screen import SCREEN
from txserver.shop_texts import SHOP

KINDS = (
    "redeem",
    "hold",
    "capture",
    "release",
    "lapse",
    "refund",
    "reversal",
    "grant",
    "adjustment",
    "expiry",
    "pin_change",
)
"""Of transactions, as the ledger names them; a tombstone is nothing that a member sees."""


def test_both_languages_fill_the_same_places() -> None:
    def places(text: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

    assert [key for key, (english, chinese) in _TEXTS.items() if places(english) != places(chinese)] == []


def test_no_text_is_empty_and_no_key_stands_twice() -> None:
    assert [key for key, pair in _TEXTS.items() if not all(pair)] == []
    assert len(_TEXTS) == len(PAPER) + len(SCREEN) + len(SHOP)


def test_chinese_texts_are_chinese() -> None:
    """Signs and numbers apart; a text that was forgotten would be English in both columns."""
    same = {key for key, (english, chinese) in _TEXTS.items() if english == chinese}
    assert same == {"why.unknown", "shop.column.number", "shop.column.p50", "shop.column.p99"} & same


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_transaction_has_a_word(kind: str) -> None:
    for language in LANGUAGES:
        assert Texts(language).kind(kind) != kind


def test_a_name_that_is_newer_than_this_program_is_shown_as_it_is() -> None:
    assert Texts("zh").kind("gift") == "gift"
    assert Texts("zh").code(1999, "From the future") == "From the future"


def test_the_most_special_text_is_taken() -> None:
    texts = Texts()
    assert texts.first("title.hold.approved", "title.approved") == "POINTS HELD"
    assert texts.first("title.redeem.approved", "title.approved") == "APPROVED"


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (-5, "no time", "已到期"),
        (0, "no time", "已到期"),
        (20, "1 min", "1 分钟"),
        (59 * 60 + 59, "59 min", "59 分钟"),
        (3_600, "1 h 00 min", "1 小时 00 分"),
        (86_400, "24 h 00 min", "24 小时 00 分"),
        (3 * 86_400 + 7_300, "3 d 2 h", "3 天 2 小时"),
    ],
)
def test_lengths_of_time(seconds: float, english: str, chinese: str) -> None:
    assert Texts().span(seconds) == english
    assert Texts("zh").span(seconds) == chinese
