"""Receipts of what is only asked, and of a changed PIN: nothing here moves points."""

from collections.abc import Sequence

from protocol.messages import (
    BalanceInquiryReply,
    CatalogueItem,
    ConsumptionInquiryReply,
    PinChangeReply,
    TransactionStatusReply,
)
from txserver.pos_texts import Texts
from txserver.receipt import (
    BAD,
    GOOD,
    PLAIN,
    WARNING,
    Line,
    Receipt,
    head,
    moment,
    refusal,
    service_name,
    txid_text,
)
from txserver.terminal_identity import TerminalIdentity
from txserver.terminal_rules import APPROVED_CODE, NOT_FOUND

__all__ = ["balance_receipt", "catalogue_receipt", "history_receipt", "pin_receipt", "status_receipt"]


def balance_receipt(reply: BalanceInquiryReply, identity: TerminalIdentity, texts: Texts) -> Receipt:
    """What can be spent, what is held, and what expires next."""
    if reply.code != APPROVED_CODE:
        return refusal(reply, identity, texts)
    lines = head(identity, texts)
    lines += [(texts("time"), moment(reply.server_at)), (texts("balance"), f"{reply.balance or 0}")]
    if reply.held:
        lines.append((texts("held"), f"{reply.held}"))
    lines += [(texts("expires", day=lot.last_day), f"{lot.points}") for lot in reply.expiring]
    return Receipt(texts("title.balance"), PLAIN, tuple(lines))


def history_receipt(reply: ConsumptionInquiryReply, identity: TerminalIdentity, texts: Texts) -> Receipt:
    """A page of what happened on the account, newest first."""
    if reply.code != APPROVED_CODE:
        return refusal(reply, identity, texts)
    lines = head(identity, texts)
    for item in reply.items:
        lines.append((f"{moment(item.at)[:16]} {texts.kind(item.kind)}", f"{item.points:+d}"))
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
    """What the server has recorded under a txid, and what came of it later."""
    lines = head(identity, texts)
    lines.append((texts("txid"), txid_text(original)))
    if reply.code != APPROVED_CODE or reply.original_code is None:
        lines += [(texts("code"), str(reply.code)), texts.code(reply.code, reply.text)]
        return Receipt(texts("title.status"), WARNING if reply.code == NOT_FOUND else BAD, tuple(lines))
    if reply.kind is not None:
        lines.append((texts("kind"), texts.kind(reply.kind)))
    lines += [(texts("code"), str(reply.original_code)), texts.code(reply.original_code, reply.text)]
    if reply.approval is not None:
        lines.append((texts("approval"), reply.approval))
    lines.append((texts.first(f"points.{reply.kind}", "points"), f"{reply.points}"))
    if reply.balance is not None:
        lines.append((texts("balance"), f"{reply.balance}"))
    lines += _later(reply, texts)
    approved = reply.original_code == APPROVED_CODE and not reply.reversed
    return Receipt(texts("title.status"), GOOD if approved else PLAIN, tuple(lines))


def _later(reply: TransactionStatusReply, texts: Texts) -> list[Line]:
    lines: list[Line] = []
    if reply.refunded:
        lines.append((texts("refunded"), f"{reply.refunded}"))
    if reply.ended is not None:
        lines.append(texts("ended", how=texts.word("ended", reply.ended)))
    elif reply.reversed:
        lines.append(texts("was_reversed"))
    return lines


def catalogue_receipt(services: Sequence[CatalogueItem], identity: TerminalIdentity, texts: Texts) -> Receipt:
    """What is sold here, numbered as the screen's questions count, with the dates of prices that change."""
    lines = head(identity, texts)
    for number, item in enumerate(services, start=1):
        lines.append((f"{number:>2} {service_name(item, texts)}", item.code))
        price = _price(
            item.points, item.unit, (item.min_points, item.max_points) if item.open else None, texts
        )
        dates = [texts("price_since", day=item.since)] if item.since is not None else []
        if item.until is not None:
            dates.append(texts("price_until", day=item.until))
        lines.append("   " + " · ".join((price, *dates)))
        if item.next_since is not None and item.next_points is not None:
            bounds = (item.next_min_points, item.next_max_points) if item.next_open else None
            new = _price(item.next_points, item.unit, bounds, texts)
            lines.append("   " + texts("price_next", day=item.next_since, price=new))
    if not services:
        lines.append(texts("nothing"))
    return Receipt(texts("title.catalogue"), PLAIN, tuple(lines))


def _price(points: int, unit: str, bounds: tuple[int | None, int | None] | None, texts: Texts) -> str:
    """`bounds`: of an open amount; None for a fixed price."""
    if bounds is None:
        return texts("fixed_price", points=points, unit=unit)
    low, high = bounds
    if low is None or high is None:
        return texts("open_price_free")
    return texts("open_price", low=low, high=high)


def pin_receipt(reply: PinChangeReply, card: str, identity: TerminalIdentity, texts: Texts) -> Receipt:
    """A changed PIN. `card`: the last letters of the card's token; the PIN is on no paper."""
    if reply.code != APPROVED_CODE:
        return refusal(reply, identity, texts)
    lines = head(identity, texts)
    lines += [(texts("time"), moment(reply.server_at)), (texts("card"), f"…{card}"), "", texts("means.pin")]
    return Receipt(texts("title.pin"), GOOD, tuple(lines))
