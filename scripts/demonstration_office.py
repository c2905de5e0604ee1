"""The demonstration's back office: what people have entered there, each change with its line in the trail.

Phones and plates are of a form that nobody has, and people are called after what they do.
"""

import os
import secrets
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from ledger import (
    budgets,
    invitations,
    member_desk,
    member_search,
    merchant_details,
    organisations,
    personal,
    point_orders,
    point_steps,
    services,
    staff,
    trail,
)
from ledger.keyring import Keyring
from ledger.merchant_details import Contact, Details, StorePlace
from ledger.point_lines import MemberFilter
from scripts.demonstration_record import Login

__all__ = ["furnish"]

HOUSE = trail.Actor(None, "Demonstration")

# code, English, Chinese, industry, and the codes of the services
CATEGORIES = (
    ("vehicle-care", "Vehicle care", "车辆养护", "Motoring 汽车", ("car-wash", "annual-inspection")),
    ("road-help", "Help on the road", "出行救援", "Motoring 汽车", ("roadside-rescue", "driver")),
    ("film", "Film", "观影", "Leisure 休闲", ("cinema",)),
    ("fitness", "Fitness", "健身", "Sport 体育", ("gym",)),
    ("goods", "Goods", "商品", "Retail 零售", ("shop",)),
)
BRANCHES = (("B001", "North branch 北区分公司"), ("B002", "South branch 南区分公司"))
DESK = ("branch", "D001", "Counter 营业厅")  # below the first branch
ROLES_INVITED = {
    "operator": ("merchant_desk", "day_keeper"),
    "enterprise": ("approver",),
    "merchant": ("viewer",),
}
WEEK = range(1, 8)
MINUTES = 60
BUDGET, ORDER_MOST = 200_000, 1_000  # points
SMALL, LARGE = 50, 400  # points for each member of a branch: below ORDER_MOST in all, and above


def furnish(
    connection: Connection, keyring: Keyring, tenants: dict[str, int], today: date, now: datetime
) -> list[Login]:
    """Fill the rooms of `tenants` (by kind) and all merchants' details; returns who else may log in."""
    office = _Office(connection, keyring, today, now)
    office.categorise(tenants["operator"])
    for merchant in merchant_details.list_merchants(connection):
        office.describe(merchant.id, merchant.name)
    office.widen(tenants["merchant"])
    branches = office.branch(tenants["enterprise"])
    office.know_members(tenants["enterprise"], branches)
    logins = office.engage(tenants)
    office.fund(tenants["enterprise"], branches, logins["points-desk"][0])
    return [login for _, login in logins.values()]


def _phone(number: int) -> str:
    """One that is nobody's: members have those below 50."""
    return personal.phone_number(f"139 0000 00{50 + number % 50}")


class _Office:
    """A hand that enters things and writes each into the trail."""

    def __init__(self, connection: Connection, keyring: Keyring, today: date, now: datetime) -> None:
        self.connection, self.keyring, self.today, self.now = connection, keyring, today, now
        self.keys = personal.PersonalKeys(keyring.personal_key, os.urandom)

    def record(
        self,
        what: str,
        *,
        tenant: int,
        kind: str,
        subject: int,
        after: dict[str, Any],
        by: trail.Actor = HOUSE,
        reason: str | None = None,
    ) -> None:
        trail.record(
            self.connection, by, what, tenant=tenant, kind=kind, id=subject, after=after, reason=reason,
            now=self.now,
        )  # fmt: skip

    def categorise(self, operator: int) -> None:
        """A category for each service."""
        lines = {line.code: line for line in services.list_services(self.connection)}
        for code, name, name_zh, industry, sold in CATEGORIES:
            words = {"code": code, "name": name, "name_zh": name_zh, "industry": industry}
            made = services.save_category(self.connection, None, **words)
            assert made is not None
            self.record("category.create", tenant=operator, kind="category", subject=made, after=words)
            for line in (lines[each] for each in sold):
                told: dict[str, Any] = {
                    "name": line.name, "name_zh": line.name_zh, "unit": line.unit, "category": made,
                    "status": line.status,
                }  # fmt: skip
                services.change_service(self.connection, line.id, **told)
                self.record("service.change", tenant=operator, kind="service", subject=line.id, after=told)

    def describe(self, merchant: int, name: str) -> None:
        """A merchant's contract, contact and bank, and where its stores are."""
        since = self.today.replace(month=1, day=1)
        details = Details(
            contract_since=since,
            contract_until=since.replace(year=since.year + 2) - timedelta(days=1),
            bank="Example Bank 示例银行",
            account_name=name,
        )
        contact = Contact("Store manager 店长", "Manager", _phone(merchant))
        merchant_details.save_details(self.connection, merchant, details, [contact])
        number = f"6200000000{merchant:06d}"
        merchant_details.save_account(self.connection, merchant, number, self.keyring, os.urandom)
        after = {
            "contract_since": str(details.contract_since), "contract_until": str(details.contract_until),
            "bank": details.bank, "account_tail": number[-4:], "contacts_changed": True,
        }  # fmt: skip
        self.record("merchant.change", tenant=merchant, kind="merchant", subject=merchant, after=after)
        for place, store in enumerate(merchant_details.stores_of(self.connection, merchant), 1):
            self.place(merchant, store.id, f"{merchant * 10 + place} Example Road 示例路")

    def place(self, merchant: int, store: int, address: str) -> None:
        """Where a store is, and when it is open: at weekends later."""
        hours = {day: ((9 if day < 6 else 10) * MINUTES, 21 * MINUTES) for day in WEEK}
        place = StorePlace(address, _phone(store), hours=hours)
        merchant_details.save_place(self.connection, store, place)
        told = {"address": place.address, "phone": place.phone}
        self.record("store.change", tenant=merchant, kind="store", subject=store, after=told)

    def widen(self, merchant: int) -> None:
        """One more store, that sells nothing yet, and a department beside the stores."""
        store = self.unit(merchant, merchant, "store", "S003", "Airport 机场店")
        self.place(merchant, store, "1 Example Airport 示例机场")
        self.unit(merchant, merchant, "department", "D001", "Accounts 财务部")

    def branch(self, enterprise: int) -> list[int]:
        """Branches, and a counter below the first."""
        made = [self.unit(enterprise, enterprise, "branch", code, name) for code, name in BRANCHES]
        kind, code, name = DESK
        return [*made, self.unit(enterprise, made[0], kind, code, name)]

    def unit(self, tenant: int, parent: int, kind: str, code: str, name: str) -> int:
        words = {"kind": kind, "code": code, "name": name}
        made = organisations.create_unit(self.connection, parent=parent, **words)
        after = words | {"parent": parent}
        self.record("organisation.create", tenant=tenant, kind="organisation", subject=made, after=after)
        return made

    def know_members(self, enterprise: int, branches: list[int]) -> None:
        """The enterprise's members with phone, plate and unit; every fourth is the enterprise's own."""
        places = [*branches, None]
        lines = member_search.list_members(self.connection, enterprise=enterprise, most=100)
        for number, line in enumerate(sorted(lines, key=lambda line: line.code), 1):
            data = member_desk.MemberData(
                code=line.code,
                name=line.name,
                phone=personal.phone_number(f"139 0000 00{number:02d}"),
                plates=(personal.plate(f"京A·{number:05d}"),),
                unit=places[number % len(places)],
            )
            member_desk.change_member(self.connection, self.keys, enterprise, line.id, data)
            told = {"unit": data.unit, "fields": ["phone", "plates"]}
            self.record("member.change", tenant=enterprise, kind="member", subject=line.id, after=told)

    def engage(self, tenants: dict[str, int]) -> dict[str, tuple[int, Login]]:
        """Two more people who may log in, by login; and invitations that nobody has opened yet."""
        found = {}
        for kind, login, role in (
            ("enterprise", "points-desk", "points_desk"),
            ("merchant", "store-keeper", "store_keeper"),
        ):
            password = secrets.token_hex(5)
            words = login.replace("-", " ")
            made = staff.create_staff(
                self.connection, organisation_id=tenants[kind], login=login, name=words.capitalize(),
                password=password, ready_made=role,
            )  # fmt: skip
            told = {"organisation": tenants[kind], "role": role, "reach": "tenant"}
            self.record("staff.join", tenant=tenants[kind], kind="staff", subject=made, after=told)
            found[login] = made, Login(who=words, name=login, password=password)
        for kind, roles in ROLES_INVITED.items():
            for role in roles:
                self.invite(tenants[kind], kind, role)
        return found

    def invite(self, tenant: int, kind: str, role: str) -> None:
        made = invitations.invite(
            self.connection, None, tenant=tenant, kind=kind, organisation=tenant,
            token=os.urandom(invitations.TOKEN_BYTES), login=role.replace("_", "-"),
            name=role.replace("_", " ").capitalize(), ready_made=role, role=None, unit=tenant, reach="tenant",
            now=self.now,
        )  # fmt: skip
        told = {"organisation": tenant, "role": role, "unit": tenant, "reach": "tenant"}
        self.record("staff.invite", tenant=tenant, kind="invitation", subject=made, after=told)

    def fund(self, enterprise: int, branches: list[int], desk: int) -> None:
        """A budget, a limit, an order below it that is done, and one above it that waits for someone else."""
        since = self.today.replace(month=1, day=1)
        last = since.replace(month=12, day=31)
        budget = budgets.create_budget(
            self.connection, enterprise=enterprise, since=since, last=last, points=BUDGET
        )
        told = {"points": BUDGET, "since": str(since), "last": str(last)}
        self.record("budget.create", tenant=enterprise, kind="budget", subject=budget, after=told)
        budgets.set_approval_points(self.connection, enterprise, ORDER_MOST)
        self.record(
            "approval_terms.change", tenant=enterprise, kind="approval_terms", subject=enterprise,
            after={"points": ORDER_MOST},
        )  # fmt: skip
        for unit, points, reason in (
            (branches[1], SMALL, "A small thank-you"),
            (branches[0], LARGE, "Members' day"),
        ):
            self.order(enterprise, unit, points, reason, trail.Actor(desk, "Points desk"))

    def order(self, enterprise: int, unit: int, points: int, reason: str, maker: trail.Actor) -> None:
        """Points for the members of a unit, ordered and meant by `maker`."""
        assert maker.staff_id is not None
        order = point_orders.NewOrder(
            tenant=enterprise, unit=enterprise, kind="grant", reason=reason, funder=enterprise,
            staff=maker.staff_id, staff_name=maker.name, lot_kind="promotional",
            expires_on=self.today + timedelta(days=90),
        )  # fmt: skip
        made = point_orders.draft_by_filter(self.connection, order, MemberFilter(unit=unit), points, self.now)
        after = {"kind": order.kind, "lot_kind": order.lot_kind, "funder": enterprise}
        self.record(
            "point_order.create", tenant=enterprise, kind="point_order", subject=made, after=after, by=maker,
            reason=reason,
        )  # fmt: skip
        found = point_steps.confirm(self.connection, made, by=maker, now=self.now)
        assert isinstance(found, point_orders.PointOrder)
        told = {"state": found.state, "points": found.points}
        self.record(
            "point_order.confirm", tenant=enterprise, kind="point_order", subject=made, after=told, by=maker
        )
