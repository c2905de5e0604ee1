"""The actions of the screen: each asks what it needs, asks before what cannot be undone, and prints."""

import trio

from protocol.limits import MAX_HOLD_SECONDS
from protocol.messages import CatalogueItem
from txserver.pos_choice import (
    chosen_hold,
    chosen_purchase,
    chosen_sale,
    hold_is_over,
    holds_of,
    nothing_to_refund,
    nothing_to_undo,
    read_txid,
    server_now_ms,
    service_of,
)
from txserver.pos_clerk import Clerk
from txserver.pos_desk import JOURNAL, Fault
from txserver.pos_inquiries import new_pin_of
from txserver.receipt import TAIL, WARNING, Receipt, head, txid_text
from txserver.receipt_day import day_receipt
from txserver.receipt_inquiries import (
    balance_receipt,
    catalogue_receipt,
    history_receipt,
    pin_receipt,
    status_receipt,
)
from txserver.receipt_purchases import holds_receipt, journal_receipt, question
from txserver.terminal_operations import Purchase

__all__ = ["balance", "capture", "catalogue", "change_pin", "day_end", "history", "hold", "journal",
           "redeem", "refund", "release", "reverse", "scan", "status"]  # fmt: skip


async def scan(clerk: Clerk) -> None:
    """Another card."""
    await clerk.scan()


async def redeem(clerk: Clerk) -> None:
    """Spend points for a service."""
    card = await clerk.shown_card()
    service = await clerk.choose_service()
    much = await _much(clerk, service)
    clerk.desk.say(clerk.spending(service, much))
    pin = await clerk.pin()
    if service.open:
        result = await clerk.terminal.redeem(card, service.code, pin=pin, amount=much)
    else:
        result = await clerk.terminal.redeem(card, service.code, pin=pin, quantity=much)
    clerk.print_result(result)


async def hold(clerk: Clerk) -> None:
    """Reserve points for a job."""
    card = await clerk.shown_card()
    service = await clerk.choose_service()
    much = await _much(clerk, service)
    hours = await clerk.number_or_all("ask.hours")
    hold_s = None if hours is None else hours * 3600
    if hold_s is not None and hold_s > MAX_HOLD_SECONDS:
        raise Fault(clerk.texts("fault.hold_time"))
    clerk.desk.say(clerk.spending(service, much))
    pin = await clerk.pin()
    if service.open:
        result = await clerk.terminal.hold(card, service.code, pin=pin, amount=much, hold_s=hold_s)
    else:
        result = await clerk.terminal.hold(card, service.code, pin=pin, quantity=much, hold_s=hold_s)
    clerk.print_result(result)


async def capture(clerk: Clerk) -> None:
    """Take points of a hold; the rest is released."""
    held = await _choose_hold(clerk)
    most = held.booked or 0
    points = await clerk.number_or_all("ask.taken", points=most) or most
    if await _agreed(clerk, held, "ask.capture", points):
        clerk.print_result(await clerk.terminal.capture(held.txid, points), about=held.txid)


async def release(clerk: Clerk) -> None:
    """Give back all points of a hold."""
    held = await _choose_hold(clerk)
    if await _agreed(clerk, held, "ask.release"):
        clerk.print_result(await clerk.terminal.release(held.txid), about=held.txid)


async def reverse(clerk: Clerk) -> None:
    """Take a purchase, a hold or a capture back."""
    text = await clerk.ask("ask.reverse") or "last"
    purchase = chosen_purchase(text, clerk.desk, clerk.terminal)
    needless = nothing_to_undo(purchase, clerk.desk, clerk.terminal, last=text == "last")
    if needless is not None:
        raise Fault(needless)
    if await _agreed(clerk, purchase, "undo"):
        clerk.print_result(await clerk.terminal.reverse(purchase.txid))


async def refund(clerk: Clerk) -> None:
    """Give points of a purchase back, all or some; also of one that another terminal of the merchant sold."""
    card = await clerk.shown_card()
    text = await clerk.ask("ask.refund_of") or "last"
    sale = chosen_sale(text, clerk.desk, clerk.terminal)
    needless = nothing_to_refund(sale, clerk.desk) if sale is not None and text == "last" else None
    if needless is not None:
        raise Fault(needless)
    seller = await clerk.number_or_all("ask.seller") if sale is None else None
    original = read_txid(text, clerk.desk) if sale is None else sale.txid
    points = await clerk.number_or_all("ask.back")
    if sale is None:
        clerk.show(_unknown_sale(clerk, original, seller, points))
        agreed = await clerk.agrees("ask.refund")
    else:
        agreed = await _agreed(clerk, sale, "ask.refund", points)
    if agreed:
        result = await clerk.terminal.refund(original, card, amount=points, terminal=seller)
        clerk.print_result(result, about=original)


async def balance(clerk: Clerk) -> None:
    """What the card can spend."""
    reply = await clerk.terminal.balance(await clerk.shown_card())
    clerk.print(balance_receipt(reply, clerk.terminal.identity, clerk.texts))


async def history(clerk: Clerk) -> None:
    """What happened on the account."""
    card = await clerk.shown_card()
    pin = await clerk.ask("ask.pin_needed", hidden=True)
    if not pin:
        raise Fault(clerk.texts("fault.pin_needed"))
    reply = await clerk.terminal.history(card, pin=pin)
    clerk.print(history_receipt(reply, clerk.terminal.identity, clerk.texts))


async def catalogue(clerk: Clerk) -> None:
    """The services sold here."""
    services = await clerk.services()
    clerk.print(catalogue_receipt(services, clerk.terminal.identity, clerk.texts))


async def journal(clerk: Clerk) -> None:
    """This terminal's own record."""
    await trio.lowlevel.checkpoint()
    purchases = clerk.terminal.recent(JOURNAL)
    clerk.print(journal_receipt(purchases, clerk.terminal.identity, clerk.texts))


async def status(clerk: Clerk) -> None:
    """What the server has recorded."""
    text = await clerk.ask("ask.status") or "last"
    txid = chosen_purchase(text, clerk.desk, clerk.terminal).txid
    reply = await clerk.terminal.status(txid)
    clerk.print(status_receipt(txid, reply, clerk.terminal.identity, clerk.texts))


async def change_pin(clerk: Clerk) -> None:
    """Change the card's PIN."""
    card = await clerk.shown_card()
    pin = await clerk.ask("ask.old_pin", hidden=True) or None
    code = None if pin is not None else await clerk.ask("ask.reset_code", hidden=True)
    if pin is None and not code:
        raise Fault(clerk.texts("fault.old_pin_needed"))
    new_pin = await new_pin_of(clerk.desk)
    reply = await clerk.terminal.change_pin(card, new_pin, pin=pin, reset_code=code)
    clerk.print(pin_receipt(reply, card[-TAIL:], clerk.terminal.identity, clerk.texts))


async def day_end(clerk: Clerk) -> None:
    """Close the batch; first one that an earlier day's end had left without an answer."""
    clerk.say("day_end")
    if not await clerk.agrees("ask.day_end"):
        return
    resumed = True
    while resumed:
        day = await clerk.terminal.reconcile()
        clerk.print(day_receipt(day, clerk.terminal.identity, clerk.texts))
        resumed = day.resumed


# ---- what they share ----------------------------------------------------------------------------


async def _much(clerk: Clerk, service: CatalogueItem) -> int:
    """Points of an open amount, units of a fixed price."""
    return await clerk.number("ask.amount") if service.open else await clerk.number("ask.quantity", "1")


async def _choose_hold(clerk: Clerk) -> Purchase:
    """An open hold, by its number in the list or its txid. Fault."""
    holds = holds_of(clerk.desk, clerk.terminal)
    if not holds:
        raise Fault(clerk.texts("no_holds"))
    await clerk.learn_names()
    now_ms = server_now_ms(clerk.desk, clerk.terminal)
    listed = holds_receipt(holds, clerk.terminal.identity, clerk.texts, now_ms=now_ms, names=clerk.names)
    clerk.show(listed)
    text = await clerk.ask("ask.hold")
    if text.isdecimal() and 1 <= int(text) <= len(holds):
        return holds[int(text) - 1]
    chosen = chosen_hold(text, clerk.desk, clerk.terminal)
    over = hold_is_over(chosen, clerk.desk, clerk.terminal, last=False)
    if over is not None:
        raise Fault(over)
    return chosen


async def _agreed(clerk: Clerk, purchase: Purchase, asked: str, points: int | None = None) -> bool:
    """Show what it is about, and ask."""
    await clerk.learn_names()
    shown = question(
        purchase,
        clerk.terminal.identity,
        clerk.texts,
        asked=asked,
        points=points,
        service=service_of(purchase, clerk.terminal),
        names=clerk.names,
    )
    clerk.show(shown)
    return await clerk.agrees("ask.undo" if asked == "undo" else asked)


def _unknown_sale(clerk: Clerk, original: bytes, seller: int | None, points: int | None) -> Receipt:
    """All that is known here of a purchase that another terminal made, or that is long ago."""
    texts = clerk.texts
    lines = head(clerk.terminal.identity, texts)
    lines.append((texts("original"), txid_text(original)))
    if seller is not None:
        lines.append((texts("sold_by"), str(seller)))
    lines.append((texts("points.refund"), texts("all_that_remains") if points is None else str(points)))
    return Receipt(texts("title.ask.refund"), WARNING, tuple(lines))
