"""What a member asks at a counter: balance, history, PIN."""

from msgspec import Struct

from protocol.messages.base import Chip, Credential, Day, Millis, Pin, Reply, Request, Short

__all__ = [
    "BalanceInquiry", "BalanceInquiryReply", "ConsumptionInquiry", "ConsumptionInquiryReply",
    "ConsumptionItem", "ExpiringPoints", "PinChange", "PinChangeReply",
]  # fmt: skip


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


class PinChange(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Set the card's PIN: with the present one, or with the one-time code that the card's issuer gave."""

    type = 0x22
    credential: Credential
    new_pin: Pin
    chip: Chip | None = None
    pin: Pin | None = None
    reset_code: Pin | None = None


class PinChangeReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    type = 0xA2
