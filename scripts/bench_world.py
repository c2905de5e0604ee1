"""What the bench runs on: terminals with keys, members with points and cards."""

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from ledger import businessday, cards, members, merchants, organisations, terminals
from ledger.database import Database, Scope
from ledger.keyring import Keyring
from ledger.postings import Redeem
from protocol.credentials import CardToken, seal
from protocol.noise import KeyPair

__all__ = ["World", "make_world"]

PIN = "314159"
POINTS = 10**9  # of each member: no bench spends them all


@dataclass(frozen=True)
class World:
    """`keys`, `idle_keys`: private keys in hex. `cards`: payload and PIN. The rest is for the plain way."""

    keys: list[str]
    idle_keys: list[str]
    cards: list[list[str]]
    terminals: list[int]
    plain: list[tuple[int, int, int, bytes]]

    def plain_redeem(self, turn: int, place: int, txid: UUID) -> Redeem:
        """What the server makes of the message of the same turn."""
        slot, account, card, proof = self.plain[turn % len(self.plain)]
        return Redeem(
            slot=slot,
            account=account,
            terminal=self.terminals[place % len(self.terminals)],
            txid=txid,
            card=card,
            issue=1,
            service="wash",
            pin_proof=proof,
        )


def make_world(database: Database, keyring: Keyring, *, terminals: int, idle: int, holders: int) -> World:
    """Fill an empty database; returns what the load needs to know."""
    now = datetime.now(UTC)
    world = World([], [], [], [], [])
    with database.transaction(Scope.everything()) as connection:
        businessday.advance(connection, now.date() + timedelta(days=1), now)
        organisations.create_tenant(connection, kind="operator", code="OPERATOR", name="Operator")
        merchant = organisations.create_tenant(connection, kind="merchant", code="M", name="Merchant")
        store = organisations.create_child(connection, parent=merchant, kind="store", code="S", name="Store")
        service = merchants.create_service(connection, code="wash", name="Wash", name_zh="洗车", unit="time")
        merchants.agree_price(
            connection,
            merchant=merchant,
            service=service,
            since=date(2020, 1, 1),
            points=12,
            settlement_minor=99,
        )
        for number in range(terminals + idle):
            key = os.urandom(32)
            terminal = _terminal(connection, store, key, now)
            (world.keys if number < terminals else world.idle_keys).append(key.hex())
            if number < terminals:
                world.terminals.append(terminal)
        grantings = _holders(connection, keyring, world, holders, now)
    for _ in members.grant_many(database, Scope.everything(), grantings, now):
        pass
    return world


def _terminal(connection: Connection, store: int, key: bytes, now: datetime) -> int:
    terminal = terminals.create_terminal(connection, store=store, kind="pos", name="POS")
    enrolment_id = os.urandom(16)
    terminals.create_enrolment(
        connection, terminal, enrolment_id=enrolment_id, expires_at=now + timedelta(hours=1)
    )
    terminals.enrol(
        connection,
        enrolment_id=enrolment_id,
        public_key=KeyPair.from_private(key).public,
        model="bench",
        software="0",
        now=now,
    )
    return terminal


def _holders(
    connection: Connection, keyring: Keyring, world: World, count: int, now: datetime
) -> list[members.Granting]:
    enterprise = organisations.create_tenant(connection, kind="enterprise", code="E", name="Enterprise")
    number, key = max(keyring.card_keys.items())
    grantings = []
    for each in range(count):
        account = members.create_member(connection, enterprise=enterprise, code=str(each), name="Member")
        card = cards.issue_card(connection, account, now=now)
        proof = keyring.pin_verifier(card.slot, card.account_id, card.id, PIN)
        cards.set_pin(connection, card, proof, now=now)
        token = CardToken(slot=card.slot, account=card.account_id, card=card.id, issue=card.issue)
        world.cards.append([seal(token, key_id=number, key=key, nonce=os.urandom(24)), PIN])
        world.plain.append((card.slot, card.account_id, card.id, proof))
        grantings.append(
            members.Granting(
                account=account, txid=UUID(bytes=os.urandom(16)), points=POINTS, funder=enterprise
            )
        )
    return grantings
