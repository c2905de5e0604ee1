"""What make_protocol_vectors.py writes into messages.json: every message, and plaintexts that are refused."""

from typing import Any

import msgpack  # type: ignore[import-untyped]

from protocol import CardToken, seal
from protocol.messages import (
    BalanceInquiry,
    BalanceInquiryReply,
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
    Login,
    LoginReply,
    Logout,
    LogoutReply,
    Message,
    Redeem,
    RedeemReply,
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
DAY = "2026-01-01"


def txid(number: int) -> bytes:
    """A UUIDv7 of the fixed time, told apart by `number`."""
    return AT.to_bytes(6, "big") + (0x7000).to_bytes(2, "big") + (0x8 << 60 | number).to_bytes(8, "big")


def asked(number: int) -> dict[str, Any]:
    return {"id": txid(number), "stan": number, "batch": 7, "at": AT + number}


def answered(number: int, code: int = 0, text: str = "Approved") -> dict[str, Any]:
    return {
        "id": txid(number), "code": code, "text": text, "server_at": AT + number + 20, "business_date": DAY,
    }  # fmt: skip


SAMPLES: tuple[Message, ...] = (
    Enrol(**asked(1), model="Counter 3", software="1.0.0"),
    EnrolReply(
        **answered(1), terminal=17, merchant="Blue Car Wash", store="North Gate", next_key=b"\x88" * 32
    ),
    EnrolReply(**answered(1), terminal=17, merchant="Blue Car Wash", store="North Gate"),
    Login(**asked(2), software="1.0.0", last_stan=1),
    LoginReply(
        **answered(2), session="7f3a", terminal=17, merchant="Blue Car Wash", store="North Gate",
        catalogue=5, idle_s=120,
    ),
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
    TransactionStatus(**asked(7), original=txid(3), credential=CREDENTIAL),
    TransactionStatus(**asked(8), original=txid(9), credential=CREDENTIAL, chip=CHIP, fence=True),
    TransactionStatusReply(
        **answered(7), original_code=0, approval="A00001", points=300, balance=700, reversed=True
    ),
    TransactionStatusReply(**answered(8, 3010, "No such transaction")),
    BalanceInquiry(**asked(10), credential=CREDENTIAL),
    BalanceInquiry(**asked(11), credential=CREDENTIAL, chip=CHIP, pin="135790"),
    BalanceInquiryReply(
        **answered(10), balance=1000, held=0, expiring=[ExpiringPoints(points=400, last_day="2026-06-30")]
    ),
    ConsumptionInquiry(
        **asked(12), credential=CREDENTIAL, chip=CHIP, pin="135790", since="2025-12-01", until=DAY,
        cursor="40",
    ),
    ConsumptionInquiryReply(
        **answered(12),
        items=[
            ConsumptionItem(
                at=AT, kind="redeem", points=-300, merchant="Blue Car Wash", service="Car wash",
                approval="A00001", reversed=True,
            ),
            ConsumptionItem(at=AT - 1, kind="grant", points=1000),
        ],
        cursor="20",
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
        ],
    ),
    CatalogueReply(**answered(14), version=5, unchanged=True),
    Echo(**asked(15)),
    EchoReply(**answered(15)),
    Closing(reason="shutdown"),
    Logout(**asked(16)),
    LogoutReply(**answered(16)),
)  # fmt: skip


def padded(plain: bytes) -> bytes:
    plain += b"\x80"
    return plain + bytes(-len(plain) % 64)


def echo(**changes: object) -> bytes:
    """An Echo with some fields changed, as no honest encoder would write it."""
    return padded(b"\x04" + msgpack.packb({**asked(15), **changes}))


def echo_with(raw: bytes) -> bytes:
    """An Echo with one more pair, given as msgpack."""
    packed = msgpack.packb(asked(15))
    return padded(b"\x04" + bytes([packed[0] + 1]) + packed[1:] + raw)


_FIELDS = asked(15)
_GOOD = echo()

# The reason word, what is wrong in words, and the plaintext.
REFUSED: tuple[tuple[str, str, bytes], ...] = (
    ("padding", "no bytes at all", b""),
    ("padding", "nothing but zeros", bytes(64)),
    ("padding", "no mark", b"\x04" + bytes(63)),
    ("padding", "not a multiple of 64", _GOOD + b"\0"),
    ("padding", "a block more than needed", _GOOD + bytes(64)),
    ("padding", "only a mark", padded(b"")),
    ("message_type", "a type that means nothing", padded(b"\x7e" + msgpack.packb(_FIELDS))),
    ("msgpack", "no map", padded(b"\x04")),
    ("msgpack", "cut in the middle", padded(b"\x04" + msgpack.packb(_FIELDS)[:-1])),
    ("msgpack", "bytes after the map", padded(b"\x04" + msgpack.packb(_FIELDS) + b"\xc0")),
    ("msgpack", "the byte that msgpack never uses", echo_with(b"\xa6repeat\xc1")),
    ("msgpack", "text that is no UTF-8", echo_with(b"\xa1\xff\xc0")),
    ("msgpack", "an integer as a key", echo_with(b"\x01\xc0")),
    ("msgpack", "an extension type", echo_with(b"\xa6repeat" + msgpack.packb(msgpack.ExtType(5, b"abc")))),
    ("msgpack", "a timestamp", echo_with(b"\xa6repeat" + msgpack.packb(msgpack.Timestamp(1)))),
    ("msgpack", "a list that announces 4294967295 items", echo_with(b"\xa6repeat\xdd\xff\xff\xff\xff")),
    ("extension", "an extension type without content", echo_with(b"\xa6repeat\xc7\x00\x05")),
    ("map_key", "bytes as a key", echo_with(b"\xc4\x06repeat\xc3")),
    ("duplicate_key", "a key twice", echo_with(b"\xa4stan\x01")),
    ("too_deep", "four lists inside each other", echo(repeat=[[[[]]]])),
    ("float", "a float that is whole", echo(stan=15.0)),
    ("float", "a float in a list", echo(repeat=[1.5])),
    (
        "nul_in_text", "a NUL in text",
        padded(b"\x02" + msgpack.packb({**asked(2), "software": "1\0", "last_stan": 1})),
    ),
    ("fields", "a list instead of a map", padded(b"\x04" + msgpack.packb([1, 2]))),
    ("fields", "an unknown field", echo(extra=1)),
    ("fields", "a field missing", padded(b"\x04" + msgpack.packb({"id": txid(15)}))),
    ("fields", "nothing for a field that must be there", echo(stan=None)),
    ("fields", "text for a number", echo(stan="15")),
    ("fields", "true for a number", echo(stan=True)),
    ("fields", "a number for true", echo(repeat=1)),
    ("fields", "text for bytes", echo(id="0123456789abcdef")),
    ("fields", "an id of 15 bytes", echo(id=bytes(15))),
    ("fields", "a number above its range", echo(stan=1_000_000)),
    ("fields", "a negative number", echo(stan=-1)),
    (
        "fields", "a reason with a line break behind it",
        padded(
            b"\x14"
            + msgpack.packb({**asked(5), "original": txid(3), "credential": "x", "reason": "timeout\n"})
        ),
    ),
)  # fmt: skip
