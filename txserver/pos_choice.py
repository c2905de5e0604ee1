"""Which transaction the clerk means, and whether there is anything to do about it."""

import uuid
from collections.abc import Collection

from txserver.pos_desk import Desk, Fault
from txserver.receipt import txid_text
from txserver.receipt_purchases import open_holds, refundable
from txserver.terminal import Terminal
from txserver.terminal_operations import REVERSIBLE, Purchase, State

__all__ = ["chosen_hold", "chosen_purchase", "chosen_sale", "holds_of", "hold_is_over", "nothing_to_refund",
           "nothing_to_undo", "read_txid", "server_now_ms", "service_of"]  # fmt: skip

EXAMPLE_TXID = "019a7f3e-6c00-7abc-8def-0123456789ab"

ALL = 10_000
"""More purchases than a terminal makes in the two days that it remembers."""


def read_txid(text: str, desk: Desk) -> bytes:
    """16 bytes from a txid as it is printed. Fault."""
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        raise Fault(desk.texts("fault.txid", txid=text, example=EXAMPLE_TXID)) from None


def chosen_purchase(text: str, desk: Desk, terminal: Terminal) -> Purchase:
    """The purchase that the clerk means: "last" is the newest one, however it came out. Fault."""
    return _chosen(text, desk, terminal, none="fault.no_purchase")


def chosen_hold(text: str, desk: Desk, terminal: Terminal) -> Purchase:
    """The hold that is to be ended: "last" is the newest one, however it came out. Fault."""
    hold = _chosen(text, desk, terminal, kinds=("hold",), none="fault.no_hold")
    if hold.kind != "hold":
        raise Fault(desk.texts("fault.not_a_hold", txid=txid_text(hold.txid)))
    return hold


def chosen_sale(text: str, desk: Desk, terminal: Terminal) -> Purchase | None:
    """The purchase of this terminal that is to be refunded: "last" is the newest one, however it came out.

    None for a txid that it does not know (any more): the server may. Fault.
    """
    if text != "last" and read_txid(text, desk) not in {one.txid for one in terminal.recent(ALL)}:
        return None
    sale = _chosen(text, desk, terminal, kinds=("redeem", "capture"), none="fault.no_sale")
    if sale.kind not in ("redeem", "capture"):
        raise Fault(desk.texts("fault.not_a_sale", txid=txid_text(sale.txid)))
    return sale


def _chosen(
    text: str, desk: Desk, terminal: Terminal, *, kinds: Collection[str] | None = None, none: str
) -> Purchase:
    """`kinds`: among which "last" is looked for."""
    purchases = terminal.recent(ALL)
    if text == "last":
        for purchase in purchases:
            if kinds is None or purchase.kind in kinds:
                return purchase
        raise Fault(desk.texts(none))
    txid = read_txid(text, desk)
    for purchase in purchases:
        if purchase.txid == txid:
            return purchase
    raise Fault(desk.texts("fault.unknown", txid=txid_text(txid)))


def service_of(purchase: Purchase, terminal: Terminal) -> str | None:
    """The service that a transaction is about in the end: a capture's is that of its hold."""
    made = {one.txid: one for one in terminal.recent(ALL)}
    found: Purchase | None = purchase
    while found is not None and found.service is None:
        found = None if found.about is None else made.get(found.about)
    return None if found is None else found.service


def nothing_to_undo(purchase: Purchase, desk: Desk, terminal: Terminal, *, last: bool) -> str | None:
    """Why this purchase needs no reversal, for the clerk; None when it may have one.

    `last`: it was not named, and the clerk may have meant an older one.
    """
    of_the_last = "last_" if last else ""
    txid = txid_text(purchase.txid)
    if purchase.kind not in REVERSIBLE:
        return desk.texts("fault.not_reversible", txid=txid)
    match purchase.state:
        case State.REVERSED:
            return desk.texts(f"fault.{of_the_last}reversed", txid=txid)
        case State.REFUSED | State.NEVER:
            return desk.texts(f"fault.{of_the_last}not_done", txid=txid)
        case State.APPROVED if purchase.kind == "hold":
            return hold_is_over(purchase, desk, terminal, last=last)
        case _:
            return None


def hold_is_over(hold: Purchase, desk: Desk, terminal: Terminal, *, last: bool) -> str | None:
    """Why there is nothing to end about this hold; None when it holds points, or its outcome is unknown."""
    # Whether its time is over is for the server to say: before the login our clock may be any time.
    if not hold.state.final or hold.txid in {one.txid for one in open_holds(terminal.recent(ALL))}:
        return None
    return desk.texts("fault.last_hold_over" if last else "fault.hold_over", txid=txid_text(hold.txid))


def nothing_to_refund(sale: Purchase, desk: Desk) -> str | None:
    """Why the last purchase, which the clerk did not name, has nothing to refund; None when it may."""
    if refundable(sale) or not sale.state.final:
        return None
    return desk.texts("fault.last_sale_undone", txid=txid_text(sale.txid))


def server_now_ms(desk: Desk, terminal: Terminal) -> int:
    """The time of the server's clock, as well as it is known: it is the one that ends holds."""
    return desk.now_ms() + terminal.clock_off_s * 1000


def holds_of(desk: Desk, terminal: Terminal) -> list[Purchase]:
    """The open holds of this terminal, first to end first."""
    return open_holds(terminal.recent(ALL), server_now_ms(desk, terminal))
