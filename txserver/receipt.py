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

from protocol.messages import (
    BalanceInquiryReply,
    CatalogueItem,
    ConsumptionInquiryReply,
    Reply,
    TransactionStatusReply,
)
from txserver.pos_texts import Texts
from txserver.terminal import Outcome, Result
from txserver.terminal_identity import TerminalIdentity
from txserver.terminal_rules import APPROVED_CODE, NOT_FOUND, Answer, Purchase, State

__all__ = [
    "Receipt", "balance_receipt", "catalogue_receipt", "enrolment_receipt", "history_receipt",
    "journal_receipt", "panel", "printable", "purchase_receipt", "service_name", "status_receipt",
    "txid_text", "undo_question",
]  # fmt: skip

WIDTH = 48
"""Cells of a line: what a thermal printer of 80 mm prints, and a txid beside its label."""

TAIL = 4
"""Letters of a card's token that tell two cards apart on the screen and open neither."""

_NO_NAMES: Mapping[str, str] = MappingProxyType({})

_UNPRINTABLE = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")

GOOD, BAD, WARNING, PLAIN = "green", "red", "yellow", "cyan"

_TONES = {Outcome.APPROVED: GOOD, Outcome.REVERSED: GOOD, Outcome.REFUSED: BAD, Outcome.NEVER: BAD}


@dataclass(frozen=True, slots=True)
class Receipt:
    """`lines` are (label, value), or one text; an empty text is a rule. `tone` is a colour's name."""

    title: str
    tone: str
    lines: tuple[tuple[str, str] | str, ...]


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


def _time(millis: int) -> str:
    return datetime.fromtimestamp(millis / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _head(identity: TerminalIdentity, texts: Texts) -> list[tuple[str, str] | str]:
    return [
        (texts("merchant"), identity.merchant),
        (texts("store"), identity.store),
        (texts("terminal"), str(identity.terminal)),
        "",
    ]


def purchase_receipt(
    result: Result,
    identity: TerminalIdentity,
    texts: Texts,
    *,
    unsettled: int = 0,
    names: Mapping[str, str] = _NO_NAMES,
) -> Receipt:
    """How a purchase or a reversal came out, and what that means for the clerk.

    `names`: of services by their code, as far as they are known.
    """
    lines = _head(identity, texts)
    answer = result.answer
    if answer is not None:
        lines += [(texts("time"), _time(answer.server_at)), (texts("day"), answer.business_date)]
    if result.txid is not None:
        lines.append((texts("txid"), txid_text(result.txid)))
    if result.service is not None:
        lines.append((texts("service"), names.get(result.service, result.service)))
    if answer is not None:
        lines += _answer_lines(answer, texts)
    if result.outcome is Outcome.OFFLINE and unsettled:
        lines += ["", texts("means.owed", count=unsettled)]
    elif result.outcome not in (Outcome.APPROVED, Outcome.REFUSED):
        lines += ["", texts(f"means.{result.outcome.value}")]
    title = texts(f"title.{result.outcome.value}")
    return Receipt(title, _TONES.get(result.outcome, WARNING), tuple(lines))


def service_name(service: CatalogueItem, texts: Texts) -> str:
    """What a service is called in the language of the texts."""
    return (service.name_zh if texts.chinese else service.name) or service.code


def undo_question(
    purchase: Purchase, identity: TerminalIdentity, texts: Texts, *, names: Mapping[str, str] = _NO_NAMES
) -> Receipt:
    """What would be taken back, for the clerk to look at before."""
    request, answer = purchase.request, purchase.answer
    lines = _head(identity, texts)
    lines += [
        (texts("time"), _time(request.at)),
        (texts("service"), names.get(request.service, request.service)),
    ]
    if answer is not None:
        lines.append((texts("points"), f"{answer.points}"))
    lines += [
        (texts("card"), f"…{request.credential[-TAIL:]}"),
        (texts("txid"), txid_text(purchase.txid)),
        (texts("state"), texts(f"state.{purchase.state.value}")),
    ]
    return Receipt(texts("title.undo"), WARNING, tuple(lines))


def _answer_lines(answer: Answer, texts: Texts) -> list[tuple[str, str] | str]:
    lines: list[tuple[str, str] | str] = []
    if answer.approval is not None:
        lines.append((texts("approval"), answer.approval))
    if answer.points:
        lines.append((texts("points"), f"{answer.points}"))
    if answer.balance is not None:
        lines.append((texts("balance"), f"{answer.balance}"))
    if answer.code != APPROVED_CODE:
        lines += [(texts("code"), str(answer.code)), texts.code(answer.code, answer.text)]
    if answer.recorded:
        lines.append(texts("recorded"))
    if answer.receipt:
        lines += ["", *answer.receipt]
    return lines


def _refusal(reply: Reply, identity: TerminalIdentity, texts: Texts) -> Receipt:
    lines = _head(identity, texts)
    lines += [(texts("code"), str(reply.code)), texts.code(reply.code, reply.text)]
    return Receipt(texts("title.refused"), BAD, tuple(lines))


def balance_receipt(reply: BalanceInquiryReply, identity: TerminalIdentity, texts: Texts) -> Receipt:
    """What can be spent, and what expires next."""
    if reply.code != APPROVED_CODE:
        return _refusal(reply, identity, texts)
    lines = _head(identity, texts)
    lines += [(texts("time"), _time(reply.server_at)), (texts("balance"), f"{reply.balance or 0}")]
    if reply.held:
        lines.append((texts("held"), f"{reply.held}"))
    lines += [(texts("expires", day=lot.last_day), f"{lot.points}") for lot in reply.expiring]
    return Receipt(texts("title.balance"), PLAIN, tuple(lines))


def history_receipt(reply: ConsumptionInquiryReply, identity: TerminalIdentity, texts: Texts) -> Receipt:
    """A page of what happened on the account, newest first."""
    if reply.code != APPROVED_CODE:
        return _refusal(reply, identity, texts)
    lines = _head(identity, texts)
    for item in reply.items:
        lines.append((f"{_time(item.at)[:16]} {texts.kind(item.kind)}", f"{item.points:+d}"))
        about = [part for part in (item.merchant, item.service, item.approval) if part]
        if item.reversed:
            about.append(texts("was_reversed"))
        if about:
            lines.append("  " + " · ".join(about))
    if not reply.items:
        lines.append(texts("nothing"))
    if reply.cursor is not None:
        lines += ["", texts("more", cursor=reply.cursor)]
    return Receipt(texts("title.history"), PLAIN, tuple(lines))


def status_receipt(
    original: bytes, reply: TransactionStatusReply, identity: TerminalIdentity, texts: Texts
) -> Receipt:
    """What the server has recorded under a txid."""
    lines = _head(identity, texts)
    lines.append((texts("txid"), txid_text(original)))
    if reply.code != APPROVED_CODE or reply.original_code is None:
        lines += [(texts("code"), str(reply.code)), texts.code(reply.code, reply.text)]
        return Receipt(texts("title.status"), WARNING if reply.code == NOT_FOUND else BAD, tuple(lines))
    lines += [(texts("code"), str(reply.original_code)), texts.code(reply.original_code, reply.text)]
    if reply.approval is not None:
        lines.append((texts("approval"), reply.approval))
    lines.append((texts("points"), f"{reply.points}"))
    if reply.balance is not None:
        lines.append((texts("balance"), f"{reply.balance}"))
    if reply.reversed:
        lines.append(texts("was_reversed"))
    approved = reply.original_code == APPROVED_CODE and not reply.reversed
    return Receipt(texts("title.status"), GOOD if approved else PLAIN, tuple(lines))


def catalogue_receipt(services: Sequence[CatalogueItem], identity: TerminalIdentity, texts: Texts) -> Receipt:
    """What is sold here, numbered as the screen's questions count."""
    lines = _head(identity, texts)
    for number, item in enumerate(services, start=1):
        lines.append((f"{number:>2} {service_name(item, texts)}", item.code))
        if not item.open:
            price = texts("fixed_price", points=item.points, unit=item.unit)
        elif item.min_points is None or item.max_points is None:
            price = texts("open_price_free")
        else:
            price = texts("open_price", low=item.min_points, high=item.max_points)
        lines.append(f"   {price}")
    if not services:
        lines.append(texts("nothing"))
    return Receipt(texts("title.catalogue"), PLAIN, tuple(lines))


def journal_receipt(purchases: Sequence[Purchase], identity: TerminalIdentity, texts: Texts) -> Receipt:
    """The terminal's own record, newest first."""
    lines = _head(identity, texts)
    for purchase in purchases:
        approved = purchase.answer is not None and purchase.state is State.APPROVED
        points = f"{purchase.answer.points}" if approved and purchase.answer is not None else ""
        lines.append((txid_text(purchase.txid), points))
        state = texts(f"state.{purchase.state.value}")
        lines.append(f"  {_time(purchase.request.at)[:16]} · {purchase.request.service} · {state}")
    if not purchases:
        lines.append(texts("nothing"))
    return Receipt(texts("title.journal"), PLAIN, tuple(lines))


def enrolment_receipt(identity: TerminalIdentity, texts: Texts) -> Receipt:
    """The terminal that a device has become."""
    return Receipt(texts("title.enrolled"), GOOD, tuple(_head(identity, texts)[:-1]))


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
