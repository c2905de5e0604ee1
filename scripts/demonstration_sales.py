"""The demonstration's business: past days' purchases, and today's, with rescues held for before the job."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from ledger import books, businessday, cards, members, totals
from ledger.keyring import Keyring
from ledger.postings import Capture, Hold, Redeem, Refund, Release, Request

__all__ = ["Holder", "Shop", "make_past", "make_sales"]

PURCHASES = 24
OPENS, HOURS = timedelta(hours=9), timedelta(hours=11)  # of a past day, after it began
AMOUNTS = {"shop": 150, "roadside-rescue": 450}  # of the open ones
RESCUE = "roadside-rescue"
HELD = 900  # points set aside for a rescue, which most often comes to less
HOLD_S = 86_400


@dataclass(frozen=True)
class Shop:
    """A store's terminal, and the codes of what is sold there."""

    terminal: int
    services: tuple[str, ...]


@dataclass(frozen=True)
class Holder:
    """A member with a card, welcomed on the past day of this number."""

    account: members.Account
    card: cards.Card
    pin: str = field(repr=False)
    name: str
    since: int


def make_past(
    connection: Connection,
    keyring: Keyring,
    shops: Sequence[Shop],
    holders: Sequence[Holder],
    welcomes: Mapping[int, Sequence[members.Granting]],
    days: Sequence[tuple[date, datetime]],
) -> None:
    """Each day but the last, with its welcomes and its sales; then the last one is open, the others added up.

    `days` with the moment at which each begins; the first is open already.
    """
    spared = (holders[0], *holders[2:6])  # who shows their card to visitors, or calls for help today
    for number, (_, begun) in enumerate(days[:-1]):
        members.grant(connection, welcomes.get(number, ()), begun + OPENS / 2)
        known = [each for each in holders if each.since <= number and each not in spared]
        sales = 5 + number * 5 % 7
        for sale in range(sales):
            shop, holder = shops[(sale + number) % len(shops)], known[(sale + number * 3) % len(known)]
            service = shop.services[(sale + number) % len(shop.services)]
            request = _purchase(keyring, shop, holder, service, holder.pin)
            books.post(connection, [request], begun + OPENS + HOURS * sale / sales)
        day, begins = days[number + 1]
        businessday.advance(connection, day, begins)
        totals.add_up_next(connection, begins)


def make_sales(
    connection: Connection,
    keyring: Keyring,
    shops: Sequence[Shop],
    holders: Sequence[Holder],
    now: datetime,
) -> None:
    """Post it all, in the order in which it happened."""
    sales = [*_purchases(keyring, shops, holders), *_rescues(keyring, shops, holders)]
    for minutes, request in sorted(sales, key=lambda sale: -sale[0]):
        books.post(connection, [request], now - timedelta(minutes=minutes))


def _purchases(
    keyring: Keyring, shops: Sequence[Shop], holders: Sequence[Holder]
) -> Iterator[tuple[int, Request]]:
    """A few hours of business, some of it refused: a wrong PIN, too little left. Minutes ago, and what."""
    for number in range(PURCHASES):
        shop = shops[number % len(shops)]
        holder = holders[1 + (number * 7) % (len(holders) - 1)]
        service = shop.services[number % len(shop.services)]
        pin = holder.pin if number % 9 else "wrong"
        yield 7 * (PURCHASES - number), _purchase(keyring, shop, holder, service, pin)


def _purchase(keyring: Keyring, shop: Shop, holder: Holder, service: str, pin: str) -> Redeem:
    return Redeem(
        **_asked(shop, holder), **_card(keyring, holder, pin), service=service, amount=AMOUNTS.get(service)
    )


def _rescues(
    keyring: Keyring, shops: Sequence[Shop], holders: Sequence[Holder]
) -> Iterator[tuple[int, Request]]:
    """Four calls for help: one done, one done and partly refunded, one called off, one still on its way."""
    shop = next(shop for shop in shops if RESCUE in shop.services)
    done, refunded, called_off, under_way = (
        Hold(
            **_asked(shop, holder),
            **_card(keyring, holder, holder.pin),
            service=RESCUE,
            amount=HELD,
            seconds=HOLD_S,
        )
        for holder in holders[2:6]
    )
    first, second, third, _ = holders[2:6]
    yield from ((150, done), (130, refunded), (110, called_off), (30, under_way))
    yield 90, Capture(**_asked(shop, first), hold=done.txid, points=640)
    late = Capture(**_asked(shop, second), hold=refunded.txid, points=HELD)
    yield 60, late
    yield 50, Release(**_asked(shop, third), hold=called_off.txid)
    yield (
        5,
        Refund(
            **_asked(shop, second),
            original=late.txid,
            seller=shop.terminal,
            points=200,
            reference="Arrived late",
        ),
    )


def _asked(shop: Shop, holder: Holder) -> dict[str, Any]:
    """What every request says: whose account, which terminal, and an id of its own."""
    return {
        "slot": holder.card.slot,
        "account": holder.card.account_id,
        "terminal": shop.terminal,
        "txid": UUID(bytes=os.urandom(16)),
    }


def _card(keyring: Keyring, holder: Holder, pin: str) -> dict[str, Any]:
    card = holder.card
    return {
        "card": card.id,
        "issue": card.issue,
        "pin_proof": keyring.pin_verifier(card.slot, card.account_id, card.id, pin),
    }
