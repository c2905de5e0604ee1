"""What every answer is made of: what the card says, who asks, and the fields that every reply has."""

from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec

from ledger.postings import Outcome
from ledger.terminals import TerminalSeat
from protocol import messages
from protocol.codes import code_info
from protocol.credentials import CardToken, open_token
from txserver.context import Context, envelope, millis, moment

__all__ = ["NAME_SHOWN", "fitting", "opened", "posted", "proof", "replied", "traced"]

NAME_SHOWN = 40  # characters of a name that a terminal gets: what its screen and paper hold
PAGE_BYTES = 3_600  # of a list in a reply; what else it holds takes less than the rest of MAX_PLAINTEXT

Item = TypeVar("Item", bound=msgspec.Struct)


class OfACard(Protocol):
    """A message that a card was shown for."""

    @property
    def credential(self) -> str: ...
    @property
    def chip(self) -> bytes | None: ...


def opened(context: Context, message: OfACard) -> CardToken:
    """What the card says. Raises CredentialError."""
    return open_token(message.credential, context.keyring.card_keys, message.chip)


def proof(context: Context, token: CardToken, pin: str | None) -> bytes | None:
    """The PIN as the ledger compares it; the PIN itself goes no further than here."""
    if pin is None:
        return None
    return context.keyring.pin_verifier(token.slot, token.account, token.card, pin)


def traced(seat: TerminalSeat, message: messages.Request, token: CardToken) -> dict[str, Any]:
    """The fields that every posting of a terminal has: whose account, who asks, under which number, when."""
    return {
        "slot": token.slot,
        "account": token.account,
        "terminal": seat.id,
        "txid": UUID(bytes=message.id),
        "terminal_at": moment(message.at),
        "stan": message.stan,
        "batch": message.batch,
    }


def posted(
    context: Context,
    reply_type: type[messages.Reply],
    message: messages.Request,
    outcome: Outcome,
    /,
    **fields: Any,
) -> messages.Reply:
    """The reply of what the books have answered, dated as they date it."""
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


def replied(
    context: Context,
    reply_type: type[messages.Reply],
    message: messages.Request,
    code: int,
    **fields: Any,
) -> messages.Reply:
    """A reply that is given now and recorded nowhere."""
    if reply_type is messages.CatalogueReply:
        fields.setdefault("version", 0)
    return reply_type(**envelope(context, message, code), **fields)


def fitting(items: list[Item]) -> list[Item]:
    """As many of the first items as one frame holds; the longest names have four bytes a letter."""
    room = PAGE_BYTES
    for count, item in enumerate(items):
        room -= len(msgspec.msgpack.encode(item))
        if room < 0:
            return items[:count]
    return items
