"""The subcommands that move or reserve points: redeem, hold, capture, release, refund, reverse."""

import argparse

from protocol.limits import MAX_HOLD_SECONDS, MIN_HOLD_SECONDS
from txserver.pos_answers import TAKEN_BACK, came_out, needless
from txserver.pos_choice import (
    chosen_hold,
    chosen_purchase,
    chosen_sale,
    hold_is_over,
    nothing_to_refund,
    nothing_to_undo,
    read_txid,
)
from txserver.pos_desk import Desk, Fault, at_work
from txserver.scan import read_card, read_chip
from txserver.terminal import Terminal

__all__ = ["capture", "card_of", "hold", "pin_of", "redeem", "refund", "release", "reverse"]


async def redeem(args: argparse.Namespace, desk: Desk) -> int:
    """Spend points for a service."""
    credential, chip = card_of(args)
    txid, quantity = _named(args.txid, desk), _quantity(args)
    pin = await pin_of(args, desk)
    async with at_work(desk) as terminal:
        result = await terminal.redeem(
            credential,
            args.service,
            pin=pin,
            quantity=quantity,
            amount=args.amount,
            chip=chip,
            reference=args.reference,
            txid=txid,
        )
        return came_out(args, desk, terminal, result)


async def hold(args: argparse.Namespace, desk: Desk) -> int:
    """Reserve points for a job."""
    credential, chip = card_of(args)
    txid, quantity, hold_s = _named(args.txid, desk), _quantity(args), _hold_s(args, desk)
    pin = await pin_of(args, desk)
    async with at_work(desk) as terminal:
        result = await terminal.hold(
            credential,
            args.service,
            pin=pin,
            quantity=quantity,
            amount=args.amount,
            hold_s=hold_s,
            chip=chip,
            reference=args.reference,
            txid=txid,
        )
        return came_out(args, desk, terminal, result)


async def capture(args: argparse.Namespace, desk: Desk) -> int:
    """Take points of a hold; the rest is released."""
    async with at_work(desk) as terminal:
        held = chosen_hold(args.txid, desk, terminal)
        over = hold_is_over(held, desk, terminal, last=True) if args.txid == "last" else None
        if over is not None:
            return needless(args, desk, held.txid, held.state.value, over)
        result = await terminal.capture(held.txid, args.points, reference=args.reference)
        return came_out(args, desk, terminal, result, about=held.txid)


async def release(args: argparse.Namespace, desk: Desk) -> int:
    """Give back all points of a hold."""
    async with at_work(desk) as terminal:
        held = chosen_hold(args.txid, desk, terminal)
        over = hold_is_over(held, desk, terminal, last=True) if args.txid == "last" else None
        if over is not None:
            return needless(args, desk, held.txid, held.state.value, over)
        result = await terminal.release(held.txid)
        return came_out(args, desk, terminal, result, about=held.txid)


async def refund(args: argparse.Namespace, desk: Desk) -> int:
    """Give points of a purchase back, all or some."""
    credential, chip = card_of(args)
    txid = _named(args.txid, desk)
    if args.original == "last" and args.terminal is not None:
        raise Fault(desk.texts("fault.last_elsewhere"))
    async with at_work(desk) as terminal:
        original = _original(args, desk, terminal)
        if isinstance(original, int):
            return original
        result = await terminal.refund(
            original,
            credential,
            amount=args.amount,
            terminal=args.terminal,
            chip=chip,
            reference=args.reference,
            txid=txid,
        )
        return came_out(args, desk, terminal, result, about=original)


def _original(args: argparse.Namespace, desk: Desk, terminal: Terminal) -> bytes | int:
    """The txid of what is refunded; or the exit code, when the last purchase leaves nothing to refund."""
    sale = None if args.terminal is not None else chosen_sale(args.original, desk, terminal)
    if sale is None:
        return read_txid(args.original, desk)
    spent_nothing = nothing_to_refund(sale, desk) if args.original == "last" else None
    if spent_nothing is not None:
        return needless(args, desk, sale.txid, sale.state.value, spent_nothing)
    return sale.txid


async def reverse(args: argparse.Namespace, desk: Desk) -> int:
    """Take a purchase, a hold or a capture back."""
    async with at_work(desk) as terminal:
        purchase = chosen_purchase(args.txid, desk, terminal)
        # A txid that is named may be taken back as often as a script likes. "last" must not become the
        # one before, which is somebody else's.
        done = nothing_to_undo(purchase, desk, terminal, last=True) if args.txid == "last" else None
        if done is not None:
            return needless(args, desk, purchase.txid, purchase.state.value, done)
        result = await terminal.reverse(purchase.txid)
        return came_out(args, desk, terminal, result, wanted=TAKEN_BACK)


# ---- what was typed -----------------------------------------------------------------------------


def card_of(args: argparse.Namespace) -> tuple[str, bytes | None]:
    """(credential, chip). CredentialError, ScanError."""
    chip = None if args.chip is None else read_chip(args.chip)
    return read_card(args.card if args.card is not None else args.card_image), chip


async def pin_of(args: argparse.Namespace, desk: Desk, question: str = "ask.pin") -> str | None:
    """From the command line, the environment, or the clerk; None when nobody gives one."""
    if args.pin is not None or desk.pin is not None or desk.ask is None:
        return args.pin if args.pin is not None else desk.pin
    return await desk.ask(desk.texts(question), True) or None


def _named(text: str | None, desk: Desk) -> bytes | None:
    return None if text is None else read_txid(text, desk)


def _quantity(args: argparse.Namespace) -> int | None:
    """One unit, unless something else was said."""
    quantity: int | None = 1 if args.quantity is None and args.amount is None else args.quantity
    return quantity


def _hold_s(args: argparse.Namespace, desk: Desk) -> int | None:
    """Seconds; None for the server's usual time. Fault."""
    if args.hours is None and args.minutes is None:
        return None
    seconds: int = args.hours * 3600 if args.hours is not None else args.minutes * 60
    if not MIN_HOLD_SECONDS <= seconds <= MAX_HOLD_SECONDS:
        raise Fault(desk.texts("fault.hold_time"))
    return seconds
