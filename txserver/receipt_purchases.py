"""Receipts of everything that moves or reserves points, and the questions that are asked before it."""

from collections.abc import Iterable, Mapping, Sequence

from protocol.messages import Capture, Release
from txserver.pos_texts import Texts
from txserver.receipt import (
    BAD,
    GOOD,
    NO_NAMES,
    PLAIN,
    TAIL,
    WARNING,
    Line,
    Receipt,
    head,
    moment,
    txid_text,
)
from txserver.terminal import Outcome, Result
from txserver.terminal_identity import TerminalIdentity
from txserver.terminal_operations import ADVICES, Answer, Purchase, State
from txserver.terminal_rules import APPROVED_CODE, STANDS

__all__ = ["holds_receipt", "journal_receipt", "open_holds", "purchase_receipt", "question", "refundable",
           "result_title", "state_word"]  # fmt: skip

_TONES = {Outcome.APPROVED: GOOD, Outcome.REVERSED: GOOD, Outcome.REFUSED: BAD, Outcome.NEVER: BAD}
_PLAIN_OUTCOMES = (Outcome.APPROVED, Outcome.REFUSED)

# A capture or a release that the server refused leaves its hold as it was, unless the hold was over.
_HOLD_IS_OVER = (3012, 3013, 3014)


def result_title(result: Result, texts: Texts) -> str:
    """The outcome in capitals: of a hold that is approved, that points are held."""
    return texts.first(*_keys("title", result))


def purchase_receipt(
    result: Result,
    identity: TerminalIdentity,
    texts: Texts,
    *,
    unsettled: int = 0,
    names: Mapping[str, str] = NO_NAMES,
    about: bytes | None = None,
) -> Receipt:
    """How an operation or a reversal came out, and what that means for the clerk.

    `names`: of services by their code, as far as they are known. `about`: the hold that was captured or
    released, or the purchase that was refunded.
    """
    lines = head(identity, texts)
    answer = result.answer
    if answer is not None:
        lines += [(texts("time"), moment(answer.server_at)), (texts("day"), answer.business_date)]
    if result.txid is not None:
        lines.append((texts("txid"), txid_text(result.txid)))
    if about is not None:
        lines.append((texts("hold" if result.kind in ADVICES else "original"), txid_text(about)))
    if result.service is not None:
        lines.append((texts("service"), names.get(result.service, result.service)))
    if answer is not None:
        lines += _answer_lines(answer, result, texts)
    if result.outcome is Outcome.OFFLINE and unsettled:
        lines += ["", texts("means.owed", count=unsettled)]
    elif result.outcome not in _PLAIN_OUTCOMES:
        lines += ["", texts.first(*_keys("means", result))]
    return Receipt(result_title(result, texts), _TONES.get(result.outcome, WARNING), tuple(lines))


def _keys(family: str, result: Result) -> list[str]:
    """Names of texts, the most special first."""
    outcome = result.outcome.value
    keys = [f"{family}.{result.kind}.{outcome}", f"{family}.{outcome}"]
    if result.outcome is Outcome.DISPUTED and result.answer is not None:
        # Only an accepted reversal tells an outcome; without one the server does not say what became of it.
        told = result.answer.outcome
        special = told if told in STANDS else None if result.answer.code != APPROVED_CODE else "unsettled"
        keys.insert(0, f"{family}.{outcome}.{special}")
    return keys


def _answer_lines(answer: Answer, result: Result, texts: Texts) -> list[Line]:
    lines: list[Line] = []
    if answer.approval is not None:
        lines.append((texts("approval"), answer.approval))
    if answer.points:
        kind = result.kind if result.outcome is Outcome.APPROVED else "points"
        lines.append((texts.first(f"points.{kind}", "points"), f"{answer.points}"))
    if answer.released:
        lines.append((texts("released"), f"{answer.released}"))
    if answer.expires_at is not None and result.outcome is Outcome.APPROVED:
        lines.append((texts("held_until"), moment(answer.expires_at)))
    if answer.remaining is not None and result.outcome is Outcome.APPROVED:
        lines.append((texts("remaining"), f"{answer.remaining}"))
    if answer.balance is not None:
        lines.append((texts("balance"), f"{answer.balance}"))
    if answer.code != APPROVED_CODE:
        lines += [(texts("code"), str(answer.code)), texts.code(answer.code, answer.text)]
    if answer.recorded:
        lines.append(texts("recorded"))
    if answer.receipt:
        lines += ["", *answer.receipt]
    return lines


def question(
    purchase: Purchase,
    identity: TerminalIdentity,
    texts: Texts,
    *,
    asked: str = "undo",
    points: int | None = None,
    service: str | None = None,
    names: Mapping[str, str] = NO_NAMES,
) -> Receipt:
    """What is about to be taken back, captured, released or refunded, for the clerk to look at before.

    `asked`: undo, ask.capture, ask.release or ask.refund; `points`: how many, if not all of them;
    `service`: what it was for, as far as it is known.
    """
    request, answer = purchase.request, purchase.answer
    lines = head(identity, texts)
    lines.append((texts("time"), moment(request.at)))
    if service is not None:
        lines.append((texts("service"), names.get(service, service)))
    if answer is not None:
        lines.append((texts.first(f"points.{purchase.kind}", "points"), f"{answer.points}"))
    if points is not None:
        lines.append((texts(f"points.{asked.removeprefix('ask.')}"), f"{points}"))
    lines += [
        (texts("card"), f"…{request.credential[-TAIL:]}"),
        (texts("txid"), txid_text(purchase.txid)),
        (texts("state"), state_word(purchase, texts)),
    ]
    return Receipt(texts(f"title.{asked}"), WARNING, tuple(lines))


def state_word(purchase: Purchase, texts: Texts) -> str:
    """Where a purchase stands, in a word or two."""
    if purchase.state is State.OPEN and purchase.kind in ADVICES:
        return texts("state.stored")
    return texts(f"state.{purchase.state.value}")


def journal_receipt(purchases: Sequence[Purchase], identity: TerminalIdentity, texts: Texts) -> Receipt:
    """The terminal's own record, newest first."""
    lines = head(identity, texts)
    for purchase in purchases:
        approved = purchase.answer is not None and purchase.state is State.APPROVED
        points = f"{purchase.answer.points}" if approved and purchase.answer is not None else ""
        lines.append((txid_text(purchase.txid), points))
        what = [texts.kind(purchase.kind)]
        if purchase.service is not None:
            what.append(purchase.service)
        parts = (moment(purchase.request.at)[:16], " ".join(what), state_word(purchase, texts))
        lines.append("  " + " · ".join(parts))
    if not purchases:
        lines.append(texts("nothing"))
    return Receipt(texts("title.journal"), PLAIN, tuple(lines))


def open_holds(purchases: Iterable[Purchase], now_ms: int = 0) -> list[Purchase]:
    """The holds among `purchases` that still reserve points by what this terminal knows, first to end first.

    `now_ms`: of the server's clock, as well as it is known; 0 leaves it to the server which are too old.
    """
    purchases = list(purchases)
    ended = {
        purchase.request.hold
        for purchase in purchases
        if isinstance(purchase.request, Capture | Release) and not _left_open(purchase)
    }
    held = [
        purchase
        for purchase in purchases
        if purchase.kind == "hold"
        and purchase.state is State.APPROVED
        and purchase.txid not in ended
        and _ends_at(purchase) > now_ms
    ]
    return sorted(held, key=_ends_at)


def _left_open(purchase: Purchase) -> bool:
    if purchase.state is not State.REFUSED or purchase.answer is None:
        return False
    return purchase.answer.code not in _HOLD_IS_OVER


def _ends_at(purchase: Purchase) -> int:
    """Milliseconds since 1970; a hold whose end this terminal was never told is taken for open."""
    answer = purchase.answer
    return 2**63 if answer is None or answer.expires_at is None else answer.expires_at


def holds_receipt(
    holds: Sequence[Purchase],
    identity: TerminalIdentity,
    texts: Texts,
    *,
    now_ms: int,
    names: Mapping[str, str] = NO_NAMES,
) -> Receipt:
    """Open holds, numbered as the screen's questions count, with the time that is left."""
    lines = head(identity, texts)
    for number, hold in enumerate(holds, start=1):
        assert hold.answer is not None
        service = hold.service or ""
        lines.append((f"{number:>2} {names.get(service, service)}", f"…{hold.request.credential[-TAIL:]}"))
        ends_at = hold.answer.expires_at
        points = hold.answer.points
        if ends_at is None:
            lines.append("   " + f"{points}")
        else:
            left = texts.span((ends_at - now_ms) / 1000)
            lines.append("   " + texts("hold_left", points=points, left=left))
        lines.append("   " + txid_text(hold.txid))
    if not holds:
        lines.append(texts("no_holds"))
    return Receipt(texts("title.holds"), PLAIN, tuple(lines))


def refundable(purchase: Purchase) -> bool:
    """Whether points of it may be given back, as far as this terminal knows."""
    return purchase.kind in ("redeem", "capture") and purchase.state is State.APPROVED
