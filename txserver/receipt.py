"""Receipts: what the emulated POS prints, as plain labelled lines and as a panel for the terminal window."""

import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from rich.cells import cell_len, set_cell_size
from rich.panel import Panel
from rich.text import Text

from protocol.messages import CatalogueItem, Reply
from txserver.pos_texts import Texts
from txserver.terminal_identity import TerminalIdentity

__all__ = [
    "BAD", "GOOD", "NO_NAMES", "PLAIN", "TAIL", "WARNING", "WIDTH", "Line", "Receipt", "columns",
    "enrolment_receipt", "head", "moment", "panel", "printable", "refusal", "service_name", "txid_text",
]  # fmt: skip

WIDTH = 48
"""Cells of a line: what a thermal printer of 80 mm prints, and a txid beside its label."""

TAIL = 4
"""Letters of a card's token that tell two cards apart on the screen and open neither."""

NO_NAMES: Mapping[str, str] = MappingProxyType({})

GOOD, BAD, WARNING, PLAIN = "green", "red", "yellow", "cyan"

_UNPRINTABLE = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")

Line = tuple[str, str] | str


@dataclass(frozen=True, slots=True)
class Receipt:
    """`lines` are (label, value), or one text; an empty text is a rule. `tone` is a colour's name."""

    title: str
    tone: str
    lines: tuple[Line, ...]


def printable(text: str) -> str:
    """A text from outside without control and format characters: it cannot move the cursor or hide a word.

    Nor does it break a line: U+2028 and U+2029 are no control characters, but do just that.
    """
    return "".join(
        " " if unicodedata.category(character) in _UNPRINTABLE else character for character in text
    )


def txid_text(txid: bytes) -> str:
    """A txid as people read it: 8-4-4-4-12 hex digits."""
    return str(uuid.UUID(bytes=txid))


def moment(millis: int) -> str:
    """A time of the wire, milliseconds since 1970, as a receipt prints it."""
    return datetime.fromtimestamp(millis / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def head(identity: TerminalIdentity, texts: Texts) -> list[Line]:
    """Who prints: the first lines of every receipt, and a rule below them."""
    return [
        (texts("merchant"), identity.merchant),
        (texts("store"), identity.store),
        (texts("terminal"), str(identity.terminal)),
        "",
    ]


def service_name(service: CatalogueItem, texts: Texts) -> str:
    """What a service is called in the language of the texts."""
    return (service.name_zh if texts.chinese else service.name) or service.code


def refusal(reply: Reply, identity: TerminalIdentity, texts: Texts) -> Receipt:
    """A reply that says no, whatever was asked."""
    lines = head(identity, texts)
    lines += [(texts("code"), str(reply.code)), texts.code(reply.code, reply.text)]
    return Receipt(texts("title.refused"), BAD, tuple(lines))


def enrolment_receipt(identity: TerminalIdentity, texts: Texts) -> Receipt:
    """The terminal that a device has become."""
    return Receipt(texts("title.enrolled"), GOOD, tuple(head(identity, texts)[:-1]))


def panel(receipt: Receipt) -> Panel:
    """The receipt as it lies on the counter. Texts of the server are shown as they are: no markup in them."""
    text = Text()
    for number, line in enumerate(receipt.lines):
        text.append("\n" if number else "")
        if line == "":
            text.append("─" * WIDTH, style="dim")
        elif isinstance(line, str):
            text.append(printable(line))
        else:
            label, value = printable(line[0]), printable(line[1])
            room = WIDTH - cell_len(value)
            if cell_len(label) < room:
                text.append(set_cell_size(label, room), style="dim")
            else:
                text.append(f"{label}\n", style="dim")
                text.append(" " * max(0, room))
            text.append(value)
    return Panel(
        text,
        title=receipt.title,
        border_style=receipt.tone,
        width=WIDTH + 4,
        title_align="left",
        highlight=False,
    )


def columns(cells: Sequence[tuple[str, int]]) -> str:
    """One line of a table: (text, cells of its column), to the left when that is negative."""
    parts = []
    for text, size in cells:
        room = " " * max(0, abs(size) - cell_len(text))
        parts.append(text + room if size < 0 else room + text)
    return "".join(parts)
