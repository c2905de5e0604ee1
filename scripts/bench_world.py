"""What the bench runs on: terminals with keys, members with points and cards."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from ledger import businessday, cards, members, merchants, organisations
from ledger.database import Database, Scope
from ledger.keyring import Keyring
from protocol.credentials import CardToken, seal
from protocol.noise import KeyPair

__all__ = ["PIN", "POINTS", "PRICE", "SERVICE", "World", "make_world", "payload"]

PIN = "314159"
POINTS = 10**9  # of each member: no bench spends them all
SERVICE = "wash"
PRICE = 12  # points of one

# Enrolled terminals by the thousand. Their own way in takes seven statements each.
INSERT_TERMINALS = text(
    """INSERT INTO terminal (tenant_id, store_id, kind, name, status, public_key, key_since, model, software)
       SELECT s.tenant_id, s.id, 'pos', 'POS', 'active', k.public, now(), 'bench', '0'
       FROM unnest(CAST(:stores AS bigint[]), CAST(:keys AS bytea[]))
            WITH ORDINALITY AS k(store, public, place)
       JOIN organisation s ON s.id = k.store
       ORDER BY k.place"""
)


@dataclass(frozen=True)
class World:
    """Who is there.

    `keys`, `idle_keys`, `spread_keys`: private keys in hex, of terminals of one merchant, of as many more of
    the same, and of one terminal at each of many merchants. `cards`: payload and PIN. `accounts`: slot and
    id, in the same order.
    """

    keys: list[str]
    idle_keys: list[str]
    spread_keys: list[str]
    cards: list[list[str]]
    accounts: list[tuple[int, int]]


def make_world(
    database: Database, keyring: Keyring, *, terminals: int, idle: int, holders: int, others: int = 0
) -> World:
    """Fill an empty database. `others`: merchants beside the one that has all other terminals."""
    now = datetime.now(UTC)
    with database.transaction(Scope.everything()) as connection:
        businessday.advance(connection, now.date() + timedelta(days=1), now)
        organisations.create_tenant(connection, kind="operator", code="OPERATOR", name="Operator")
        stores = _stores(connection, 1 + others)
        all_stores = stores[:1] * (terminals + idle) + stores[1:]
        keys = _terminals(connection, all_stores)
        enterprise = organisations.create_tenant(connection, kind="enterprise", code="E", name="Enterprise")
        made, issued = _holders(connection, keyring, enterprise, holders, now)
    grantings = [
        members.Granting(account=account, txid=UUID(bytes=os.urandom(16)), points=POINTS, funder=enterprise)
        for account in made
    ]
    for _ in members.grant_many(database, Scope.everything(), grantings, now):
        pass
    return World(
        keys=keys[:terminals],
        idle_keys=keys[terminals : terminals + idle],
        spread_keys=keys[terminals + idle :],
        cards=[[payload(keyring, card.slot, card.account_id, card.id, card.issue), PIN] for card in issued],
        accounts=[(account.slot, account.id) for account in made],
    )


def payload(keyring: Keyring, slot: int, account: int, card: int, issue: int) -> str:
    """What a card says."""
    number, key = max(keyring.card_keys.items())
    token = CardToken(slot=slot, account=account, card=card, issue=issue)
    return seal(token, key_id=number, key=key, nonce=os.urandom(24))


def _stores(connection: Connection, count: int) -> list[int]:
    """As many merchants, each with a store and the same price."""
    service = merchants.create_service(connection, code=SERVICE, name="Wash", name_zh="洗车", unit="time")
    stores = []
    for number in range(count):
        merchant = organisations.create_tenant(
            connection, kind="merchant", code=f"M{number}", name=f"Merchant {number}"
        )
        stores.append(
            organisations.create_child(connection, parent=merchant, kind="store", code="S", name="Store")
        )
        merchants.agree_price(
            connection,
            merchant=merchant,
            service=service,
            since=date(2020, 1, 1),
            points=PRICE,
            settlement_minor=99,
        )
    return stores


def _terminals(connection: Connection, stores: Sequence[int]) -> list[str]:
    """An enrolled terminal at each of the stores: their private keys."""
    pairs = [KeyPair.from_private(os.urandom(32)) for _ in stores]
    told = {"stores": list(stores), "keys": [pair.public for pair in pairs]}
    connection.execute(INSERT_TERMINALS, told)
    return [pair.private.hex() for pair in pairs]


def _holders(
    connection: Connection, keyring: Keyring, enterprise: int, count: int, now: datetime
) -> tuple[list[members.Account], list[cards.Card]]:
    made, issued = [], []
    for number in range(count):
        account = members.create_member(connection, enterprise=enterprise, code=str(number), name="Member")
        card = cards.issue_card(connection, account, now=now)
        proof = keyring.pin_verifier(card.slot, card.account_id, card.id, PIN)
        cards.set_pin(connection, card, proof, now=now)
        made.append(account)
        issued.append(card)
    return made, issued
