"""The emulated POS for scripts: each subcommand does one thing, prints one receipt or one line of JSON.

Exit codes: 0 approved, 1 refused, 2 a fault or wrong usage, 130 stopped with Ctrl-C.
"""

import argparse
import json
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
import trio
from rich.console import Console

from protocol.messages import Reply
from txserver import receipt as receipts
from txserver.pos_desk import (
    FAULTS,
    JOURNAL,
    Desk,
    Fault,
    at_work,
    become_terminal,
    chosen_purchase,
    known_fault,
    nothing_to_undo,
    opened_store,
    read_txid,
    sentence_of,
)
from txserver.pos_texts import Texts
from txserver.receipt import Receipt, panel, txid_text
from txserver.scan import read_card, read_chip
from txserver.terminal import Outcome, Result, Terminal, Unreachable
from txserver.terminal_identity import TerminalIdentity
from txserver.terminal_rules import APPROVED_CODE, NOT_RECORDED

__all__ = ["run", "run_command"]

APPROVED, REFUSED, FAULT, STOPPED = 0, 1, 2, 130

_EXIT_CODES = {Outcome.APPROVED: APPROVED, Outcome.REVERSED: APPROVED, Outcome.REFUSED: REFUSED}


def run(
    args: argparse.Namespace, pin: str | None, *, random: Callable[[int], bytes], now_ms: Callable[[], int]
) -> int:
    """The process's own POS, until it is done; returns the exit code. `pin`: from the environment."""
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
        pin=pin,
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


# ---- subcommands --------------------------------------------------------------------------------


async def _enrol(args: argparse.Namespace, desk: Desk) -> int:
    identity = await become_terminal(args.code, desk, replace=args.replace)
    facts = {"outcome": "enrolled", "terminal": identity.terminal, "merchant": identity.merchant}
    _print(args, desk, receipts.enrolment_receipt(identity, desk.texts), {**facts, "store": identity.store})
    return APPROVED


async def _redeem(args: argparse.Namespace, desk: Desk) -> int:
    credential, chip = _card(args)
    txid = None if args.txid is None else read_txid(args.txid, desk)
    quantity = 1 if args.quantity is None and args.amount is None else args.quantity
    pin = await _pin(args, desk)
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
        return _came_out(args, desk, terminal, result)


async def _reverse(args: argparse.Namespace, desk: Desk) -> int:
    async with at_work(desk) as terminal:
        purchase = chosen_purchase(args.txid, desk, terminal)
        # A txid that is named may be taken back as often as a script likes. "last" must not become the
        # one before, which is somebody else's.
        needless = nothing_to_undo(purchase, desk, last=True) if args.txid == "last" else None
        if needless is not None:
            desk.say(needless)
            if getattr(args, "json", False):
                facts = {"txid": txid_text(purchase.txid), "state": purchase.state.value}
                _print_line(desk, {"outcome": "refused", **facts})
            return REFUSED
        return _came_out(args, desk, terminal, await terminal.reverse(purchase.txid))


async def _status(args: argparse.Namespace, desk: Desk) -> int:
    async with at_work(desk) as terminal:
        txid = chosen_purchase(args.txid, desk, terminal).txid
        reply = await terminal.status(txid)
        _print(args, desk, receipts.status_receipt(txid, reply, terminal.identity, desk.texts), _facts(reply))
        return _exit_code(reply)


async def _balance(args: argparse.Namespace, desk: Desk) -> int:
    credential, chip = _card(args)
    pin = args.pin if args.pin is not None else desk.pin
    async with at_work(desk) as terminal:
        reply = await terminal.balance(credential, pin=pin, chip=chip)
        _print(args, desk, receipts.balance_receipt(reply, terminal.identity, desk.texts), _facts(reply))
        return _exit_code(reply)


async def _history(args: argparse.Namespace, desk: Desk) -> int:
    credential, chip = _card(args)
    pin = await _pin(args, desk, "ask.pin_needed")
    if pin is None and desk.ask is not None:
        raise Fault(desk.texts("fault.pin_needed"))
    async with at_work(desk) as terminal:
        reply = await terminal.history(
            credential, pin=pin, chip=chip, since=args.since, until=args.until, cursor=args.cursor
        )
        _print(args, desk, receipts.history_receipt(reply, terminal.identity, desk.texts), _facts(reply))
        return _exit_code(reply)


async def _catalogue(args: argparse.Namespace, desk: Desk) -> int:
    async with at_work(desk) as terminal:
        services = await terminal.catalogue()
        facts = {"outcome": "approved", "services": msgspec.to_builtins(services)}
        _print(args, desk, receipts.catalogue_receipt(services, terminal.identity, desk.texts), facts)
        return APPROVED


async def _journal(args: argparse.Namespace, desk: Desk) -> int:
    await trio.lowlevel.checkpoint()
    identity = TerminalIdentity.load(desk.device)
    with opened_store(desk) as store:
        purchases = store.recent(JOURNAL)
    facts: dict[str, object] = {
        "outcome": "approved",
        "purchases": [
            {"txid": txid_text(one.txid), "service": one.request.service, "state": one.state.value}
            for one in purchases
        ],
    }
    _print(args, desk, receipts.journal_receipt(purchases, identity, desk.texts), facts)
    return APPROVED


_COMMANDS: dict[str, Callable[[argparse.Namespace, Desk], Awaitable[int]]] = {
    "enrol": _enrol,
    "redeem": _redeem,
    "reverse": _reverse,
    "status": _status,
    "balance": _balance,
    "history": _history,
    "catalogue": _catalogue,
    "journal": _journal,
}


# ---- what they share ----------------------------------------------------------------------------


def _card(args: argparse.Namespace) -> tuple[str, bytes | None]:
    """(credential, chip). CredentialError, ScanError."""
    chip = None if args.chip is None else read_chip(args.chip)
    return read_card(args.card if args.card is not None else args.card_image), chip


async def _pin(args: argparse.Namespace, desk: Desk, question: str = "ask.pin") -> str | None:
    """From the command line, the environment, or the clerk; None when nobody gives one."""
    if args.pin is not None or desk.pin is not None or desk.ask is None:
        return args.pin if args.pin is not None else desk.pin
    return await desk.ask(desk.texts(question), True) or None


def _came_out(args: argparse.Namespace, desk: Desk, terminal: Terminal, result: Result) -> int:
    """Print how a purchase came out, and what became of earlier ones meanwhile; the exit code."""
    texts = desk.texts
    for earlier in terminal.settled:
        if earlier.txid is not None and earlier.txid != result.txid:
            title = texts(f"title.{earlier.outcome.value}")
            desk.say(texts("settled", txid=txid_text(earlier.txid), title=title))
    answer = result.answer
    facts: dict[str, Any] = {
        "outcome": result.outcome.value,
        "txid": None if result.txid is None else txid_text(result.txid),
        "service": result.service,
        "terminal": terminal.identity.terminal,
        "merchant": terminal.identity.merchant,
        "store": terminal.identity.store,
        "unsettled": terminal.unsettled,
        # An answer leaves out what it does not say; a script finds every name.
        "recorded": False,
        "approval": None,
        "points": 0,
        "balance": None,
        **({} if answer is None else msgspec.to_builtins(answer)),
    }
    paper = receipts.purchase_receipt(result, terminal.identity, texts, unsettled=terminal.unsettled)
    _print(args, desk, paper, facts)
    if result.outcome is Outcome.OFFLINE and terminal.trouble is not None:
        desk.say(sentence_of(Unreachable(terminal.trouble), desk))
    return _EXIT_CODES.get(result.outcome, FAULT)


def _facts(reply: Reply) -> dict[str, Any]:
    """A reply as plain data, `outcome` first; ids are not for scripts to match."""
    facts: dict[str, Any] = msgspec.to_builtins(reply)
    del facts["id"]
    return {"outcome": "approved" if reply.code == APPROVED_CODE else "refused", **facts}


def _exit_code(reply: Reply) -> int:
    if reply.code == NOT_RECORDED:
        return FAULT
    return APPROVED if reply.code == APPROVED_CODE else REFUSED


def _print(args: argparse.Namespace, desk: Desk, receipt: Receipt, facts: dict[str, Any]) -> None:
    if getattr(args, "json", False):
        _print_line(desk, facts)
    else:
        desk.paper.print(panel(receipt))


def _print_line(desk: Desk, facts: dict[str, Any]) -> None:
    print(json.dumps(facts, ensure_ascii=False), file=desk.paper.file)
