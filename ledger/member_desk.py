"""What is done to members: entering many or one, changing, closing, opening again, erasing; notes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from ledger import cards
from ledger.cards import Card
from ledger.members import INSERT_WORDS
from ledger.model import SLOTS
from ledger.personal import PersonalKeys

__all__ = [
    "ERASED", "MemberData", "Taken", "add_note", "change_member", "close_member", "enter_members",
    "erase_member", "lock_member", "reopen_member", "taken",
]  # fmt: skip

ERASED = "***"  # the name of a member whose person is erased

MEMBER_IDS = text(
    """SELECT nextval(pg_get_serial_sequence('member', 'id')), nextval('account_id_seq')
       FROM generate_series(1, :count)"""
)
INSERT_MEMBERS = text(
    """INSERT INTO member (id, enterprise_id, organisation_id, code, name)
       SELECT id, :enterprise, unit, code, name
       FROM unnest(CAST(:ids AS bigint[]), CAST(:units AS bigint[]), CAST(:codes AS text[]),
                   CAST(:names AS text[])) AS t(id, unit, code, name)"""
)
INSERT_ACCOUNTS = text(
    """INSERT INTO account (slot, id, member_id, enterprise_id)
       SELECT id % :slots, id, member, :enterprise
       FROM unnest(CAST(:accounts AS bigint[]), CAST(:ids AS bigint[])) AS t(id, member)"""
)
INSERT_PERSONS = text(
    """INSERT INTO person (member_id, enterprise_id, phone, phone_key, identity, identity_key)
       SELECT member, :enterprise, phone, phone_key, identity, identity_key
       FROM unnest(CAST(:ids AS bigint[]), CAST(:phones AS bytea[]), CAST(:phone_keys AS bytea[]),
                   CAST(:identities AS bytea[]), CAST(:identity_keys AS bytea[]))
            AS t(member, phone, phone_key, identity, identity_key)"""
)
INSERT_PLATES = text(
    """INSERT INTO member_plate (member_id, plate, enterprise_id)
       SELECT member, plate, :enterprise
       FROM unnest(CAST(:ids AS bigint[]), CAST(:plates AS text[])) AS t(member, plate)
       ON CONFLICT DO NOTHING"""
)
TAKEN_CODES = text("SELECT code FROM member WHERE enterprise_id = :enterprise AND code = ANY(:codes)")
TAKEN_PHONES = text(
    "SELECT phone_key FROM person WHERE enterprise_id = :enterprise AND phone_key = ANY(:keys)"
)
TAKEN_IDENTITIES = text(
    "SELECT identity_key FROM person WHERE enterprise_id = :enterprise AND identity_key = ANY(:keys)"
)
LOCK = text("SELECT id FROM member WHERE id = :member FOR UPDATE")
CHANGE = text("UPDATE member SET name = :name, organisation_id = :unit WHERE id = :member")
SET_STATUS = text("UPDATE member SET status = :status WHERE id = :member")
LOCK_ACCOUNT = text(
    "SELECT slot, id, posted, held FROM account WHERE member_id = :member ORDER BY slot, id FOR UPDATE"
)
SET_ACCOUNT = text("UPDATE account SET status = :status WHERE slot = :slot AND id = :account")
CARDS = text(
    """SELECT slot, account_id, id, issue, number, status FROM card
       WHERE slot = :slot AND account_id = :account ORDER BY id"""
)
NO_PERSON = text("DELETE FROM person WHERE member_id = :member")
NO_WORDS = text("DELETE FROM member_word WHERE member_id = :member")
NO_PLATES = text("DELETE FROM member_plate WHERE member_id = :member")
NO_NOTES = text("DELETE FROM member_note WHERE member_id = :member")
ERASE = text("UPDATE member SET name = :name, erased_at = :now WHERE id = :member")
NOTE = text(
    """INSERT INTO member_note (member_id, enterprise_id, note, staff_id, staff_name, written_at)
       SELECT id, enterprise_id, :note, :staff, :staff_name, :now FROM member WHERE id = :member
       RETURNING id"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberData:
    """What is told of a member; phone, identity and plates in their normal forms (ledger.personal)."""

    code: str
    name: str
    phone: str | None = None
    identity: str | None = None
    plates: tuple[str, ...] = ()
    unit: int | None = None


class Taken(Exception):
    """Another member of the enterprise has this; `field` is code, phone or identity."""

    def __init__(self, field: str) -> None:
        super().__init__(f"another member has this {field}")
        self.field = field


def taken(
    connection: Connection, keys: PersonalKeys, enterprise: int, entries: Sequence[MemberData]
) -> list[list[str]]:
    """Of each entry the fields that a member of the enterprise has already: code, phone, identity."""
    told: dict[str, set[Any]] = {
        "code": {entry.code for entry in entries},
        "phone": {keys.search_key("phone", entry.phone) for entry in entries if entry.phone},
        "identity": {keys.search_key("identity", entry.identity) for entry in entries if entry.identity},
    }
    codes = _known(connection, TAKEN_CODES, enterprise, "codes", told["code"])
    phones = _known(connection, TAKEN_PHONES, enterprise, "keys", told["phone"])
    identities = _known(connection, TAKEN_IDENTITIES, enterprise, "keys", told["identity"])
    return [
        [
            field
            for field, has in (
                ("code", entry.code in codes),
                ("phone", bool(entry.phone) and keys.search_key("phone", entry.phone or "") in phones),
                (
                    "identity",
                    bool(entry.identity) and keys.search_key("identity", entry.identity or "") in identities,
                ),
            )
            if has
        ]
        for entry in entries
    ]


def enter_members(
    connection: Connection, keys: PersonalKeys, enterprise: int, entries: Sequence[MemberData]
) -> list[int]:
    """New members with their accounts; their ids, in order. After Taken nothing can be committed."""
    if not entries:
        return []
    pairs = connection.execute(MEMBER_IDS, {"count": len(entries)}).all()
    ids = [pair[0] for pair in pairs]
    try:
        connection.execute(
            INSERT_MEMBERS,
            {
                "enterprise": enterprise, "ids": ids, "units": [entry.unit for entry in entries],
                "codes": [entry.code for entry in entries], "names": [entry.name for entry in entries],
            },
        )  # fmt: skip
        connection.execute(
            INSERT_ACCOUNTS,
            {"slots": SLOTS, "enterprise": enterprise, "ids": ids, "accounts": [pair[1] for pair in pairs]},
        )
        _tell_persons(connection, keys, enterprise, zip(ids, entries, strict=True))
    except IntegrityError as error:
        raise _taken(error) from error
    connection.execute(INSERT_WORDS, {"members": ids})
    return ids


def lock_member(connection: Connection, member: int) -> bool:
    """Keep a member as it is until the transaction ends. False when the scope shows no such member."""
    return connection.execute(LOCK, {"member": member}).one_or_none() is not None


def change_member(
    connection: Connection, keys: PersonalKeys, enterprise: int, member: int, data: MemberData
) -> None:
    """Everything but the code, which stays. Raises Taken, and then nothing can be committed."""
    connection.execute(CHANGE, {"member": member, "name": data.name, "unit": data.unit})
    for statement in (NO_PERSON, NO_PLATES, NO_WORDS):
        connection.execute(statement, {"member": member})
    try:
        _tell_persons(connection, keys, enterprise, [(member, data)])
    except IntegrityError as error:
        raise _taken(error) from error
    connection.execute(INSERT_WORDS, {"members": [member]})


def close_member(
    connection: Connection, member: int, *, now: datetime, staff: int | None, reason: str | None
) -> int:
    """The account takes and gives nothing any more, and its cards are suspended. Returns how many were.

    Waits for a running debit. The points stay in the account, as they are.
    """
    suspended = 0
    for account in connection.execute(LOCK_ACCOUNT, {"member": member}).all():
        key = {"slot": account.slot, "account": account.id}
        for row in connection.execute(CARDS, key).all():
            if "suspended" in cards.MOVES[row.status]:
                card = Card(row.slot, row.account_id, row.id, row.issue, row.number)
                cards.set_status(connection, card, "suspended", now=now, staff=staff, reason=reason)
                suspended += 1
        connection.execute(SET_ACCOUNT, {**key, "status": "closed"})
    connection.execute(SET_STATUS, {"member": member, "status": "closed"})
    return suspended


def reopen_member(connection: Connection, member: int) -> None:
    """The account works again. Cards stay suspended: each is made active again by who has seen it."""
    for account in connection.execute(LOCK_ACCOUNT, {"member": member}).all():
        connection.execute(SET_ACCOUNT, {"slot": account.slot, "account": account.id, "status": "open"})
    connection.execute(SET_STATUS, {"member": member, "status": "active"})


def erase_member(connection: Connection, member: int, *, now: datetime) -> None:
    """Name, phone, identity number, plates and notes are gone, for good; the code and the books stay."""
    for statement in (NO_PERSON, NO_PLATES, NO_WORDS, NO_NOTES):
        connection.execute(statement, {"member": member})
    connection.execute(ERASE, {"member": member, "name": ERASED, "now": now})
    connection.execute(INSERT_WORDS, {"members": [member]})


def add_note(
    connection: Connection,
    keys: PersonalKeys,
    member: int,
    note: str,
    *,
    staff: int | None,
    staff_name: str,
    now: datetime,
) -> int:
    """Write something down about a member. Returns the note's id."""
    new: int = connection.execute(
        NOTE,
        {
            "member": member,
            "note": keys.seal_field(member, "note", note),
            "staff": staff,
            "staff_name": staff_name,
            "now": now,
        },
    ).scalar_one()
    return new


def _tell_persons(
    connection: Connection, keys: PersonalKeys, enterprise: int, entries: Iterable[tuple[int, MemberData]]
) -> None:
    rows: list[dict[str, Any]] = []
    plates: list[tuple[int, str]] = []
    for member, data in entries:
        plates += ((member, plate) for plate in data.plates)
        if data.phone is not None or data.identity is not None:
            rows.append({"ids": member, **_sealed(keys, member, data)})
    if rows:
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        connection.execute(INSERT_PERSONS, {"enterprise": enterprise, **columns})
    if plates:
        told = {"ids": [pair[0] for pair in plates], "plates": [pair[1] for pair in plates]}
        connection.execute(INSERT_PLATES, {"enterprise": enterprise, **told})


def _sealed(keys: PersonalKeys, member: int, data: MemberData) -> dict[str, bytes | None]:
    phone, identity = data.phone, data.identity
    return {
        "phones": None if phone is None else keys.seal_field(member, "phone", phone),
        "phone_keys": None if phone is None else keys.search_key("phone", phone),
        "identities": None if identity is None else keys.seal_field(member, "identity", identity),
        "identity_keys": None if identity is None else keys.search_key("identity", identity),
    }


def _known(connection: Connection, statement: Any, enterprise: int, name: str, values: set[Any]) -> set[Any]:
    if not values:
        return set()
    rows = connection.execute(statement, {"enterprise": enterprise, name: list(values)})
    return {bytes(row[0]) if isinstance(row[0], memoryview) else row[0] for row in rows}


def _taken(error: IntegrityError) -> Exception:
    """By the name of the constraint; anything else is a fault of ours, as it is."""
    constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", None) or ""
    for field in ("phone", "identity"):
        if constraint == f"person_{field}_key_enterprise_id_key":
            return Taken(field)
    return Taken("code") if constraint == "member_enterprise_id_code_key" else error
