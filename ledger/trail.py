"""The audit trail: who did what, when, from where, before and after, chained by hashes per tenant.

A line's hash is BLAKE2b-256 over the hash of the line before and the line's own canonical form: a JSON
array, without spaces, of all its columns in the order of COLUMNS, the form that `version` names. Whoever
changes, inserts or removes a line breaks the chain at that line; `broken` finds it. Whoever may write
every table could write a whole new chain: against that, the heads are noted outside the database
(ledger.trail_check), and a noted line must stay what it was.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text

__all__ = ["VERSION", "Actor", "Broken", "Head", "broken", "head", "line_hash", "record", "tenants"]

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
LINE_HASH = text("SELECT hash FROM trail_line WHERE tenant_id = :tenant AND number = :number")
# Lines without a head tell of a head that somebody took away.
TENANTS = text(
    """SELECT o.id FROM organisation o WHERE o.parent_id IS NULL
       AND (EXISTS (SELECT FROM trail_head h WHERE h.tenant_id = o.id)
            OR EXISTS (SELECT FROM trail_line l WHERE l.tenant_id = o.id)) ORDER BY o.id"""
)
PAGE = 5_000  # lines read at a time when the chain is followed


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: a person, or None for the house itself; `address` as the site saw it."""

    staff_id: int | None
    name: str
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """Where a trail ends: the number and the hash of its last line."""

    number: int
    hash: bytes


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
        "staff_name": _storable(actor.name),
        "address": actor.address,
        "what": what,
        "subject_kind": kind,
        "subject_id": _storable(str(id)),
        "before": _json(before),
        "after": _json(after),
        "reason": None if reason is None else _storable(reason),
    }
    row["hash"] = _hash(last, tuple(row.values()))
    connection.execute(INSERT, row)
    connection.execute(MOVE_HEAD, {"tenant": tenant, "number": row["number"], "hash": row["hash"]})
    return int(number) + 1


def broken(connection: Connection, tenant: int, *, after: int = 0, most: int | None = None) -> Broken | None:
    """The first line of `tenant`'s trail that does not follow from the one before; None when all do.

    With `after` and `most` only so many lines after that one, for trails that are followed in parts: the
    end is looked at only when it is reached. Lines that are written meanwhile are followed too.
    """
    last, expected, left = _START, after + 1, most
    if after:
        known = line_hash(connection, tenant, after)
        if known is None:
            return Broken(tenant, after, "the line is missing")
        last = known
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        rows = connection.execute(LINES, {"tenant": tenant, "after": expected - 1, "most": size}).all()
        for *columns, known in rows:
            if columns[1] != expected:
                return Broken(tenant, expected, "the line is missing")
            if columns[2] != VERSION:
                return Broken(tenant, expected, f"the line is of version {columns[2]}, which nobody knows")
            if _hash(last, tuple(columns)) != bytes(known):
                return Broken(tenant, expected, "the line was changed")
            last, expected = bytes(known), expected + 1
        left = None if left is None else left - len(rows)
        # Read after the lines: what was written meanwhile can only have moved it on.
        end = head(connection, tenant)
        if end.number < expected and (len(rows) < size or end.number < expected - 1):
            return _wrong_end(tenant, end, expected - 1, last)
        if not rows:
            return Broken(tenant, expected, "lines at the end are missing")
    return None


def _wrong_end(tenant: int, end: Head, number: int, last: bytes) -> Broken | None:
    if end.number < number:
        return Broken(tenant, end.number + 1, "the line stands after the end of the trail")
    if end.hash != last:
        return Broken(tenant, number, "the line is not the one that the trail ended with")
    return None


def head(connection: Connection, tenant: int) -> Head:
    """Where `tenant`'s trail ends; number 0 before its first line."""
    row = connection.execute(READ_HEAD, {"tenant": tenant}).one_or_none()
    return Head(0, _START) if row is None else Head(row.number, bytes(row.hash))


def line_hash(connection: Connection, tenant: int, number: int) -> bytes | None:
    """The hash of one line as it is stored, or None when there is no such line."""
    found = connection.execute(LINE_HASH, {"tenant": tenant, "number": number}).scalar_one_or_none()
    return None if found is None else bytes(found)


def tenants(connection: Connection) -> list[int]:
    """The tenants that have a trail, as far as the scope shows them."""
    return list(connection.execute(TENANTS).scalars())


def _storable(words: str) -> str:
    """The words without what a text of PostgreSQL cannot hold: ids may come from anybody's address bar."""
    return words.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


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
