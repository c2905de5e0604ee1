"""What make_protocol_vectors.py writes into messages.json: each message, with all its fields and with few."""

from typing import Any

from protocol import CardToken, seal
from protocol.messages import (
    BalanceInquiry,
    BalanceInquiryReply,
    BatchItem,
    BatchResult,
    BatchTotal,
    BatchUpload,
    BatchUploadReply,
    Capture,
    CaptureReply,
    Catalogue,
    CatalogueItem,
    CatalogueReply,
    Closing,
    ConsumptionInquiry,
    ConsumptionInquiryReply,
    ConsumptionItem,
    Echo,
    EchoReply,
    Enrol,
    EnrolReply,
    ExpiringPoints,
    Hold,
    HoldReply,
    KeyChange,
    KeyChangeReply,
    Login,
    LoginReply,
    Logout,
    LogoutReply,
    Message,
    Notice,
    PinChange,
    PinChangeReply,
    Reconciliation,
    ReconciliationReply,
    Redeem,
    RedeemReply,
    Refund,
    RefundReply,
    Release,
    ReleaseReply,
    ReversalAdvice,
    ReversalAdviceReply,
    TransactionStatus,
    TransactionStatusReply,
)

AT = 1_767_225_600_000  # 2026-01-01 00:00:00 UTC
ENROLMENT_ID = bytes(range(0xA0, 0xB0))
CARD_KEY, CARD_KEY_ID, CARD_NONCE = b"\x66" * 32, 1, b"\x77" * 24
CARD = CardToken(slot=42, account=1001, card=2002, issue=1)
CREDENTIAL = seal(CARD, key_id=CARD_KEY_ID, key=CARD_KEY, nonce=CARD_NONCE)
CHIP = bytes.fromhex("04a1b2c3d4e5f6")
DAY, NEXT_DAY = "2026-01-01", "2026-01-02"
NEXT_KEY = b"\x88" * 32


def txid(number: int) -> bytes:
    """A UUIDv7 of the fixed time, told apart by `number`."""
    return AT.to_bytes(6, "big") + (0x7000).to_bytes(2, "big") + (0x8 << 60 | number).to_bytes(8, "big")


def asked(number: int) -> dict[str, Any]:
    return {"id": txid(number), "stan": number, "batch": 7, "at": AT + number}


def answered(number: int, code: int = 0, text: str = "Approved") -> dict[str, Any]:
    return {
        "id": txid(number), "code": code, "text": text, "server_at": AT + number + 20, "business_date": DAY,
    }  # fmt: skip


SESSION: tuple[Message, ...] = (
    Enrol(**asked(1), model="Counter 3", software="1.0.0"),
    EnrolReply(
        **answered(1), terminal=17, merchant="Blue Car Wash", store="North Gate", next_key=NEXT_KEY,
        next_key_id=2,
    ),
    EnrolReply(**answered(1), terminal=17, merchant="Blue Car Wash", store="North Gate"),
    Login(**asked(2), software="1.0.0", last_stan=1),
    LoginReply(
        **answered(2), session="7f3a", terminal=17, merchant="Blue Car Wash", store="North Gate",
        catalogue=5, idle_s=120, last_batch=6, next_key=NEXT_KEY, next_key_id=2,
    ),
    LoginReply(
        **answered(2), session="7f3b", terminal=17, merchant="Blue Car Wash", store="North Gate",
        catalogue=5, idle_s=120, change_key=True,
    ),
    Echo(**asked(15)),
    EchoReply(**answered(15)),
    Logout(**asked(16)),
    LogoutReply(**answered(16)),
    KeyChange(**asked(17), key=b"\x99" * 32),
    KeyChangeReply(**answered(17)),
    KeyChangeReply(**answered(17, 3020, "This key cannot be used")),
    Notice(server_at=AT + 900, catalogue=6),
    Notice(server_at=AT + 901, catalogue=7, business_date=NEXT_DAY),
    Notice(server_at=AT + 902, next_key=NEXT_KEY, next_key_id=255),
    Notice(server_at=AT + 903, change_key=True),
    Closing(reason="shutdown"),
    Closing(reason="revoked"),
)  # fmt: skip

SALES: tuple[Message, ...] = (
    Redeem(**asked(3), credential=CREDENTIAL, service="WASH", pin="135790", quantity=1),
    Redeem(
        **asked(4), repeat=True, credential=CREDENTIAL, service="洗车", chip=CHIP, pin="135790", amount=250,
        reference="order 12",
    ),
    RedeemReply(
        **answered(3), approval="A00001", points=300, balance=700, receipt=["Blue Car Wash", "Points: 300"]
    ),
    RedeemReply(**answered(4, 1016, "Not enough points"), recorded=True, balance=200),
    ReversalAdvice(**asked(5), original=txid(3), credential=CREDENTIAL, reason="timeout"),
    ReversalAdvice(**asked(6), original=txid(4), credential=CREDENTIAL, chip=CHIP, reason="not_given"),
    ReversalAdviceReply(**answered(5), outcome="reversed", points=300, balance=1000),
    ReversalAdviceReply(**answered(6), outcome="refunded", balance=750),
    TransactionStatus(**asked(7), original=txid(3), credential=CREDENTIAL),
    TransactionStatus(**asked(8), original=txid(9), credential=CREDENTIAL, chip=CHIP, fence=True),
    TransactionStatusReply(
        **answered(7), original_code=0, approval="A00001", points=300, balance=700, reversed=True,
        kind="redeem",
    ),
    TransactionStatusReply(**answered(8, 3010, "No such transaction")),
    TransactionStatusReply(
        **answered(7), original_code=0, approval="A00002", points=600, balance=400, kind="hold",
        ended="captured",
    ),
    TransactionStatusReply(
        **answered(7), original_code=0, approval="A00003", points=450, balance=550, kind="capture",
        refunded=150,
    ),
    Catalogue(**asked(13)),
    Catalogue(**asked(14), held=4, after="WASH"),
    CatalogueReply(
        **answered(13),
        version=5,
        more=True,
        services=[
            CatalogueItem(code="WASH", name="Car wash", name_zh="洗车", unit="wash", points=300),
            CatalogueItem(
                code="PARTS", name="Spare parts", name_zh="配件", unit="point", points=1, open=True,
                min_points=10, max_points=5000,
            ),
            CatalogueItem(
                code="WAX", name="Wax", name_zh="打蜡", unit="car", points=500, until=DAY,
                next_since=NEXT_DAY, next_points=550,
            ),
            CatalogueItem(
                code="TOW", name="Towing", name_zh="拖车", unit="km", points=12, since="2026-02-01",
                until="2026-12-31", next_since="2027-01-01", next_points=1, next_open=True,
                next_min_points=100, next_max_points=9000,
            ),
        ],
    ),
    CatalogueReply(**answered(14), version=5, unchanged=True),
    Hold(**asked(18), credential=CREDENTIAL, service="TOW", pin="135790", quantity=50),
    Hold(
        **asked(19), repeat=True, credential=CREDENTIAL, service="PARTS", chip=CHIP, pin="135790", amount=600,
        hold_s=7200, reference="order 13",
    ),
    HoldReply(
        **answered(18), approval="A00002", points=600, balance=400, expires_at=AT + 86_400_038,
        receipt=["Blue Car Wash", "Held: 600"],
    ),
    HoldReply(**answered(19, 3024, "Above the card's limit for one day"), balance=400),
    Capture(**asked(20), hold=txid(18), credential=CREDENTIAL, amount=480),
    Capture(
        **asked(21), repeat=True, hold=txid(19), credential=CREDENTIAL, amount=600, chip=CHIP,
        reference="job 13",
    ),
    CaptureReply(
        **answered(20), approval="A00003", points=480, released=120, balance=520,
        receipt=["Blue Car Wash", "Points: 480"],
    ),
    CaptureReply(**answered(21, 3014, "The hold has expired"), recorded=True),
    Release(**asked(22), hold=txid(18), credential=CREDENTIAL),
    Release(**asked(23), repeat=True, hold=txid(19), credential=CREDENTIAL, chip=CHIP),
    ReleaseReply(**answered(22), points=600, balance=1000),
    ReleaseReply(**answered(23, 3013, "The hold has ended before")),
    Refund(**asked(24), original=txid(3), credential=CREDENTIAL),
    Refund(
        **asked(25), original=txid(20), credential=CREDENTIAL, amount=150, terminal=16, chip=CHIP,
        reference="return 4",
    ),
    RefundReply(
        **answered(25), approval="A00004", points=150, remaining=330, balance=670,
        receipt=["Blue Car Wash", "Given back: 150"],
    ),
    RefundReply(**answered(24, 3017, "The purchase was reversed")),
)  # fmt: skip

MEMBER: tuple[Message, ...] = (
    BalanceInquiry(**asked(10), credential=CREDENTIAL),
    BalanceInquiry(**asked(11), credential=CREDENTIAL, chip=CHIP, pin="135790"),
    BalanceInquiryReply(
        **answered(10), balance=1000, held=0, expiring=[ExpiringPoints(points=400, last_day="2026-06-30")]
    ),
    ConsumptionInquiry(
        **asked(12), credential=CREDENTIAL, chip=CHIP, pin="135790", since="2025-12-01", until=DAY,
        cursor="40.0123456789abcdef",
    ),
    ConsumptionInquiryReply(
        **answered(12),
        items=[
            ConsumptionItem(
                at=AT, kind="redeem", points=-300, merchant="Blue Car Wash", service="WASH",
                approval="A00001", reversed=True,
            ),
            ConsumptionItem(at=AT - 1, kind="grant", points=1000),
        ],
        cursor="20.fedcba9876543210",
    ),
    PinChange(**asked(26), credential=CREDENTIAL, new_pin="246801", pin="135790"),
    PinChange(**asked(27), credential=CREDENTIAL, new_pin="246801", chip=CHIP, reset_code="40318265"),
    PinChangeReply(**answered(26)),
    PinChangeReply(**answered(27, 3022, "One-time code is wrong, used or expired")),
)  # fmt: skip

DAYS_END: tuple[Message, ...] = (
    Reconciliation(
        **asked(28),
        totals=[
            BatchTotal(kind="redeem", count=2, points=550),
            BatchTotal(kind="reversal", count=1, points=300),
        ],
    ),
    Reconciliation(**asked(29), totals=[]),
    ReconciliationReply(**answered(29), last_batch=7),
    ReconciliationReply(
        **answered(28, 1401, "Reconciled, out of balance"), totals=[
            BatchTotal(kind="redeem", count=1, points=300),
            BatchTotal(kind="reversal", count=1, points=300),
        ],
        last_batch=7,
    ),
    ReconciliationReply(**answered(28, 3023, "That batch is closed"), last_batch=9),
    BatchUpload(
        **asked(30),
        items=[
            BatchItem(id=txid(3), kind="redeem", points=300, state="reversed"),
            BatchItem(id=txid(4), kind="redeem", points=250, state="approved"),
            BatchItem(id=txid(5), kind="reversal", points=300, state="approved"),
        ],
    ),
    BatchUpload(
        **asked(31),
        items=[
            BatchItem(id=txid(18), kind="hold", points=0, state="refused"),
            BatchItem(id=txid(20), kind="capture", points=480, state="unknown"),
        ],
        after=txid(5),
        last=True,
    ),
    BatchUpload(**asked(32), items=[], after=txid(20), last=True),
    BatchUploadReply(
        **answered(30),
        results=[
            BatchResult(id=txid(3), outcome="agrees", kind="redeem", code=0, points=300, booked=DAY),
            BatchResult(id=txid(4), outcome="unknown_here", kind="redeem"),
        ],
        through=txid(4),
    ),
    BatchUploadReply(
        **answered(31),
        results=[
            BatchResult(id=txid(18), outcome="agrees", kind="hold", code=1016, booked=DAY),
            BatchResult(id=txid(20), outcome="reply_lost", kind="capture", code=0, points=480, booked=DAY),
        ],
    ),
    BatchUploadReply(**answered(32)),
)  # fmt: skip

SAMPLES = SESSION + SALES + MEMBER + DAYS_END
