"""What a member asks at a counter: balance, history, a new PIN. The books check card and PIN each time."""

from datetime import date
from uuid import UUID

from ledger import history, postings
from ledger.postings import Code, Outcome, approval_number
from ledger.terminals import TerminalSeat
from protocol import messages
from protocol.credentials import CardToken
from txserver.answering import NAME_SHOWN, fitting, opened, posted, proof, replied, traced
from txserver.context import Context, millis
from txserver.cursors import page_start, to_cursor
from txserver.pins import is_fit

__all__ = ["ask_balance", "change_pin", "consumption", "pin_changed", "tell_balance"]

HISTORY_PAGE = 12  # transactions in one frame at most
CURSOR_INVALID = 3011


def ask_balance(context: Context, seat: TerminalSeat, message: messages.BalanceInquiry) -> postings.Inquiry:
    return _inquiry(context, seat, message, opened(context, message), pin_needed=False)


def tell_balance(
    context: Context, seat: TerminalSeat, message: messages.BalanceInquiry, outcome: Outcome
) -> messages.Reply:
    return posted(
        context,
        messages.BalanceInquiryReply,
        message,
        outcome,
        balance=outcome.balance,
        held=outcome.held,
        expiring=[
            messages.ExpiringPoints(points=points, last_day=day.isoformat())
            for points, day in outcome.expiring
        ],
    )


async def consumption(
    context: Context, seat: TerminalSeat, message: messages.ConsumptionInquiry
) -> messages.Reply:
    reply_type = messages.ConsumptionInquiryReply
    token = opened(context, message)
    outcome = await context.batcher.post(_inquiry(context, seat, message, token, pin_needed=True))
    if outcome.code is not Code.APPROVED:
        return posted(context, reply_type, message, outcome)
    key, slot, account = context.keyring.session_key, token.slot, token.account
    try:
        since = date.fromisoformat(message.since) if message.since else date.min
        until = date.fromisoformat(message.until) if message.until else date.max
        before = history.NEWEST
        if message.cursor is not None:
            before = page_start(key, slot, account, since, until, message.cursor)
    except ValueError:  # also of a day that no calendar has
        return replied(context, reply_type, message, CURSOR_INVALID)
    happened = await context.read(
        seat.id,
        lambda connection: history.account_history(
            connection, slot, account, since=since, until=until, before=before, most=HISTORY_PAGE + 1
        ),
    )
    page = fitting([_item(happening) for happening in happened[:HISTORY_PAGE]])
    more = len(happened) > len(page)
    cursor = to_cursor(key, slot, account, since, until, happened[len(page) - 1].id) if more else None
    return posted(context, reply_type, message, outcome, items=page, cursor=cursor)


def _item(happening: history.Happening) -> messages.ConsumptionItem:
    return messages.ConsumptionItem(
        at=millis(happening.at),
        kind=happening.kind,
        points=happening.points,
        merchant=happening.merchant and happening.merchant[:NAME_SHOWN],
        service=happening.service,
        approval=approval_number(happening.id),
        reversed=happening.reversed,
    )


def _inquiry(
    context: Context,
    seat: TerminalSeat,
    message: messages.BalanceInquiry | messages.ConsumptionInquiry,
    token: CardToken,
    *,
    pin_needed: bool,
) -> postings.Inquiry:
    return postings.Inquiry(
        slot=token.slot,
        account=token.account,
        terminal=seat.id,
        txid=UUID(bytes=message.id),
        card=token.card,
        issue=token.issue,
        pin_proof=proof(context, token, message.pin),
        pin_needed=pin_needed,
    )


def change_pin(context: Context, seat: TerminalSeat, message: messages.PinChange) -> postings.PinChange:
    """On the word of the one-time code when there is one, else of the present PIN."""
    token = opened(context, message)
    keyring, code = context.keyring, message.reset_code
    return postings.PinChange(
        **traced(seat, message, token),
        card=token.card,
        issue=token.issue,
        verifier=keyring.pin_verifier(token.slot, token.account, token.card, message.new_pin),
        fit=is_fit(message.new_pin),
        pin_proof=proof(context, token, message.pin),
        code_proof=(
            None if code is None else keyring.code_verifier(token.slot, token.account, token.card, code)
        ),
    )


def pin_changed(
    context: Context, seat: TerminalSeat, message: messages.PinChange, outcome: Outcome
) -> messages.Reply:
    return posted(context, messages.PinChangeReply, message, outcome)
