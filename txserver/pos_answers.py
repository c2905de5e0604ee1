"""How a subcommand answers: a receipt or one line of JSON, and an exit code."""

import argparse
import json
from collections.abc import Collection
from typing import Any

import msgspec

from protocol.messages import Reply
from txserver.pos_desk import Desk, sentence_of
from txserver.receipt import Receipt, panel, txid_text
from txserver.receipt_purchases import purchase_receipt, result_title
from txserver.terminal import Outcome, Result, Terminal, Unreachable
from txserver.terminal_rules import APPROVED_CODE, NOT_RECORDED

__all__ = ["APPROVED", "FAULT", "REFUSED", "STOPPED", "as_json", "came_out", "exit_code", "facts_of",
           "needless", "put", "put_line"]  # fmt: skip

APPROVED, REFUSED, FAULT, STOPPED = 0, 1, 2, 130

SOLD = frozenset({Outcome.APPROVED})
TAKEN_BACK = frozenset({Outcome.REVERSED})
_NOT_DONE = frozenset({Outcome.REFUSED, Outcome.REVERSED})


def came_out(
    args: argparse.Namespace,
    desk: Desk,
    terminal: Terminal,
    result: Result,
    *,
    wanted: Collection[Outcome] = SOLD,
    about: bytes | None = None,
) -> int:
    """Print how an operation came out, and what became of earlier ones meanwhile; the exit code.

    `wanted`: the outcomes that are what was asked for. `about`: the txid of what it follows.
    """
    texts = desk.texts
    for earlier in terminal.settled:
        if earlier.txid is not None and earlier.txid != result.txid:
            title = result_title(earlier, texts)
            desk.say(texts("settled", txid=txid_text(earlier.txid), title=title))
    answer = result.answer
    facts: dict[str, Any] = {
        "outcome": result.outcome.value,
        "kind": result.kind,
        "txid": None if result.txid is None else txid_text(result.txid),
        "about": None if about is None else txid_text(about),
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
        "released": 0,
        "remaining": None,
        "expires_at": None,
    }
    if answer is not None:
        told = msgspec.to_builtins(answer)
        # What became of the original is not how this came out.
        reversal = told.pop("outcome", None)
        facts |= {**told, **({} if reversal is None else {"reversal": reversal})}
    put(
        args,
        desk,
        purchase_receipt(result, terminal.identity, texts, unsettled=terminal.unsettled, about=about),
        facts,
    )
    if result.outcome is Outcome.OFFLINE and terminal.trouble is not None:
        desk.say(sentence_of(Unreachable(terminal.trouble), desk))
    if result.outcome in wanted:
        return APPROVED
    return REFUSED if result.outcome in _NOT_DONE else FAULT


def needless(args: argparse.Namespace, desk: Desk, txid: bytes, state: str, why: str) -> int:
    """Nothing is left to do about the one that "last" means: say so, and do nothing."""
    desk.say(why)
    if as_json(args):
        put_line(desk, {"outcome": "refused", "txid": txid_text(txid), "state": state})
    return REFUSED


def facts_of(reply: Reply) -> dict[str, Any]:
    """A reply as plain data, `outcome` first; ids are not for scripts to match."""
    facts: dict[str, Any] = msgspec.to_builtins(reply)
    del facts["id"]
    return {"outcome": "approved" if reply.code == APPROVED_CODE else "refused", **facts}


def exit_code(reply: Reply) -> int:
    """Of a reply to something that was only asked."""
    if reply.code == NOT_RECORDED:
        return FAULT
    return APPROVED if reply.code == APPROVED_CODE else REFUSED


def as_json(args: argparse.Namespace) -> bool:
    """Whether the answer is for a script."""
    return bool(getattr(args, "json", False))


def put(args: argparse.Namespace, desk: Desk, receipt: Receipt, facts: dict[str, Any]) -> None:
    """The answer, in the form that was asked for."""
    if as_json(args):
        put_line(desk, facts)
    else:
        desk.paper.print(panel(receipt))


def put_line(desk: Desk, facts: dict[str, Any]) -> None:
    """One line of JSON on the paper."""
    print(json.dumps(facts, ensure_ascii=False), file=desk.paper.file)
