"""The table of outcome codes."""

import pytest

from protocol.codes import CODES, code_info


def test_codes_and_names_are_unique() -> None:
    assert len({info.code for info in CODES}) == len(CODES)
    assert len({info.name for info in CODES}) == len(CODES)


def test_every_code_says_what_it_means_in_both_languages_and_what_to_do() -> None:
    for info in CODES:
        assert info.text
        assert info.text_zh
        assert info.terminal.endswith(".")
        assert code_info(info.code) is info


def test_order_of_precedence() -> None:
    # Of these pairs the first must win; the rest of the order is the table itself.
    order = [info.name for info in CODES]
    for first, second in (
        ("not_recorded", "txid_reused"),
        ("txid_reused", "card_unknown"),
        ("card_unknown", "card_lost"),
        ("card_lost", "pin_wrong"),
        ("pin_blocked", "pin_wrong"),
        ("pin_wrong", "points_insufficient"),
        ("points_expired", "points_insufficient"),
    ):
        assert order.index(first) < order.index(second)


def test_a_code_that_the_table_does_not_have() -> None:
    with pytest.raises(KeyError):
        code_info(9999)
