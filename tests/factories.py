"""Plain functions that make what a test needs, on the real database. Nothing here is magic."""

import itertools
import os
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from ledger import (
    businessday,
    cards,
    enrolments,
    members,
    merchants,
    organisations,
    terminals,
)
from ledger.keyring import Keyring
from ledger.postings import (
    Capture,
    Expire,
    Grant,
    Hold,
    Inquiry,
    PinChange,
    Redeem,
    Refund,
    Release,
    Reversal,
    Status,
    TerminalRequest,
)

TODAY = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
PIN = "314159"

_numbers = itertools.count(1)


def create_keyring() -> Keyring:
    """Secrets of a test: the same bytes each time."""
    return Keyring(
        server_keys={1: bytes([1] * 32), 2: bytes([2] * 32)},
        card_keys={1: bytes([3] * 32)},
        pin_key=bytes([4] * 32),
        enrolment_key=bytes([5] * 32),
        session_key=bytes([6] * 32),
        personal_key=bytes([7] * 32),
    )


def new_txid() -> UUID:
    """A fresh transaction identifier."""
    return UUID(bytes=os.urandom(16))


@dataclass(kw_only=True)
class House:
    """A small world: an operator, an enterprise, a merchant with a store, a terminal and two services."""

    operator: int
    enterprise: int
    merchant: int
    store: int
    terminal: int
    services: dict[str, int] = field(default_factory=dict)
    prices: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Holder:
    """A member with an account and a card that has the PIN of this file."""

    account: members.Account
    card: cards.Card


def create_house(connection: Connection, *, today: date = TODAY, now: datetime = NOW) -> House:
    """Everything a redemption needs but a member. Car wash: 120 points, 20.00; cinema: open, 10 to 5000."""
    number = next(_numbers)
    if businessday.business_date(connection) is None:
        businessday.advance(connection, today, now - timedelta(hours=9))
    if (
        connection.execute(text("SELECT count(*) FROM organisation WHERE kind = 'operator'")).scalar_one()
        == 0
    ):
        organisations.create_tenant(connection, kind="operator", code="OP", name="Operator")
    operator = connection.execute(text("SELECT id FROM organisation WHERE kind = 'operator'")).scalar_one()
    enterprise = organisations.create_tenant(
        connection, kind="enterprise", code=f"E{number}", name=f"Enterprise {number}"
    )
    merchant = organisations.create_tenant(
        connection, kind="merchant", code=f"M{number}", name=f"Merchant {number}"
    )
    store = organisations.create_child(connection, parent=merchant, kind="store", code="S1", name="Store 1")
    house = House(
        operator=operator,
        enterprise=enterprise,
        merchant=merchant,
        store=store,
        terminal=create_active_terminal(connection, store),
    )
    create_price(connection, house, "wash", points=120, settlement_minor=2_000)
    create_price(connection, house, "cinema", settlement_minor=9, open_range=(10, 5_000))
    return house


def create_price(
    connection: Connection,
    house: House,
    code: str,
    *,
    points: int = 1,
    settlement_minor: int = 100,
    since: date = date(2020, 1, 1),
    until: date | None = None,
    open_range: tuple[int, int] | None = None,
) -> int:
    """A price at the house's merchant; the service is made when it does not exist."""
    known = connection.execute(text("SELECT id FROM service WHERE code = :code"), {"code": code}).scalar()
    service = known or merchants.create_service(
        connection, code=code, name=code.title(), name_zh=f"服务 {code}", unit="time"
    )
    house.services[code] = service
    house.prices[code] = merchants.agree_price(
        connection,
        merchant=house.merchant,
        service=service,
        since=since,
        until=until,
        points=points,
        settlement_minor=settlement_minor,
        open_range=open_range,
    )
    return house.prices[code]


def create_enrolment(connection: Connection, terminal: int) -> bytes:
    """An invitation of a device to be this terminal, open for an hour; its id."""
    made, until = os.urandom(16), NOW + timedelta(hours=1)
    assert enrolments.invite(connection, terminal, enrolment_id=made, until=until, now=NOW)
    return made


def create_active_terminal(connection: Connection, store: int, *, public_key: bytes | None = None) -> int:
    """A terminal that has enrolled, with a random key unless one is given."""
    terminal = terminals.create_terminal(connection, store=store, kind="pos", name=f"POS {next(_numbers)}")
    key, enrolment = public_key or os.urandom(32), create_enrolment(connection, terminal)
    assert terminals.enrol(
        connection, enrolment_id=enrolment, public_key=key, model="test", software="0", now=NOW
    )
    return terminal


def create_holder(
    connection: Connection,
    house: House,
    *,
    points: int = 1_000,
    expires_on: date | None = None,
    limit_points: int | None = None,
    card_expires_on: date | None = None,
    pin: str | None = PIN,
    now: datetime = NOW,
) -> Holder:
    """A member with points (one lot, when any), a card and a PIN."""
    number = next(_numbers)
    account = members.create_member(
        connection, enterprise=house.enterprise, code=f"C{number}", name=f"Member {number}"
    )
    card = cards.issue_card(
        connection, account, now=now, limit_points=limit_points, expires_on=card_expires_on
    )
    if pin is not None:
        cards.set_pin(connection, card, proof(card, pin), now=now)
    if points:
        grant_points(connection, house, account, points, expires_on=expires_on, now=now)
    return Holder(account, card)


def grant_points(
    connection: Connection,
    house: House,
    account: members.Account,
    points: int,
    *,
    expires_on: date | None = None,
    lot_kind: str = "granted",
    priority: int = 0,
    now: datetime = NOW,
) -> None:
    """One more lot, funded by the house's enterprise."""
    (outcome,) = members.grant(
        connection,
        [
            members.Granting(
                account=account,
                txid=new_txid(),
                points=points,
                funder=house.enterprise,
                expires_on=expires_on,
                lot_kind=lot_kind,
                priority=priority,
            )
        ],
        now,
    )
    assert outcome.code == 0, outcome


def proof(card: cards.Card, pin: str = PIN) -> bytes:
    """The keyed hash of a PIN for a card."""
    return create_keyring().pin_verifier(card.slot, card.account_id, card.id, pin)


def create_redeem(
    house: House,
    holder: Holder,
    service: str = "wash",
    *,
    pin: str | None = PIN,
    txid: UUID | None = None,
    quantity: int | None = None,
    amount: int | None = None,
    terminal: int | None = None,
    issue: int | None = None,
) -> Redeem:
    """A redemption at the house's terminal."""
    return Redeem(
        slot=holder.account.slot,
        account=holder.account.id,
        terminal=house.terminal if terminal is None else terminal,
        txid=txid or new_txid(),
        card=holder.card.id,
        issue=issue or holder.card.issue,
        service=service,
        quantity=quantity,
        amount=amount,
        pin_proof=None if pin is None else proof(holder.card, pin),
    )


def create_hold(
    house: House,
    holder: Holder,
    service: str = "cinema",
    *,
    pin: str | None = PIN,
    txid: UUID | None = None,
    quantity: int | None = None,
    amount: int | None = 300,
    terminal: int | None = None,
    seconds: int = 3_600,
) -> Hold:
    """A hold at the house's terminal: 300 points for an open amount unless told otherwise."""
    return Hold(
        slot=holder.account.slot,
        account=holder.account.id,
        terminal=house.terminal if terminal is None else terminal,
        txid=txid or new_txid(),
        card=holder.card.id,
        issue=holder.card.issue,
        service=service,
        quantity=quantity,
        amount=amount if service == "cinema" else None,
        pin_proof=None if pin is None else proof(holder.card, pin),
        seconds=seconds,
    )


def create_capture(
    hold: Hold, points: int, *, txid: UUID | None = None, terminal: int | None = None
) -> Capture:
    """Some or all of a hold, by the terminal that made it unless another is named."""
    return Capture(
        slot=hold.slot,
        account=hold.account,
        terminal=hold.terminal if terminal is None else terminal,
        txid=txid or new_txid(),
        hold=hold.txid,
        points=points,
    )


def create_release(hold: Hold, *, txid: UUID | None = None, terminal: int | None = None) -> Release:
    """The giving back of a hold, by the terminal that made it unless another is named."""
    return Release(
        slot=hold.slot,
        account=hold.account,
        terminal=hold.terminal if terminal is None else terminal,
        txid=txid or new_txid(),
        hold=hold.txid,
    )


def create_refund(
    original: TerminalRequest,
    points: int | None = None,
    *,
    txid: UUID | None = None,
    terminal: int | None = None,
) -> Refund:
    """Points back for a redemption or a capture, at the terminal that sold it unless another is named."""
    return Refund(
        slot=original.slot,
        account=original.account,
        terminal=original.terminal if terminal is None else terminal,
        txid=txid or new_txid(),
        original=original.txid,
        seller=original.terminal,
        points=points,
    )


def create_expire(holder: Holder, *, txid: UUID | None = None) -> Expire:
    """The booking of what has expired in an account."""
    return Expire(slot=holder.account.slot, account=holder.account.id, terminal=0, txid=txid or new_txid())


def create_pin_change(
    house: House,
    holder: Holder,
    new_pin: str = "271828",
    *,
    pin: str | None = PIN,
    code_proof: bytes | None = None,
    fit: bool = True,
    txid: UUID | None = None,
    issue: int | None = None,
) -> PinChange:
    """A new PIN at the house's terminal, on the word of the present one unless a code is given."""
    return PinChange(
        slot=holder.account.slot,
        account=holder.account.id,
        terminal=house.terminal,
        txid=txid or new_txid(),
        card=holder.card.id,
        issue=issue or holder.card.issue,
        verifier=proof(holder.card, new_pin),
        fit=fit,
        pin_proof=None if pin is None or code_proof is not None else proof(holder.card, pin),
        code_proof=code_proof,
    )


def create_reversal(original: TerminalRequest, *, txid: UUID | None = None) -> Reversal:
    """The undoing of a redemption by the terminal that made it."""
    return Reversal(
        slot=original.slot,
        account=original.account,
        terminal=original.terminal,
        txid=txid or new_txid(),
        original=original.txid,
        reason="timeout",
    )


def create_status(original: TerminalRequest, *, fence: bool = False) -> Status:
    """The question what became of a redemption."""
    return Status(
        slot=original.slot,
        account=original.account,
        terminal=original.terminal,
        txid=new_txid(),
        original=original.txid,
        fence=fence,
    )


def create_inquiry(
    house: House, holder: Holder, *, pin: str | None = None, pin_needed: bool = False
) -> Inquiry:
    """A balance inquiry at the house's terminal."""
    return Inquiry(
        slot=holder.account.slot,
        account=holder.account.id,
        terminal=house.terminal,
        txid=new_txid(),
        card=holder.card.id,
        issue=holder.card.issue,
        pin_proof=None if pin is None else proof(holder.card, pin),
        pin_needed=pin_needed,
    )


def create_grant(house: House, holder: Holder, points: int, *, txid: UUID | None = None) -> Grant:
    """Points from the house's enterprise."""
    return Grant(
        slot=holder.account.slot,
        account=holder.account.id,
        terminal=0,
        txid=txid or new_txid(),
        funder=house.enterprise,
        points=points,
    )
