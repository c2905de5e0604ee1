"""What a terminal asks about itself: proof of life, what its shop sells, a new key."""

from datetime import date
from typing import Any

import trio

from ledger import merchants, terminals
from ledger.postings import Code
from ledger.terminals import TerminalSeat
from protocol import messages
from txserver.answering import NAME_SHOWN, fitting, replied
from txserver.context import Context

__all__ = ["catalogue", "echo", "key_change"]

CATALOGUE_PAGE = 8  # services in one frame at most
KEY_UNUSABLE = 3020


async def echo(context: Context, seat: TerminalSeat, message: messages.Echo) -> messages.Reply:
    await trio.lowlevel.checkpoint()
    return replied(context, messages.EchoReply, message, Code.APPROVED)


async def catalogue(context: Context, seat: TerminalSeat, message: messages.Catalogue) -> messages.Reply:
    def ask(connection: Any) -> tuple[int, list[merchants.Offer]]:
        version = merchants.catalogue_version(connection)
        if version == message.held:
            return version, []
        offers = merchants.catalogue(connection, seat.id, after=message.after or "", most=CATALOGUE_PAGE + 1)
        return version, offers

    version, offers = await context.read(seat.id, ask)
    page = fitting([_item(offer) for offer in offers[:CATALOGUE_PAGE]])
    return replied(
        context,
        messages.CatalogueReply,
        message,
        Code.APPROVED,
        version=version,
        unchanged=version == message.held,
        more=len(offers) > len(page),
        services=page,
    )


def _item(offer: merchants.Offer) -> messages.CatalogueItem:
    def day(of: date | None) -> str | None:
        return None if of is None else of.isoformat()

    return messages.CatalogueItem(
        code=offer.code,
        name=offer.name[:NAME_SHOWN],
        name_zh=offer.name_zh[:NAME_SHOWN],
        unit=offer.unit[:NAME_SHOWN],
        points=offer.points,
        open=offer.open,
        min_points=offer.min_points,
        max_points=offer.max_points,
        since=day(offer.since),
        until=day(offer.until),
        next_since=day(offer.next_since),
        next_points=offer.next_points,
        next_open=offer.next_open,
        next_min_points=offer.next_min_points,
        next_max_points=offer.next_max_points,
    )


async def key_change(context: Context, seat: TerminalSeat, message: messages.KeyChange) -> messages.Reply:
    """Sent again it is accepted again: the key is the same one, whatever its request is numbered."""
    accepted = await context.read(
        seat.id, lambda connection: terminals.change_key(connection, seat.id, message.key)
    )
    return replied(context, messages.KeyChangeReply, message, Code.APPROVED if accepted else KEY_UNUSABLE)
