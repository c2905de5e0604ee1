"""The audit trail: who did what, when, from where, before and after, chained by hashes per tenant.

A line's hash is BLAKE2b-256 over the hash of the line before and the line's own canonical form: a JSON
array, without spaces, of all its columns in the order of `_canonical`, which `version` names. Whoever
changes, inserts or removes a line breaks the chain at that line; `broken` finds it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text

__all__ = ["VERSION", "Actor", "Broken", "broken", "record", "tenants"]

VERSION = 1
_START = bytes(32)

OPEN_HEAD = text(
    "INSERT INTO trail_head (tenant_id, number, hash) VALUES (:tenant, 0, :start) ON CONFLICT DO NOTHING"
)
HEAD = text("SELECT number, hash FROM trail_head WHERE tenant_id = :tenant FOR UPDATE")
MOVE_HEAD = text("UPDATE trail_head SET number = :number, hash = :hash WHERE tenant_id = :tenant")
COLUMNS = (
    "tenant_id, number, version, happened_at, staff_id, staff_name, address, what, subject_kind, subject_id,"
    " before, after, reason"
)
INSERT = text(
    f"""INSERT INTO trail_line ({COLUMNS}, hash)
        VALUES (:tenant_id, :number, :version, :happened_at, :staff_id, :staff_name, :address, :what,
                :subject_kind, :subject_id, :before, :after, :reason, :hash)"""
)
LINES = text(
    f"""SELECT {COLUMNS}, hash FROM trail_line WHERE tenant_id = :tenant AND number > :after
        ORDER BY number LIMIT :most"""
)
READ_HEAD = text("SELECT number, hash FROM trail_head WHERE tenant_id = :tenant")
TENANTS = text("SELECT tenant_id FROM trail_head ORDER BY tenant_id")
PAGE = 5_000  # lines read at a time when the chain is followed


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: a person, or None for the house itself; `address` as the site saw it."""

    staff_id: int | None
    name: str
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """The first line of a trail that is not as it was written, and what is wrong with it."""

    tenant_id: int
    number: int
    fault: str


def record(
    connection: Connection,
    actor: Actor,
    what: str,
    *,
    tenant: int,
    kind: str,
    id: int | str,  # noqa: A002 - the noun's own word
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str | None = None,
    now: datetime,
) -> int:
    """Add a line to `tenant`'s trail, in the transaction that does what it tells of. Returns its number.

    `what` names the operation (`member.create`), `kind` and `id` its subject. Do it last: the tenant's
    trail is locked from here to the commit. Personal data is not told: masks and names of fields are.
    """
    connection.execute(OPEN_HEAD, {"tenant": tenant, "start": _START})
    number, last = connection.execute(HEAD, {"tenant": tenant}).one()
    row = {
        "tenant_id": tenant,
        "number": number + 1,
        "version": VERSION,
        "happened_at": now.astimezone(UTC),
        "staff_id": actor.staff_id,
        "staff_name": actor.name,
        "address": actor.address,
        "what": what,
        "subject_kind": kind,
        "subject_id": str(id),
        "before": _json(before),
        "after": _json(after),
        "reason": reason,
    }
    row["hash"] = _hash(last, tuple(row.values()))
    connection.execute(INSERT, row)
    connection.execute(MOVE_HEAD, {"tenant": tenant, "number": row["number"], "hash": row["hash"]})
    return int(number) + 1


def broken(connection: Connection, tenant: int) -> Broken | None:
    """The first line of `tenant`'s trail that does not follow from the one before; None when all do."""
    last, expected = _START, 1
    while True:
        rows = connection.execute(LINES, {"tenant": tenant, "after": expected - 1, "most": PAGE}).all()
        for *columns, known in rows:
            if columns[1] != expected:
                return Broken(tenant, expected, "the line is missing")
            if _hash(last, tuple(columns)) != bytes(known):
                return Broken(tenant, expected, "the line was changed")
            last, expected = bytes(known), expected + 1
        if len(rows) < PAGE:
            break
    head = connection.execute(READ_HEAD, {"tenant": tenant}).one_or_none()
    if head is not None and (head.number, bytes(head.hash)) != (expected - 1, last):
        return Broken(tenant, expected, "lines at the end are missing")
    return None


def tenants(connection: Connection) -> list[int]:
    """The tenants that have a trail, as far as the scope shows them."""
    return [row.tenant_id for row in connection.execute(TENANTS)]


def _json(told: Mapping[str, Any] | None) -> str | None:
    return None if told is None else msgspec.json.encode(told, order="sorted").decode()


def _hash(last: bytes, columns: tuple[Any, ...]) -> bytes:
    return hashlib.blake2b(last + _canonical(columns), digest_size=32).digest()


def _canonical(columns: tuple[Any, ...]) -> bytes:
    """The columns in the order of COLUMNS; times in UTC with microseconds."""
    told = [
        each.astimezone(UTC).isoformat(timespec="microseconds") if isinstance(each, datetime) else each
        for each in columns
    ]
    return msgspec.json.encode(told)
