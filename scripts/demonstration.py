"""Demonstration data for an empty database: a small town's worth of shops, members and purchases.

Everything is made through the ledger's own functions, so the books are as right as real ones. What
people need to log in, and one card, come back as a Demonstration; its passwords are random.
"""

import os
import secrets
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from ledger import businessday, cards, limits, members, merchants, organisations, staff, terminals
from ledger.database import Database, Scope
from ledger.keyring import Keyring
from ledger.limits import Limits, Terms
from protocol.credentials import CardToken, seal
from scripts.demonstration_office import furnish
from scripts.demonstration_record import Card, Demonstration, Login
from scripts.demonstration_sales import Holder, Shop, make_past, make_sales
from scripts.demonstration_terminal import NAME, invite

__all__ = ["load"]

# code, English, Chinese, unit, points a unit (or the least and most of an open amount), settlement in fen a
# unit. What a rescue comes to is known when it is done: its points are held first, and captured then.
SERVICES: tuple[tuple[str, str, str, str, int | tuple[int, int], int], ...] = (
    ("car-wash", "Car wash", "洗车", "time", 120, 2_000),
    ("roadside-rescue", "Roadside rescue", "道路救援", "point", (100, 5_000), 19),
    ("annual-inspection", "Annual inspection", "代办年检", "job", 600, 11_000),
    ("driver", "Designated driver", "酒后代驾", "trip", 300, 5_600),
    ("cinema", "Cinema ticket", "电影票", "ticket", 160, 3_200),
    ("gym", "Gym day pass", "健身日卡", "day", 90, 1_500),
    ("shop", "Shop voucher", "购物抵扣", "point", (10, 20_000), 18),
)
TOMORROW = {"annual-inspection": (650, 11_900)}  # points and settlement from tomorrow on
MERCHANTS = (
    ("Bright Car Care 亮洁汽车", ("North Gate 北门店", "Station 站前店"),
     ("car-wash", "annual-inspection", "roadside-rescue")),
    ("Swift Roadside 迅捷道路救援", ("Ring Road 环城站",), ("roadside-rescue", "driver")),
    ("Star Cinema 星光影城", ("City Square 市民广场店",), ("cinema", "shop")),
    ("Pulse Gym 脉动健身", ("Riverside 滨江店",), ("gym",)),
)  # fmt: skip
# What an enterprise's cards may do, and its second kind of card: code, name and limits.
ENTERPRISES = (
    (
        "Harbour Insurance 海港保险",
        Terms(limit_points=2_000, day_limit_points=5_000),
        ("GOLD", "Gold 金卡", Limits(limit_points=5_000, day_limit_points=20_000)),
    ),
    (
        "Lotus Bank 莲花银行",
        Terms(refund_grace_days=60),
        ("QUICK", "Quick 闪付卡", Limits(pin_above_points=100)),
    ),
)
EVERY_THIRD = 3  # member has a card of the second kind
MEMBERS_EACH = 12
PAST_DAYS = 9  # business days before today: a week for the home page, and a little
ZONE = ZoneInfo("Asia/Shanghai")


def load(site_url: str, keyring: Keyring) -> Demonstration:
    """Fill an empty database, whole or not at all."""
    now = datetime.now(UTC)
    database = Database(site_url)
    try:
        with database.transaction(Scope.everything()) as connection:
            return _fill(connection, keyring, now)
    finally:
        database.close()


def _fill(connection: Connection, keyring: Keyring, now: datetime) -> Demonstration:
    today = now.astimezone(ZONE).date()
    # Today began in time for its sales, and each day before it as long before.
    begun = min(businessday.begins_at(today, businessday.read_calendar(connection)), now - timedelta(hours=4))
    days = [(today - timedelta(days=n), begun - timedelta(days=n)) for n in range(PAST_DAYS, -1, -1)]
    businessday.advance(connection, *days[0])
    operator = organisations.create_tenant(
        connection, kind="operator", code="OPERATOR", name="Tessera 运营中心"
    )
    services = {
        code: merchants.create_service(connection, code=code, name=name, name_zh=name_zh, unit=unit)
        for code, name, name_zh, unit, _, _ in SERVICES
    }
    tenants = {"operator": operator}
    shops: list[Shop] = []
    enrolment = b""
    for number, (name, stores, sold) in enumerate(MERCHANTS, 1):
        merchant = organisations.create_tenant(connection, kind="merchant", code=f"M{number:03d}", name=name)
        tenants.setdefault("merchant", merchant)
        _agree(connection, merchant, services, sold, days[0][0].replace(month=1, day=1), today)
        for place, store_name in enumerate(stores, 1):
            store = organisations.create_child(
                connection, parent=merchant, kind="store", code=f"S{place:03d}", name=store_name
            )
            shops.append(
                Shop(_enrolled_terminal(connection, store, f"POS {number}-{place}", days[0][1]), sold)
            )
            if not enrolment:
                waiting = terminals.create_terminal(connection, store=store, kind="pos", name=NAME)
                enrolment = invite(connection, waiting, now)
    holders, welcomes = _holders(connection, keyring, tenants, today, days[0][1])
    make_past(connection, keyring, shops, holders, welcomes, days)
    make_sales(connection, keyring, shops, holders, now)
    logins = _logins(connection, tenants)
    logins += furnish(connection, keyring, tenants, today, now)
    first = holders[0]
    return Demonstration(
        logins=logins,
        cards=[
            Card(
                member=holder.name, payload=_payload(keyring, holder.card), pin=holder.pin, service="car-wash"
            )
            for holder in (first, holders[MEMBERS_EACH])
        ],
        enrolment=enrolment.hex(),
    )


def _agree(
    connection: Connection,
    merchant: int,
    services: dict[str, int],
    sold: Sequence[str],
    since: date,
    today: date,
) -> None:
    """Prices since then, and those that change tomorrow."""
    for code, _, _, _, points, settlement_minor in SERVICES:
        if code not in sold:
            continue
        span = points if isinstance(points, tuple) else None
        merchants.agree_price(
            connection,
            merchant=merchant,
            service=services[code],
            since=since,
            points=points if isinstance(points, int) else 1,
            settlement_minor=settlement_minor,
            open_range=span,
        )
        if code in TOMORROW:
            new_points, new_settlement_minor = TOMORROW[code]
            merchants.change_price(
                connection,
                merchant=merchant,
                service=services[code],
                since=today + timedelta(days=1),
                points=new_points,
                settlement_minor=new_settlement_minor,
            )


def _enrolled_terminal(connection: Connection, store: int, name: str, now: datetime) -> int:
    """A terminal whose device is imagined: nobody holds the private key that belongs to its public one."""
    terminal = terminals.create_terminal(connection, store=store, kind="pos", name=name)
    terminals.enrol(
        connection,
        enrolment_id=invite(connection, terminal, now),
        public_key=os.urandom(32),
        model="imagined",
        software="0",
        now=now,
    )
    return terminal


def _holders(
    connection: Connection, keyring: Keyring, tenants: dict[str, int], today: date, begun: datetime
) -> tuple[list[Holder], dict[int, list[members.Granting]]]:
    """Members with cards, and the points that they are welcomed with, on one of the past days."""
    holders: list[Holder] = []
    welcomes: dict[int, list[members.Granting]] = {}
    for number, (enterprise_name, terms, (code, product_name, own)) in enumerate(ENTERPRISES, 1):
        enterprise = organisations.create_tenant(
            connection, kind="enterprise", code=f"E{number:03d}", name=enterprise_name
        )
        tenants.setdefault("enterprise", enterprise)
        limits.set_terms(connection, enterprise, terms)
        product = limits.create_product(
            connection, enterprise=enterprise, code=code, name=product_name, limits=own
        )
        for each in range(1, MEMBERS_EACH + 1):
            name = f"Member {number}{each:03d}"
            account = members.create_member(connection, enterprise=enterprise, code=f"{each:06d}", name=name)
            chosen = product if each % EVERY_THIRD == 0 else None
            card = cards.issue_card(connection, account, now=begun, product_id=chosen)
            pin = f"{secrets.randbelow(10**6):06d}"
            verifier = keyring.pin_verifier(card.slot, card.account_id, card.id, pin)
            cards.set_pin(connection, card, verifier, now=begun)
            # The first are welcomed on the first day, and the last on the last before today.
            holders.append(Holder(account, card, pin, name, since=(each - 1) * PAST_DAYS // MEMBERS_EACH))
            welcomes.setdefault(holders[-1].since, []).extend(_welcome(account, today))
        # One more card, on its way to its member: it waits for a PIN.
        cards.issue_card(connection, holders[-1].account, now=begun, status="issued")
    return holders, welcomes


def _welcome(account: members.Account, today: date) -> list[members.Granting]:
    return [
        members.Granting(
            account=account,
            txid=UUID(bytes=os.urandom(16)),
            points=points,
            funder=account.enterprise_id,
            lot_kind=kind,
            expires_on=today + timedelta(days=lasts),
            detail="Welcome",
        )
        for points, lasts, kind in ((2_000, 365, "granted"), (300, 45, "promotional"))
    ]


def _logins(connection: Connection, tenants: dict[str, int]) -> list[Login]:
    logins = []
    for kind, organisation in tenants.items():
        password = secrets.token_hex(5)
        staff.create_staff(
            connection,
            organisation_id=organisation,
            login=kind,
            name=f"{kind.title()} staff",
            password=password,
        )
        logins.append(Login(who=f"{kind}'s staff", name=kind, password=password))
    return logins


def _payload(keyring: Keyring, card: cards.Card) -> str:
    key_id, key = max(keyring.card_keys.items())
    token = CardToken(slot=card.slot, account=card.account_id, card=card.id, issue=card.issue)
    return seal(token, key_id=key_id, key=key, nonce=os.urandom(24))
