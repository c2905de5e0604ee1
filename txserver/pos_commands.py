"""The emulated POS for scripts: each subcommand does one thing, prints one receipt or one line of JSON.

Exit codes: 0 approved or balanced, 1 refused or out of balance, 2 a fault or wrong usage, 130 stopped
with Ctrl-C.
"""

import argparse
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import trio
from rich.console import Console

from txserver import pos_inquiries, pos_sales
from txserver.pos_answers import APPROVED, FAULT, STOPPED, put
from txserver.pos_desk import FAULTS, Desk, become_terminal, known_fault, sentence_of
from txserver.pos_texts import Texts
from txserver.receipt import enrolment_receipt

__all__ = ["Secrets", "run", "run_command"]


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the environment gives a script; None for what it does not."""

    pin: str | None = field(default=None, repr=False)
    new_pin: str | None = field(default=None, repr=False)
    reset_code: str | None = field(default=None, repr=False)


def run(
    args: argparse.Namespace, secrets: Secrets, *, random: Callable[[int], bytes], now_ms: Callable[[], int]
) -> int:
    """The process's own POS, until it is done; returns the exit code."""
    paper = Console(highlight=False, markup=False)
    voice = Console(stderr=True, highlight=False, markup=False)

    async def ask(question: str, hidden: bool) -> str:
        # The terminal keeps its line while the clerk thinks, so the keyboard is read in a thread.
        read = partial(voice.input, f"{question}: ", password=hidden)
        return await trio.to_thread.run_sync(read, abandon_on_cancel=True)

    desk = Desk(
        device=args.device,
        texts=Texts(args.language),
        random=random,
        now_ms=now_ms,
        dial=trio.open_tcp_stream,
        paper=paper,
        voice=voice,
        # A script without a keyboard is not asked; the screen is nothing but questions.
        ask=ask if args.pos_command is None or sys.stdin.isatty() else None,
        pin=secrets.pin,
        new_pin=secrets.new_pin,
        reset_code=secrets.reset_code,
    )

    async def work() -> int:
        if args.pos_command is not None:
            return await run_command(args, desk)
        from txserver.pos_screen import show

        return await show(desk)

    try:
        return trio.run(work)
    except (KeyboardInterrupt, BaseExceptionGroup) as error:
        if isinstance(error, KeyboardInterrupt) or error.subgroup(KeyboardInterrupt) is not None:
            voice.print()
            return STOPPED
        raise


async def run_command(args: argparse.Namespace, desk: Desk) -> int:
    """One subcommand; every fault is one sentence on the voice, and exit code 2."""
    fault: Exception | None
    try:
        return await _COMMANDS[args.pos_command](args, desk)
    except FAULTS as error:
        fault = error
    except ExceptionGroup as group:
        fault = known_fault(group)
        if fault is None:
            raise
    desk.say(sentence_of(fault, desk))
    return FAULT


async def _enrol(args: argparse.Namespace, desk: Desk) -> int:
    identity = await become_terminal(args.code, desk, replace=args.replace)
    facts = {"outcome": "enrolled", "terminal": identity.terminal, "merchant": identity.merchant}
    put(args, desk, enrolment_receipt(identity, desk.texts), {**facts, "store": identity.store})
    return APPROVED


async def _shop(args: argparse.Namespace, desk: Desk) -> int:
    # Twenty terminals and a table: not for a script that asks a balance.
    from txserver.shop import keep_shop

    return await keep_shop(args, desk)


_COMMANDS: dict[str, Callable[[argparse.Namespace, Desk], Awaitable[int]]] = {
    "enrol": _enrol,
    "redeem": pos_sales.redeem,
    "hold": pos_sales.hold,
    "capture": pos_sales.capture,
    "release": pos_sales.release,
    "refund": pos_sales.refund,
    "reverse": pos_sales.reverse,
    "status": pos_inquiries.status,
    "balance": pos_inquiries.balance,
    "history": pos_inquiries.history,
    "pin": pos_inquiries.change_pin,
    "catalogue": pos_inquiries.catalogue,
    "journal": pos_inquiries.journal,
    "day-end": pos_inquiries.day_end,
    "shop": _shop,
}
