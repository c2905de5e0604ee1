"""The subcommands that ask, change a PIN, or end the day: nothing here moves points."""

import argparse
from typing import Any

import msgspec
import trio

from txserver.pos_answers import APPROVED, REFUSED, as_json, exit_code, facts_of, put, put_line
from txserver.pos_choice import chosen_purchase
from txserver.pos_desk import FAULTS, JOURNAL, Desk, Fault, at_work, opened_store
from txserver.pos_sales import card_of, pin_of
from txserver.receipt import TAIL, panel, txid_text
from txserver.receipt_day import day_receipt
from txserver.receipt_inquiries import (
    balance_receipt,
    catalogue_receipt,
    history_receipt,
    pin_receipt,
    status_receipt,
)
from txserver.receipt_purchases import journal_receipt
from txserver.terminal import DayEnd
from txserver.terminal_identity import TerminalIdentity

__all__ = ["balance", "catalogue", "change_pin", "day_end", "day_facts", "history", "journal", "new_pin_of",
           "status"]  # fmt: skip


async def status(args: argparse.Namespace, desk: Desk) -> int:
    """What the server has recorded."""
    async with at_work(desk) as terminal:
        txid = chosen_purchase(args.txid, desk, terminal).txid
        reply = await terminal.status(txid)
        put(args, desk, status_receipt(txid, reply, terminal.identity, desk.texts), facts_of(reply))
        return exit_code(reply)


async def balance(args: argparse.Namespace, desk: Desk) -> int:
    """What a card can spend."""
    credential, chip = card_of(args)
    pin = args.pin if args.pin is not None else desk.pin
    async with at_work(desk) as terminal:
        reply = await terminal.balance(credential, pin=pin, chip=chip)
        put(args, desk, balance_receipt(reply, terminal.identity, desk.texts), facts_of(reply))
        return exit_code(reply)


async def history(args: argparse.Namespace, desk: Desk) -> int:
    """What happened on an account."""
    credential, chip = card_of(args)
    pin = await pin_of(args, desk, "ask.pin_needed")
    if pin is None and desk.ask is not None:
        raise Fault(desk.texts("fault.pin_needed"))
    async with at_work(desk) as terminal:
        reply = await terminal.history(
            credential, pin=pin, chip=chip, since=args.since, until=args.until, cursor=args.cursor
        )
        put(args, desk, history_receipt(reply, terminal.identity, desk.texts), facts_of(reply))
        return exit_code(reply)


async def catalogue(args: argparse.Namespace, desk: Desk) -> int:
    """The services sold here."""
    async with at_work(desk) as terminal:
        services = await terminal.catalogue()
        facts = {"outcome": "approved", "services": msgspec.to_builtins(services)}
        put(args, desk, catalogue_receipt(services, terminal.identity, desk.texts), facts)
        return APPROVED


async def journal(args: argparse.Namespace, desk: Desk) -> int:
    """This terminal's own record."""
    await trio.lowlevel.checkpoint()
    identity = TerminalIdentity.load(desk.device)
    with opened_store(desk) as store:
        purchases = store.recent(JOURNAL)
    facts: dict[str, object] = {
        "outcome": "approved",
        "purchases": [
            {
                "txid": txid_text(one.txid),
                "kind": one.kind,
                "service": one.service,
                "about": None if one.about is None else txid_text(one.about),
                "state": one.state.value,
                "points": one.booked or 0,
            }
            for one in purchases
        ],
    }
    put(args, desk, journal_receipt(purchases, identity, desk.texts), facts)
    return APPROVED


async def change_pin(args: argparse.Namespace, desk: Desk) -> int:
    """Change a card's PIN."""
    credential, chip = card_of(args)
    pin, code = await _proof(args, desk)
    new_pin = desk.new_pin or await new_pin_of(desk)
    async with at_work(desk) as terminal:
        reply = await terminal.change_pin(credential, new_pin, pin=pin, reset_code=code, chip=chip)
        put(
            args, desk, pin_receipt(reply, credential[-TAIL:], terminal.identity, desk.texts), facts_of(reply)
        )
        return exit_code(reply)


async def _proof(args: argparse.Namespace, desk: Desk) -> tuple[str | None, str | None]:
    """(present PIN, one-time code): one of them. Fault."""
    if args.reset_code is None:
        pin = await pin_of(args, desk, "ask.old_pin")
        if pin is not None:
            return pin, None
    code = args.reset_code or desk.reset_code
    if code is None and desk.ask is not None:
        code = await desk.ask(desk.texts("ask.reset_code"), True)
    if not code:
        raise Fault(desk.texts("fault.old_pin_needed"))
    return None, code


async def new_pin_of(desk: Desk) -> str:
    """The new PIN, typed twice. Fault."""
    if desk.ask is None:
        raise Fault(desk.texts("fault.new_pin_needed"))
    first = await desk.ask(desk.texts("ask.new_pin"), True)
    if not first:
        raise Fault(desk.texts("fault.new_pin_needed"))
    if await desk.ask(desk.texts("ask.new_pin_again"), True) != first:
        raise Fault(desk.texts("fault.new_pins_differ"))
    return first


async def day_end(args: argparse.Namespace, desk: Desk) -> int:
    """Close the batch; first one that an earlier day's end had left without an answer."""
    days: list[DayEnd] = []
    async with at_work(desk) as terminal:
        try:
            while not days or days[-1].resumed:
                days.append(await terminal.reconcile())
                if not as_json(args):
                    desk.paper.print(panel(day_receipt(days[-1], terminal.identity, desk.texts)))
        except FAULTS:
            if days and as_json(args):
                # The present day did not end; what was closed before it is told all the same.
                put_line(desk, {"outcome": "not_ended", "earlier": [day_facts(one) for one in days]})
            raise
    if as_json(args):
        put_line(desk, {**day_facts(days[-1]), "earlier": [day_facts(one) for one in days[:-1]]})
    return APPROVED if all(one.balanced for one in days) else REFUSED


def day_facts(day: DayEnd) -> dict[str, Any]:
    """A day's end as plain data."""
    return {
        "outcome": "balanced" if day.balanced else "out_of_balance",
        "batch": day.batch,
        "code": day.code,
        "own": msgspec.to_builtins(day.own),
        "server": msgspec.to_builtins(day.server),
        "differences": [
            {
                "txid": txid_text(result.id),
                "outcome": result.outcome,
                "kind": result.kind,
                "code": result.code,
                "points": result.points,
                "booked": result.booked,
            }
            for result in day.results
        ],
    }
