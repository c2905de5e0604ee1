"""Receipts in tests: printed as a terminal window shows them, and replies to print."""

import io

from rich.console import Console

from tests.txserver.terminal_peer import NOW_MS, ReplyEnvelope
from txserver.receipt import Receipt, panel

__all__ = ["TXID", "printed", "reply_fields", "text_of"]

TXID = bytes.fromhex("019a7f3e6c007abc8def0123456789ab")


def reply_fields(code: int = 0) -> ReplyEnvelope:
    """The common fields of a reply."""
    return ReplyEnvelope(id=TXID, code=code, text="new", server_at=NOW_MS, business_date="2027-01-15")


def printed(receipt: Receipt) -> list[str]:
    """The lines of the window."""
    out = io.StringIO()
    Console(file=out, width=120, highlight=False, markup=False).print(panel(receipt))
    return out.getvalue().splitlines()


def text_of(receipt: Receipt) -> str:
    """All of them."""
    return "\n".join(printed(receipt))
