"""A shop to play, for `pos shop`: a merchant of its own with waiting terminals, and customers with cards.

Made once, together with the demonstration data. Its file, var/shop.json of mode 0600, is written anew
whenever the house opens: with the present address, and with a further terminal's code in the place of one
that was used on a device which is gone. The people are invented; real PINs are kept nowhere.
"""

import os
import secrets
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from ledger import cards, members, merchants, organisations, terminals
from ledger.database import Database, Scope
from ledger.embedded_files import write_private
from ledger.keyring import Keyring
from protocol.credentials import CardToken, CredentialError, enrolment_code, parse_enrolment_code, seal
from protocol.noise import KeyPair
from protocol.session import Enrolment
from scripts.demonstration_terminal import Device, device_state, invite
from txserver.shop_file import PlayerCard, ShopWorld, WorldError, read_world, seat_folder

__all__ = ["FILE", "code_text", "keep"]

FILE = "shop.json"
DEVICE = "pos"  # the emulator's own folder; the shop's terminals live beside it
TERMINALS = 20
CUSTOMERS = 40
POINTS = 200_000  # of each customer: some hours of a busy shop
NAME = "Shop"
STORES = ("East End 东街店", "West End 西街店")

# code, English, Chinese, unit, points a unit (None: an open amount), settlement in fen a unit
SERVICES = (
    ("tyre-change", "Tyre change", "换轮胎", "tyre", 240, 4_300),
    ("towing", "Towing", "拖车", "km", 35, 640),
    ("valet-parking", "Valet parking", "代客泊车", "hour", 60, 1_050),
    ("swimming", "Swimming", "游泳", "visit", 80, 1_400),
    ("beauty-care", "Beauty care", "美容护理", "visit", 320, 5_800),
    ("meal", "Meal voucher", "餐券", "point", None, 18),
)
MEAL = (20, 600)  # least and most points of one voucher
ZONE = ZoneInfo("Asia/Shanghai")


def keep(database: Database, keyring: Keyring, folder: Path, address: tuple[str, int], *, new: bool) -> None:
    """Make the shop in a `new` database; in every other bring its file up to date, if there is one.

    `address`: host and port at which devices find the server.
    """
    path = folder / FILE
    now = datetime.now(UTC)
    with database.transaction(Scope.everything()) as connection:
        if new:
            enrolments, players = _make(connection, keyring, now)
        else:
            try:
                world = read_world(path)
                enrolments = [parse_enrolment_code(code).enrolment.id for code in world.codes]
            except (WorldError, CredentialError):
                return  # none was made, or somebody has edited it: it is only for playing
            renewed = _renewed(connection, enrolments, folder, now)
            if renewed is None:
                return
            enrolments, players = renewed, world.cards
    codes = [code_text(keyring, enrolment, *address) for enrolment in enrolments]
    world = ShopWorld(codes=codes, cards=players)
    write_private(path, msgspec.json.format(msgspec.json.encode(world)).decode() + "\n")


def code_text(keyring: Keyring, enrolment_id: bytes, host: str, port: int) -> str:
    """The code that enrols a terminal at this address, with the server's key of now."""
    enrolment = Enrolment(id=enrolment_id, secret=keyring.enrolment_secret(enrolment_id))
    key_id = keyring.current_key_id
    server_key = KeyPair.from_private(keyring.server_keys[key_id]).public
    return enrolment_code(enrolment, server_key, key_id, host, port)


def _renewed(
    connection: Connection, enrolments: list[bytes], folder: Path, now: datetime
) -> list[bytes] | None:
    """For each seat its own enrolment while it is open or its device is there. None: of another database."""
    kept = []
    for number, enrolment in enumerate(enrolments, start=1):
        invitation = terminals.invitation(connection, enrolment, now)
        if invitation is None:
            return None
        seated = device_state(connection, seat_folder(folder / DEVICE, number)) is Device.ENROLLED
        if invitation.open or seated:
            kept.append(enrolment)
        else:
            kept.append(_waiting(connection, invitation.store_id, now))
    return kept


def _make(connection: Connection, keyring: Keyring, now: datetime) -> tuple[list[bytes], list[PlayerCard]]:
    """The enrolments of its terminals, and the cards of its customers."""
    today = now.astimezone(ZONE).date()
    merchant = organisations.create_tenant(
        connection, kind="merchant", code="M100", name="Market Street 集市街"
    )
    _agree(connection, merchant, since=today.replace(month=1, day=1))
    stores = [
        organisations.create_child(connection, parent=merchant, kind="store", code=f"S{place:03d}", name=name)
        for place, name in enumerate(STORES, start=1)
    ]
    enrolments = [_waiting(connection, stores[number % len(stores)], now) for number in range(TERMINALS)]
    return enrolments, _customers(connection, keyring, today, now)


def _waiting(connection: Connection, store: int, now: datetime) -> bytes:
    """The open enrolment of one more terminal."""
    made = terminals.count_named(connection, store, NAME)
    terminal = terminals.create_terminal(connection, store=store, kind="pos", name=f"{NAME} {made + 1}")
    return invite(connection, terminal, now)


def _agree(connection: Connection, merchant: int, *, since: date) -> None:
    for code, name, name_zh, unit, points, settlement_minor in SERVICES:
        merchants.agree_price(
            connection,
            merchant=merchant,
            service=merchants.create_service(connection, code=code, name=name, name_zh=name_zh, unit=unit),
            since=since,
            points=points or 1,
            settlement_minor=settlement_minor,
            open_range=None if points else MEAL,
        )


def _customers(connection: Connection, keyring: Keyring, today: date, now: datetime) -> list[PlayerCard]:
    enterprise = organisations.create_tenant(
        connection, kind="enterprise", code="E100", name="Meadow Telecom 青原电信"
    )
    players = []
    grantings = []
    for number in range(1, CUSTOMERS + 1):
        account = members.create_member(
            connection, enterprise=enterprise, code=f"{number:06d}", name=f"Shopper {number:02d}"
        )
        card = cards.issue_card(connection, account, now=now)
        pin = f"{secrets.randbelow(10**6):06d}"
        verifier = keyring.pin_verifier(card.slot, card.account_id, card.id, pin)
        cards.set_pin(connection, card, verifier, now=now)
        players.append(PlayerCard(card=_payload(keyring, card), pin=pin))
        grantings.append(
            members.Granting(
                account=account,
                txid=UUID(bytes=os.urandom(16)),
                points=POINTS,
                funder=enterprise,
                expires_on=today + timedelta(days=365),
                detail="Welcome",
            )
        )
    members.grant(connection, grantings, now)
    return players


def _payload(keyring: Keyring, card: cards.Card) -> str:
    key_id, key = max(keyring.card_keys.items())
    token = CardToken(slot=card.slot, account=card.account_id, card=card.id, issue=card.issue)
    return seal(token, key_id=key_id, key=key, nonce=os.urandom(24))
