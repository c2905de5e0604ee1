"""Day's end: the totals of a terminal's batch, and its transactions one by one when they differ.

The batch in question is the envelope's `batch`.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from protocol.limits import MAX_UPLOAD
from protocol.messages.base import Amount, Day, Reply, Request, Txid

__all__ = [
    "BatchItem", "BatchResult", "BatchTotal", "BatchUpload", "BatchUploadReply", "Reconciliation",
    "ReconciliationReply",
]  # fmt: skip

Count: TypeAlias = Annotated[int, Meta(ge=0, le=10**9, description="how many")]
Kind: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(redeem|hold|capture|release|refund|reversal)\Z",
        description="redeem, hold, capture, release, refund or reversal",
    ),
]


class BatchTotal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Approved transactions of one kind: how many, and the sum of their points."""

    kind: Kind
    count: Count
    points: Amount


class Reconciliation(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The terminal ends its batch and says what is in it. A kind that is left out has none."""

    type = 0x30
    iso = "0500"
    totals: Annotated[list[BatchTotal], Meta(max_length=6)]


class ReconciliationReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """0: both sides agree. 1401: they do not; `totals` are the server's. Either way the batch is closed."""

    type = 0xB0
    iso = "0510"
    totals: list[BatchTotal] = []
    last_batch: int | None = None


class BatchItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One transaction as the terminal has it. `state`: approved, refused, reversed or unknown."""

    id: Txid
    kind: Kind
    points: Amount
    state: Annotated[str, Meta(pattern=r"^(approved|refused|reversed|unknown)\Z")]


class BatchUpload(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A page of the batch: its transactions in the order of their ids, those above `after`.

    `last`: nothing follows this page.
    """

    type = 0x31
    iso = "0320"
    items: Annotated[list[BatchItem], Meta(max_length=MAX_UPLOAD)]
    after: Txid | None = None
    last: bool = False


class BatchResult(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How one transaction compares; `code` and `points` are the server's, `booked` its business date.

    `outcome`: agrees, reply_lost, reversal_pending, late, unknown_here, unknown_there or amount_differs.
    """

    id: Txid
    outcome: str
    kind: str | None = None
    code: int | None = None
    points: int = 0
    booked: Day | None = None


class BatchUploadReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Each transaction of the page, and those that only the server has, in the order of their ids.

    `through` is there when the reply was full: the next page begins after that id.
    """

    type = 0xB1
    iso = "0330"
    results: list[BatchResult] = []
    through: Txid | None = None
