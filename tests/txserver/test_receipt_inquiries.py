"""Receipts of what is only asked, and of a changed PIN."""

from protocol.messages import (
    BalanceInquiryReply,
    CatalogueItem,
    ConsumptionInquiryReply,
    ConsumptionItem,
    ExpiringPoints,
    PinChangeReply,
    TransactionStatusReply,
)
from tests.txserver.paper import TXID, reply_fields, text_of
from tests.txserver.terminal_peer import NOW_MS, create_identity
from txserver.pos_texts import Texts
from txserver.receipt_inquiries import (
    balance_receipt,
    catalogue_receipt,
    history_receipt,
    pin_receipt,
    status_receipt,
)


def test_balance_and_what_expires() -> None:
    reply = BalanceInquiryReply(
        **reply_fields(), balance=70, held=5, expiring=[ExpiringPoints(points=9, last_day="2027-02-01")]
    )
    text = text_of(balance_receipt(reply, create_identity(), Texts()))
    assert "Expire after 2027-02-01" in text
    assert "Held                                           5" in text
    refused = text_of(balance_receipt(BalanceInquiryReply(**reply_fields(1032)), create_identity(), Texts()))
    assert "Card reported lost" in refused


def test_history_is_signed_and_names_the_next_page() -> None:
    items = [
        ConsumptionItem(at=NOW_MS, kind="redeem", points=-30, merchant="M", service="wash", reversed=True),
        ConsumptionItem(at=NOW_MS, kind="something new", points=100),
        ConsumptionItem(at=NOW_MS, kind="capture", points=-5),
    ]
    reply = ConsumptionInquiryReply(**reply_fields(), items=items, cursor="77")
    text = text_of(history_receipt(reply, create_identity(), Texts()))
    for word in (
        "-30",
        "+100",
        "Redeemed",
        "something new",
        "Captured",
        "M · wash · Reversed",
        "--cursor 77",
    ):
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
    held = status(original_code=0, kind="hold", points=30, ended="captured")
    assert "Points held                                   30" in held
    assert "The hold has ended: captured" in held
    assert "Given back so far                             12" in status(
        original_code=0, kind="redeem", points=30, refunded=12
    )
    assert "The hold has ended: a new way" in status(original_code=0, kind="hold", ended="a new way")


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


def test_a_price_that_changes_is_told_with_its_date() -> None:
    services = [
        CatalogueItem(
            code="a", name="A", name_zh="甲", unit="time", points=30, until="2027-01-31",
            next_since="2027-02-01", next_points=35,
        ),
        CatalogueItem(
            code="b", name="B", name_zh="乙", unit="time", points=1, open=True, since="2027-03-01",
            next_since="2027-04-01", next_points=1, next_open=True, next_min_points=5, next_max_points=50,
        ),
    ]  # fmt: skip
    text = text_of(catalogue_receipt(services, create_identity(), Texts()))
    for word in (
        "30 points / time · until 2027-01-31",
        "from 2027-02-01: 35 points / time",
        "open amount · from 2027-03-01",
        "from 2027-04-01: 5 to 50 points, open amount",
    ):
        assert word in text
    assert "2027-02-01 起：35 积分 / time" in text_of(
        catalogue_receipt(services, create_identity(), Texts("zh"))
    )


def test_a_changed_pin_is_told_without_the_pin() -> None:
    text = text_of(pin_receipt(PinChangeReply(**reply_fields()), "WXYZ", create_identity(), Texts()))
    assert "PIN CHANGED" in text
    assert "…WXYZ" in text
    unfit = pin_receipt(PinChangeReply(**reply_fields(3021)), "WXYZ", create_identity(), Texts("zh"))
    assert "新密码须为六位数字" in text_of(unfit)
