"""What a shop sells, and everything that moves or reserves points."""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from protocol.limits import MAX_HOLD_SECONDS, MIN_HOLD_SECONDS
from protocol.messages.base import (
    Amount,
    Chip,
    Credential,
    Day,
    Millis,
    Pin,
    Reply,
    Request,
    Short,
    TerminalId,
    Txid,
)

__all__ = [
    "Capture", "CaptureReply", "Catalogue", "CatalogueItem", "CatalogueReply", "Hold", "HoldReply",
    "Redeem", "RedeemReply", "Refund", "RefundReply", "Release", "ReleaseReply", "ReversalAdvice",
    "ReversalAdviceReply", "TransactionStatus", "TransactionStatusReply",
]  # fmt: skip

HoldSeconds: TypeAlias = Annotated[
    int, Meta(ge=MIN_HOLD_SECONDS, le=MAX_HOLD_SECONDS, description="seconds until the hold expires")
]


class Catalogue(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Services sold at this terminal's merchant. `after` is the last code of the page before."""

    type = 0x06
    held: int = 0
    after: Short | None = None


class CatalogueItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A fixed price is `points` per `unit`; an open one leaves the amount to the request, in its range.

    `since` is there when it cannot be sold yet; the `next_` fields tell the price after this one.
    """

    code: str
    name: str
    name_zh: str
    unit: str
    points: int
    open: bool = False
    min_points: int | None = None
    max_points: int | None = None
    since: Day | None = None
    until: Day | None = None
    next_since: Day | None = None
    next_points: int | None = None
    next_open: bool = False
    next_min_points: int | None = None
    next_max_points: int | None = None


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
    """`balance` is what can still be spent; of the refusals only 1021, 3024, 1036 and 1016 tell it."""

    type = 0x90
    iso = "0210"
    approval: str | None = None
    points: int = 0
    balance: int | None = None
    receipt: list[str] = []


class Hold(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Reserve points now, as a Redeem would take them; a Capture or a Release ends it, or its time."""

    type = 0x11
    iso = "0100"
    credential: Credential
    service: Short
    chip: Chip | None = None
    pin: Pin | None = None
    quantity: int | None = None
    amount: int | None = None
    hold_s: HoldSeconds | None = None
    reference: Short | None = None


class HoldReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`points` are reserved until `expires_at`; `balance` is what can be spent, told as by RedeemReply."""

    type = 0x91
    iso = "0110"
    approval: str | None = None
    points: int = 0
    balance: int | None = None
    expires_at: Millis | None = None
    receipt: list[str] = []


class Capture(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Take `amount` of the points that this terminal held; the rest of them is released. Ends the hold."""

    type = 0x12
    iso = "0220"
    hold: Txid
    credential: Credential
    amount: Amount
    chip: Chip | None = None
    reference: Short | None = None


class CaptureReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`points` were spent, `released` went back to what can be spent."""

    type = 0x92
    iso = "0230"
    approval: str | None = None
    points: int = 0
    released: int = 0
    balance: int | None = None
    receipt: list[str] = []


class Release(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Give back everything that this terminal held. Ends the hold."""

    type = 0x13
    iso = "0420"
    hold: Txid
    credential: Credential
    chip: Chip | None = None


class ReleaseReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`points` went back to what can be spent."""

    type = 0x93
    iso = "0430"
    points: int = 0
    balance: int | None = None


class Refund(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Give points back for a Redeem or a Capture of this merchant: `amount` of them, or all that remain.

    `terminal` is the one that sold it, when that was another one of the same merchant.
    """

    type = 0x16
    iso = "0200"
    original: Txid
    credential: Credential
    amount: Amount | None = None
    terminal: TerminalId | None = None
    chip: Chip | None = None
    reference: Short | None = None


class RefundReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`points` were given back, `remaining` is what could still be refunded of the original."""

    type = 0x96
    iso = "0210"
    approval: str | None = None
    points: int = 0
    remaining: int | None = None
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

    `outcome`: reversed, already_reversed, captured, refunded, refused_before, not_a_purchase or never_seen.
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
    """`code` 0 when found, 3010 when not; `original_code` and the fields below are the recorded reply.

    `kind`: redeem, hold, capture, release, refund, reversal or pin_change. What came later: `reversed`;
    `refunded`, points; `ended`, how a hold ended: captured, released, reversed or expired.
    """

    type = 0x95
    original_code: int | None = None
    approval: str | None = None
    points: int = 0
    balance: int | None = None
    reversed: bool = False
    kind: str | None = None
    refunded: int = 0
    ended: str | None = None
