"""Every message and its reply, declared once.

From here come both codecs, the tables of README.md, the schema snapshot and the test that each has
vectors. On the wire a message is a type byte followed by one msgpack map of its fields; fields that
are None may be left out. Points are whole numbers, times are milliseconds since 1970 UTC.
"""

from typing import Annotated, Any, ClassVar, TypeAlias

from msgspec import Meta, Struct

__all__ = [
    "MESSAGES", "BalanceInquiry", "BalanceInquiryReply", "Catalogue", "CatalogueItem", "CatalogueReply",
    "Closing", "ConsumptionInquiry", "ConsumptionInquiryReply", "ConsumptionItem", "Echo", "EchoReply",
    "Enrol", "EnrolReply", "ExpiringPoints", "Login", "LoginReply", "Logout", "LogoutReply", "Message",
    "Redeem", "RedeemReply", "Reply", "Request", "ReversalAdvice", "ReversalAdviceReply",
    "TransactionStatus", "TransactionStatusReply", "message_type_of",
]  # fmt: skip

Txid: TypeAlias = Annotated[bytes, Meta(min_length=16, max_length=16, description="16 bytes, UUIDv7")]
Stan: TypeAlias = Annotated[int, Meta(ge=0, le=999_999, description="trace number, 0 to 999999")]
Batch: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1, description="the terminal's batch number")]
Millis: TypeAlias = Annotated[
    int, Meta(ge=0, le=253_402_300_799_999, description="milliseconds since 1970 UTC, to the year 9999")
]
Day: TypeAlias = Annotated[
    str, Meta(pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\Z", description="YYYY-MM-DD")
]
Short: TypeAlias = Annotated[
    str,
    Meta(
        max_length=40, pattern=r"^[^\x00-\x1f]*\Z", description="at most 40 characters, no control characters"
    ),
]
Credential: TypeAlias = Annotated[str, Meta(max_length=200, description="what the card says: a token")]
Chip: TypeAlias = Annotated[bytes, Meta(min_length=4, max_length=10, description="UID that the reader saw")]
Pin: TypeAlias = Annotated[str, Meta(max_length=12, description="six digits")]

# A PIN or a card token in a log would be a leak; a struct's repr is how it would get there.
_SECRET_FIELDS = frozenset({"pin", "credential", "chip", "next_key"})


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Anything that travels inside an encrypted frame. `type` is its byte, `iso` its ISO 8583 relative."""

    type: ClassVar[int] = 0
    iso: ClassVar[str] = "–"

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={'…' if name in _SECRET_FIELDS else repr(getattr(self, name))}"
            for name in self.__struct_fields__
        )
        return f"{type(self).__name__}({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """The same for rich, which asks the struct itself for its fields."""
        return [
            (name, "…" if name in _SECRET_FIELDS else getattr(self, name)) for name in self.__struct_fields__
        ]


class Request(Message, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Terminal to server. `id` is made and stored by the terminal before the first byte is sent."""

    id: Txid
    stan: Stan
    batch: Batch
    at: Millis
    repeat: bool = False


class Reply(Message, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Server to terminal. `id` repeats the request's; `recorded`: the answer of an earlier, equal one."""

    id: Txid
    code: int
    text: str
    server_at: Millis
    business_date: Day
    recorded: bool = False


class Enrol(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """First message of a new device, inside the third handshake message."""

    type = 0x01
    model: Short
    software: Short


class EnrolReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    type = 0x81
    terminal: int
    merchant: str
    store: str
    next_key: bytes | None = None


class Login(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """First message of an enrolled device, inside the third handshake message."""

    type = 0x02
    iso = "0800"
    software: Short
    last_stan: Stan


class LoginReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    type = 0x82
    iso = "0810"
    session: str
    terminal: int
    merchant: str
    store: str
    catalogue: int
    idle_s: int


class Logout(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The terminal is about to close; the server answers and closes."""

    type = 0x03
    iso = "0800"


class LogoutReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    type = 0x83
    iso = "0810"


class Echo(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Proof of life within the idle time."""

    type = 0x04
    iso = "0800"


class EchoReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    type = 0x84
    iso = "0810"


class Catalogue(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Services sold at this terminal's merchant. `after` is the last code of the page before."""

    type = 0x06
    held: int = 0
    after: Short | None = None


class CatalogueItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A fixed price is `points` per `unit`; an open one leaves the amount to the request, in its range."""

    code: str
    name: str
    name_zh: str
    unit: str
    points: int
    open: bool = False
    min_points: int | None = None
    max_points: int | None = None


class CatalogueReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`unchanged` when the version held is the present one; `more` when another page follows."""

    type = 0x86
    version: int
    unchanged: bool = False
    more: bool = False
    services: list[CatalogueItem] = []


class Redeem(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Spend points for a service: `quantity` units at the agreed price, or an open `amount` of points."""

    type = 0x10
    iso = "0200"
    credential: Credential
    service: Short
    chip: Chip | None = None
    pin: Pin | None = None
    quantity: int | None = None
    amount: int | None = None
    reference: Short | None = None


class RedeemReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`balance` is what can still be spent; of the refusals only 1021, 1036 and 1016 tell it."""

    type = 0x90
    iso = "0210"
    approval: str | None = None
    points: int = 0
    balance: int | None = None
    receipt: list[str] = []


class ReversalAdvice(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Undo a transaction whose outcome the terminal never learned, or whose service was not given.

    `reason`: timeout, cancelled, not_given or restart.
    """

    type = 0x14
    iso = "0420"
    original: Txid
    credential: Credential
    chip: Chip | None = None
    reason: Annotated[str, Meta(pattern=r"^(timeout|cancelled|not_given|restart)\Z")]


class ReversalAdviceReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Accepted whatever became of the original, which `outcome` tells.

    `outcome`: reversed, already_reversed, refused_before, not_a_purchase or never_seen.
    """

    type = 0x94
    iso = "0430"
    outcome: str | None = None
    points: int = 0
    balance: int | None = None


class TransactionStatus(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What became of a txid. With `fence`, one that was never seen can never happen afterwards."""

    type = 0x15
    original: Txid
    credential: Credential
    chip: Chip | None = None
    fence: bool = False


class TransactionStatusReply(
    Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """`code` 0 when found, 3010 when not; `original_code` and the fields below are the recorded reply."""

    type = 0x95
    original_code: int | None = None
    approval: str | None = None
    points: int = 0
    balance: int | None = None
    reversed: bool = False


class BalanceInquiry(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What can be spent now. The PIN is not needed; one that is given is checked and counted."""

    type = 0x20
    iso = "0100"
    credential: Credential
    chip: Chip | None = None
    pin: Pin | None = None


class ExpiringPoints(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Points whose last usable day is `last_day`."""

    points: int
    last_day: Day


class BalanceInquiryReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`balance` is what can be spent now, `held` what is reserved; the next lots to expire come first."""

    type = 0xA0
    iso = "0110"
    balance: int | None = None
    held: int | None = None
    expiring: list[ExpiringPoints] = []


class ConsumptionInquiry(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What happened on the account, newest first, between two business dates (inclusive). Needs the PIN."""

    type = 0x21
    credential: Credential
    chip: Chip | None = None
    pin: Pin | None = None
    since: Day | None = None
    until: Day | None = None
    cursor: Short | None = None


class ConsumptionItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One transaction: `points` is signed, as the member sees it."""

    at: Millis
    kind: str
    points: int
    merchant: str | None = None
    service: str | None = None
    approval: str | None = None
    reversed: bool = False


class ConsumptionInquiryReply(
    Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A page; `cursor` is there when another follows."""

    type = 0xA1
    items: list[ConsumptionItem] = []
    cursor: str | None = None


class Closing(Message, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Server to terminal, unasked: this session ends now. `reason`: replaced, idle, lifetime or shutdown."""

    type = 0xFF
    reason: str


MESSAGES: tuple[type[Message], ...] = (
    Enrol, EnrolReply, Login, LoginReply, Logout, LogoutReply, Echo, EchoReply, Catalogue, CatalogueReply,
    Redeem, RedeemReply, ReversalAdvice, ReversalAdviceReply, TransactionStatus, TransactionStatusReply,
    BalanceInquiry, BalanceInquiryReply, ConsumptionInquiry, ConsumptionInquiryReply, Closing,
)  # fmt: skip

_BY_TYPE = {message.type: message for message in MESSAGES}


def message_type_of(type_byte: int) -> type[Message] | None:
    """The message class of a type byte, or None for a byte that means nothing."""
    return _BY_TYPE.get(type_byte)
