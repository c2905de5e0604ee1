"""A message in, the ledger asked, a reply out. Plain functions; they know neither sockets nor frames.

Postings go through the batcher; rare and slow reads run on a thread with a pooled connection.
"""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import trio

from ledger import history, merchants, postings
from ledger.database import DatabaseAway
from ledger.postings import Code, Outcome, approval_number
from ledger.terminals import TerminalSeat
from protocol import messages
from protocol.codes import code_info
from protocol.credentials import CardToken, CredentialError, open_token
from txserver.batcher import NotRecorded
from txserver.context import Context, envelope, millis, moment

__all__ = ["answer", "not_recorded"]

CATALOGUE_PAGE = 8  # services in one frame at most
HISTORY_PAGE = 12  # transactions in one frame at most
PAGE_BYTES = 3_600  # of either; what else a reply holds takes less than the rest of MAX_PLAINTEXT
NAME_SHOWN = 40  # characters of a name that a terminal gets: what its screen and paper hold
CURSOR_INVALID = 3011
NOT_RECORDED = 1811

Item = TypeVar("Item", messages.CatalogueItem, messages.ConsumptionItem)


async def answer(context: Context, seat: TerminalSeat, message: messages.Request) -> messages.Reply:
    """The reply to any request but Login, Enrol and Logout, which belong to the conversation.

    When the database is away the reply says that nothing was recorded.
    """
    handler, reply_type = _HANDLERS[type(message)]
    try:
        return await handler(context, seat, message)
    except CredentialError:
        return _reply(context, reply_type, message, Code.CARD_UNKNOWN)
    except (NotRecorded, DatabaseAway):
        return not_recorded(context, message)


# ---- postings -----------------------------------------------------------------------------------


async def _redeem(context: Context, seat: TerminalSeat, message: messages.Redeem) -> messages.Reply:
    token = _token(context, message)
    outcome = await context.batcher.post(
        postings.Redeem(
            slot=token.slot,
            account=token.account,
            terminal=seat.id,
            txid=UUID(bytes=message.id),
            card=token.card,
            issue=token.issue,
            service=message.service,
            quantity=message.quantity,
            amount=message.amount,
            pin_proof=_proof(context, token, message.pin),
            reference=message.reference,
            terminal_at=moment(message.at),
            stan=message.stan,
            batch=message.batch,
        )
    )
    row = outcome.transaction if outcome.code is Code.APPROVED else None
    return _posted(
        context,
        messages.RedeemReply,
        message,
        outcome,
        approval=None if row is None else approval_number(row.id),
        points=outcome.points,
        balance=outcome.balance,
        receipt=[] if row is None else _receipt(seat, row),
    )


async def _reversal(context: Context, seat: TerminalSeat, message: messages.ReversalAdvice) -> messages.Reply:
    token = _token(context, message)
    outcome = await context.batcher.post(
        postings.Reversal(
            slot=token.slot,
            account=token.account,
            terminal=seat.id,
            txid=UUID(bytes=message.id),
            original=UUID(bytes=message.original),
            reason=message.reason,
            terminal_at=moment(message.at),
            stan=message.stan,
            batch=message.batch,
        )
    )
    return _posted(
        context,
        messages.ReversalAdviceReply,
        message,
        outcome,
        outcome=outcome.detail,
        points=outcome.points,
        balance=outcome.balance,
    )


async def _status(
    context: Context, seat: TerminalSeat, message: messages.TransactionStatus
) -> messages.Reply:
    token = _token(context, message)
    outcome = await context.batcher.post(
        postings.Status(
            slot=token.slot,
            account=token.account,
            terminal=seat.id,
            txid=UUID(bytes=message.id),
            original=UUID(bytes=message.original),
            fence=message.fence,
        )
    )
    row = outcome.transaction
    if row is None:
        return _posted(context, messages.TransactionStatusReply, message, outcome)
    return _posted(
        context,
        messages.TransactionStatusReply,
        message,
        outcome,
        original_code=row.code,
        approval=approval_number(row.id) if row.code == Code.APPROVED else None,
        points=row.points,
        balance=row.balance,
        reversed=row.reversed,
    )


async def _inquire(
    context: Context,
    seat: TerminalSeat,
    message: messages.BalanceInquiry | messages.ConsumptionInquiry,
    *,
    pin_needed: bool,
) -> tuple[CardToken, Outcome]:
    token = _token(context, message)
    outcome = await context.batcher.post(
        postings.Inquiry(
            slot=token.slot,
            account=token.account,
            terminal=seat.id,
            txid=UUID(bytes=message.id),
            card=token.card,
            issue=token.issue,
            pin_proof=_proof(context, token, message.pin),
            pin_needed=pin_needed,
        )
    )
    return token, outcome


async def _balance(context: Context, seat: TerminalSeat, message: messages.BalanceInquiry) -> messages.Reply:
    _, outcome = await _inquire(context, seat, message, pin_needed=False)
    return _posted(
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


# ---- reads --------------------------------------------------------------------------------------


async def _consumption(
    context: Context, seat: TerminalSeat, message: messages.ConsumptionInquiry
) -> messages.Reply:
    reply_type = messages.ConsumptionInquiryReply
    token, outcome = await _inquire(context, seat, message, pin_needed=True)
    if outcome.code is not Code.APPROVED:
        return _posted(context, reply_type, message, outcome)
    try:
        since = date.fromisoformat(message.since) if message.since else date.min
        until = date.fromisoformat(message.until) if message.until else date.max
        before = _before(message.cursor)
    except ValueError:
        return _reply(context, reply_type, message, CURSOR_INVALID)
    happened = await context.read(
        lambda connection: history.account_history(
            connection,
            token.slot,
            token.account,
            since=since,
            until=until,
            before=before,
            most=HISTORY_PAGE + 1,
        )
    )
    page = _fitting(
        [
            messages.ConsumptionItem(
                at=millis(item.at),
                kind=item.kind,
                points=item.points,
                merchant=item.merchant and item.merchant[:NAME_SHOWN],
                service=item.service,
                approval=approval_number(item.id),
                reversed=item.reversed,
            )
            for item in happened[:HISTORY_PAGE]
        ]
    )
    more = len(happened) > len(page)
    cursor = str(happened[len(page) - 1].id) if more else None
    return _posted(context, reply_type, message, outcome, items=page, cursor=cursor)


def _before(cursor: str | None) -> int:
    """The id that a page starts below. ValueError for a cursor that no reply of ours held."""
    if cursor is None:
        return history.NEWEST
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise ValueError("not a cursor")
    return int(cursor)


async def _catalogue(context: Context, seat: TerminalSeat, message: messages.Catalogue) -> messages.Reply:
    def ask(connection: Any) -> tuple[int, list[merchants.Offer]]:
        version = merchants.catalogue_version(connection)
        if version == message.held:
            return version, []
        offers = merchants.catalogue(connection, seat.id, after=message.after or "", most=CATALOGUE_PAGE + 1)
        return version, offers

    version, offers = await context.read(ask)
    page = _fitting(
        [
            messages.CatalogueItem(
                code=offer.code,
                name=offer.name[:NAME_SHOWN],
                name_zh=offer.name_zh[:NAME_SHOWN],
                unit=offer.unit[:NAME_SHOWN],
                points=offer.points,
                open=offer.open,
                min_points=offer.min_points,
                max_points=offer.max_points,
            )
            for offer in offers[:CATALOGUE_PAGE]
        ]
    )
    return _reply(
        context,
        messages.CatalogueReply,
        message,
        Code.APPROVED,
        version=version,
        unchanged=version == message.held,
        more=len(offers) > len(page),
        services=page,
    )


def _fitting(items: list[Item]) -> list[Item]:
    """As many of the first items as one frame holds; the longest names have four bytes a letter."""
    room = PAGE_BYTES
    for count, item in enumerate(items):
        room -= len(msgspec.msgpack.encode(item))
        if room < 0:
            return items[:count]
    return items


async def _echo(context: Context, seat: TerminalSeat, message: messages.Echo) -> messages.Reply:
    await trio.lowlevel.checkpoint()
    return _reply(context, messages.EchoReply, message, Code.APPROVED)


# ---- pieces -------------------------------------------------------------------------------------


def _token(
    context: Context,
    message: messages.Redeem
    | messages.ReversalAdvice
    | messages.TransactionStatus
    | messages.BalanceInquiry
    | messages.ConsumptionInquiry,
) -> CardToken:
    """What the card says. Raises CredentialError."""
    return open_token(message.credential, context.keyring.card_keys, message.chip)


def _proof(context: Context, token: CardToken, pin: str | None) -> bytes | None:
    """The PIN as the ledger compares it; the PIN itself goes no further than here."""
    if pin is None:
        return None
    return context.keyring.pin_verifier(token.slot, token.account, token.card, pin)


def _receipt(seat: TerminalSeat, row: postings.TransactionRow) -> list[str]:
    """Lines for the member, made from the recorded row, so that a repeat prints the same receipt."""
    return [
        f"{seat.merchant[:NAME_SHOWN]} · {seat.store[:NAME_SHOWN]}",
        f"{row.detail} × {row.quantity}",
        f"-{row.points} points",
        f"Balance {row.balance}",
        f"No. {approval_number(row.id)}",
    ]


def _posted(
    context: Context,
    reply_type: type[messages.Reply],
    message: messages.Request,
    outcome: Outcome,
    /,
    **fields: Any,
) -> messages.Reply:
    if outcome.business_date > context.business_date:
        context.business_date = outcome.business_date
    return reply_type(
        id=message.id,
        code=int(outcome.code),
        text=code_info(outcome.code).text,
        server_at=millis(outcome.at),
        business_date=outcome.business_date.isoformat(),
        recorded=outcome.recorded,
        **fields,
    )


def _reply(
    context: Context,
    reply_type: type[messages.Reply],
    message: messages.Request,
    code: int,
    **fields: Any,
) -> messages.Reply:
    if reply_type is messages.CatalogueReply:
        fields.setdefault("version", 0)
    return reply_type(**envelope(context, message, code), **fields)


def not_recorded(context: Context, message: messages.Request) -> messages.Reply:
    """Code 1811: nothing is known to be recorded, and a repeat under the same id is always right."""
    return _reply(context, _HANDLERS[type(message)][1], message, NOT_RECORDED)


Handler = Callable[[Context, TerminalSeat, Any], Awaitable[messages.Reply]]

_HANDLERS: dict[type[messages.Request], tuple[Handler, type[messages.Reply]]] = {
    messages.Redeem: (_redeem, messages.RedeemReply),
    messages.ReversalAdvice: (_reversal, messages.ReversalAdviceReply),
    messages.TransactionStatus: (_status, messages.TransactionStatusReply),
    messages.BalanceInquiry: (_balance, messages.BalanceInquiryReply),
    messages.ConsumptionInquiry: (_consumption, messages.ConsumptionInquiryReply),
    messages.Catalogue: (_catalogue, messages.CatalogueReply),
    messages.Echo: (_echo, messages.EchoReply),
}
