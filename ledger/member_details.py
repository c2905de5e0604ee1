"""What a page shows of one member: the lots and what they come to, cards, holds, notes. Reading only."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text

from ledger.personal import PersonalKeys

__all__ = [
    "LotLine", "MemberCard", "MemberDetails", "MemberHold", "Movement", "Note", "Unit", "enterprises",
    "find_member", "member_cards", "member_holds", "member_lots", "member_movements", "member_notes", "units",
]  # fmt: skip

FIND = text(
    """SELECT m.id, m.enterprise_id, e.name AS enterprise, m.organisation_id AS unit_id, o.name AS unit,
              m.code, m.name, m.status, m.created_at, m.erased_at, a.slot, a.id AS account, a.posted, a.held,
              a.status AS account_status, p.phone, p.identity, p.phone_key, p.identity_key,
              ARRAY(SELECT plate FROM member_plate WHERE member_id = m.id ORDER BY plate) AS plates
       FROM member m
       JOIN account a ON a.member_id = m.id
       LEFT JOIN organisation e ON e.id = m.enterprise_id
       LEFT JOIN organisation o ON o.id = m.organisation_id
       LEFT JOIN person p ON p.member_id = m.id
       WHERE m.id = :member"""
)
# What went where, lot by lot: entries are read along their key, all of one account.
LOTS = text(
    """SELECT l.id, f.name AS funder, l.kind, l.granted, l.remaining, l.held, l.expires_on, l.open,
              coalesce(l.expires_on < d.date, false) AS late, coalesce(x.spent, 0) AS spent,
              coalesce(x.back, 0) AS back
       FROM lot l
       LEFT JOIN organisation f ON f.id = l.funder_id
       LEFT JOIN business_day d ON d.status = 'open'
       LEFT JOIN (
           SELECT lot_id,
                  sum(CASE WHEN to_side = 'merchant' THEN points WHEN from_side = 'merchant' THEN -points
                      ELSE 0 END)::bigint AS spent,
                  sum(CASE WHEN to_side = 'funder' THEN points ELSE 0 END)::bigint AS back
           FROM entry WHERE slot = :slot AND account_id = :account GROUP BY lot_id
       ) x ON x.lot_id = l.id
       WHERE l.slot = :slot AND l.account_id = :account
       ORDER BY l.open DESC, l.priority, l.expires_on NULLS LAST, l.id LIMIT :most"""
)
CARDS = text(
    """SELECT c.number, c.status, c.expires_on, coalesce(c.expires_on < d.date, false) AS expired
       FROM card c LEFT JOIN business_day d ON d.status = 'open'
       WHERE c.slot = :slot AND c.account_id = :account ORDER BY c.id"""
)
HOLDS = text(
    """SELECT h.transaction_id AS id, h.points, h.expires_at, o.name AS merchant, s.name AS service,
              s.name_zh AS service_zh
       FROM hold h
       JOIN transaction t ON t.slot = h.slot AND t.account_id = h.account_id AND t.id = h.transaction_id
       LEFT JOIN organisation o ON o.id = h.merchant_id
       LEFT JOIN service s ON s.id = t.service_id
       WHERE h.slot = :slot AND h.account_id = :account AND NOT EXISTS (
           SELECT FROM transaction e
           WHERE e.slot = h.slot AND e.account_id = h.account_id AND e.ends = h.transaction_id)
       ORDER BY h.transaction_id LIMIT :most"""
)
MOVEMENTS = text(
    """SELECT t.id, t.posted_at, t.kind, t.code, t.points, t.balance, o.name AS merchant, s.name AS service,
              s.name_zh AS service_zh, t.reverses IS NOT NULL AS undoes
       FROM (SELECT * FROM transaction WHERE slot = :slot AND account_id = :account
             ORDER BY id DESC LIMIT :most) t
       LEFT JOIN organisation o ON o.id = t.merchant_id
       LEFT JOIN service s ON s.id = t.service_id
       ORDER BY t.id DESC"""
)
NOTES = text(
    """SELECT note, staff_name, written_at FROM member_note WHERE member_id = :member
       ORDER BY id DESC LIMIT :most"""
)
UNITS = text(
    """SELECT id, name, code FROM organisation
       WHERE tenant_id = :enterprise AND id <> tenant_id AND status = 'open' ORDER BY name, id LIMIT :most"""
)
ENTERPRISES = text(
    "SELECT id, name, code FROM organisation WHERE kind = 'enterprise' AND id = tenant_id ORDER BY name"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberDetails:
    """A member as its page shows it. `phone` and `identity` are sealed, their keys are hashes.

    `posted` and `held` are the account's points; `unit` is None where the enterprise itself looks after it.
    """

    id: int
    enterprise_id: int
    enterprise: str | None
    unit_id: int | None
    unit: str | None
    code: str
    name: str
    status: str
    created_at: datetime
    erased_at: datetime | None
    slot: int
    account: int
    posted: int
    held: int
    account_status: str
    phone: bytes | None
    identity: bytes | None
    phone_key: bytes | None
    identity_key: bytes | None
    plates: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LotLine:
    """A lot, and why so much of it is left: granted = spent + back + remaining.

    `spent` went to merchants, less what came back from them; `back` to the funder: expired, or taken back by
    an adjustment. `late`: its last day is over and that is not booked yet, so only what is held still counts.
    """

    id: int
    funder: str | None
    kind: str
    granted: int
    remaining: int
    held: int
    expires_on: date | None
    open: bool
    late: bool
    spent: int
    back: int

    @property
    def available(self) -> int:
        return 0 if self.late else self.remaining - self.held

    @property
    def lost(self) -> int:
        """What has expired and is not booked yet."""
        return self.remaining - self.held if self.late else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberCard:
    """A card of the member."""

    number: str
    status: str
    expires_on: date | None
    expired: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberHold:
    """A hold that nothing has ended yet; its time may be over."""

    id: int
    points: int
    expires_at: datetime
    merchant: str | None
    service: str | None
    service_zh: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """A transaction of the member, in short."""

    id: int
    posted_at: datetime
    kind: str
    code: int
    points: int
    balance: int | None
    merchant: str | None
    service: str | None
    service_zh: str | None
    undoes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What somebody wrote down."""

    note: str
    staff_name: str
    written_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """An organisation that members belong to."""

    id: int
    name: str
    code: str


def find_member(connection: Connection, member: int) -> MemberDetails | None:
    """The member with this id; None when the scope shows none."""
    row = connection.execute(FIND, {"member": member}).one_or_none()
    return None if row is None else MemberDetails(**row._asdict())


def member_lots(connection: Connection, member: MemberDetails, *, most: int) -> list[LotLine]:
    """The member's lots, open ones first, in the order in which they are used."""
    rows = connection.execute(LOTS, {**_account(member), "most": most})
    return [LotLine(**row._asdict()) for row in rows]


def member_cards(connection: Connection, member: MemberDetails) -> list[MemberCard]:
    """The member's cards, the oldest first."""
    return [MemberCard(**row._asdict()) for row in connection.execute(CARDS, _account(member))]


def member_holds(connection: Connection, member: MemberDetails, *, most: int) -> list[MemberHold]:
    """What is reserved just now."""
    if member.held == 0:
        return []
    rows = connection.execute(HOLDS, {**_account(member), "most": most})
    return [MemberHold(**row._asdict()) for row in rows]


def member_movements(connection: Connection, member: MemberDetails, *, most: int) -> list[Movement]:
    """The newest transactions."""
    rows = connection.execute(MOVEMENTS, {**_account(member), "most": most})
    return [Movement(**row._asdict()) for row in rows]


def member_notes(
    connection: Connection, keys: PersonalKeys, member: MemberDetails, *, most: int
) -> list[Note]:
    """The newest notes; one that does not open says so by being empty."""
    rows = connection.execute(NOTES, {"member": member.id, "most": most})
    return [
        Note(
            note=keys.open_field(member.id, "note", row.note) or "",
            staff_name=row.staff_name,
            written_at=row.written_at,
        )
        for row in rows
    ]


def units(connection: Connection, enterprise: int, *, most: int = 5_000) -> list[Unit]:
    """The open units of an enterprise, by name."""
    rows = connection.execute(UNITS, {"enterprise": enterprise, "most": most})
    return [Unit(**row._asdict()) for row in rows]


def enterprises(connection: Connection) -> list[Unit]:
    """The enterprises that the scope shows, by name."""
    return [Unit(**row._asdict()) for row in connection.execute(ENTERPRISES)]


def _account(member: MemberDetails) -> dict[str, int]:
    return {"slot": member.slot, "account": member.account}
