"""Receipts: lines that fit, texts from outside that do no harm."""

import io
import string
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from protocol.messages import (
    BalanceInquiryReply,
    CatalogueItem,
    ConsumptionInquiryReply,
    ConsumptionItem,
    ExpiringPoints,
    TransactionStatusReply,
)
from tests.txserver.terminal_peer import NOW_MS, ReplyEnvelope, create_identity
from txserver.pos_texts import _TEXTS, LANGUAGES, Texts
from txserver.receipt import (
    WIDTH,
    Receipt,
    balance_receipt,
    catalogue_receipt,
    history_receipt,
    panel,
    printable,
    purchase_receipt,
    status_receipt,
)
from txserver.terminal import Outcome, Result
from txserver.terminal_rules import Answer

TXID = bytes.fromhex("019a7f3e6c007abc8def0123456789ab")


def reply_fields(code: int = 0) -> ReplyEnvelope:
    return ReplyEnvelope(id=TXID, code=code, text="new", server_at=NOW_MS, business_date="2027-01-15")


def printed(receipt: Receipt) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=120, highlight=False, markup=False).print(panel(receipt))
    return out.getvalue().splitlines()


def text_of(receipt: Receipt) -> str:
    return "\n".join(printed(receipt))


def test_a_receipt_says_everything() -> None:
    answer = Answer(
        code=0, text="Approved", server_at=NOW_MS, business_date="2027-01-15", recorded=True,
        approval="000123", points=30, balance=70, receipt=["Thank you"],
    )  # fmt: skip
    result = Result(Outcome.APPROVED, TXID, "wash", answer)
    text = text_of(purchase_receipt(result, create_identity(), Texts()))
    for word in (
        "APPROVED", "Blue Car Wash", "North Gate", "17", "2027-01-15", "019a7f3e-6c00-7abc-8def-0123456789ab",
        "wash", "000123", "30", "70", "Repeat of a recorded answer", "Thank you",
    ):  # fmt: skip
        assert word in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_a_receipt(outcome: Outcome, language: str) -> None:
    texts = Texts(language)
    receipt = purchase_receipt(Result(outcome, None), create_identity(), texts)
    assert receipt.title == texts(f"title.{outcome.value}")
    explained = outcome not in (Outcome.APPROVED, Outcome.REFUSED)
    assert (texts(f"means.{outcome.value}") in receipt.lines) if explained else receipt.lines[-1] == ""


def test_a_code_that_is_newer_than_this_program_keeps_the_servers_text() -> None:
    answer = Answer(code=1999, text="From the future", server_at=NOW_MS, business_date="2027-01-15")
    text = text_of(
        purchase_receipt(Result(Outcome.REFUSED, TXID, "w", answer), create_identity(), Texts("zh"))
    )
    assert "From the future" in text
    assert "1999" in text


def test_balance_and_what_expires() -> None:
    reply = BalanceInquiryReply(
        **reply_fields(), balance=70, held=5, expiring=[ExpiringPoints(points=9, last_day="2027-02-01")]
    )
    text = text_of(balance_receipt(reply, create_identity(), Texts()))
    assert "Expire after 2027-02-01" in text
    refused = text_of(balance_receipt(BalanceInquiryReply(**reply_fields(1032)), create_identity(), Texts()))
    assert "Card reported lost" in refused


def test_history_is_signed_and_names_the_next_page() -> None:
    items = [
        ConsumptionItem(at=NOW_MS, kind="redeem", points=-30, merchant="M", service="wash", reversed=True),
        ConsumptionItem(at=NOW_MS, kind="something new", points=100),
    ]
    reply = ConsumptionInquiryReply(**reply_fields(), items=items, cursor="77")
    text = text_of(history_receipt(reply, create_identity(), Texts()))
    for word in ("-30", "+100", "Redeemed", "something new", "M · wash · Reversed", "--cursor 77"):
        assert word in text
    refused = history_receipt(ConsumptionInquiryReply(**reply_fields(1012)), create_identity(), Texts())
    assert "PIN required" in text_of(refused)


def test_status_of_each_kind() -> None:
    def status(code: int = 0, **fields: object) -> str:
        reply = TransactionStatusReply(**reply_fields(code), **fields)  # type: ignore[arg-type]
        return text_of(status_receipt(TXID, reply, create_identity(), Texts()))

    assert "No such transaction" in status(3010)
    assert "Not enough points" in status(original_code=1016, balance=3)
    assert "Reversed" in status(original_code=0, approval="000123", points=30, reversed=True)


def test_prices_of_each_kind() -> None:
    services = [
        CatalogueItem(code="a", name="A", name_zh="甲", unit="time", points=30),
        CatalogueItem(
            code="b", name="B", name_zh="乙", unit="", points=1, open=True, min_points=1, max_points=9
        ),
        CatalogueItem(code="c", name="C", name_zh="丙", unit="", points=1, open=True),
    ]
    text = text_of(catalogue_receipt(services, create_identity(), Texts()))
    for word in ("30 points / time", "1 to 9 points, open amount", "open amount", "3 C"):
        assert word in text
    assert "甲" in text_of(catalogue_receipt(services, create_identity(), Texts("zh")))


@given(st.text(max_size=80), st.text(max_size=80))
@example("", "\u2028")
def test_whatever_is_printed_stays_in_the_frame(label: str, value: str) -> None:
    lines = printed(Receipt("T", "cyan", ((label, value), value, "")))
    assert {cell_len(line) for line in lines} == {WIDTH + 4}


@given(st.text())
def test_nothing_printable_moves_the_cursor_or_hides(text: str) -> None:
    assert not any(unicodedata.category(character).startswith("C") for character in printable(text))
    assert len(printable(text)) == len(text)


def test_both_languages_fill_the_same_places() -> None:
    def places(text: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

    assert [key for key, (english, chinese) in _TEXTS.items() if places(english) != places(chinese)] == []
