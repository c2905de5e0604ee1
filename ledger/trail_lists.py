"""The trail as pages show it: searched by who, what, subject, day and address, newest first. Reading only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text

__all__ = ["Sought", "TrailLine", "deeds", "find_line", "subject_kinds", "trail_lines"]

COLUMNS = """number, version, happened_at, staff_id, staff_name, address, what, subject_kind, subject_id,
             before, after, reason, hash"""
ONE = text(f"SELECT {COLUMNS} FROM trail_line WHERE tenant_id = :tenant AND number = :number")
# Each condition is there only when something is sought: the planner then sees which index serves it.
CONDITIONS = {
    "before": "number < :before",
    "people": "staff_id = ANY(:people)",
    "name": "staff_name = :name",
    "what": "what = :what",
    "subject_kind": "subject_kind = :subject_kind",
    "subject_id": "subject_id = :subject_id",
    "since": "happened_at >= :since",
    "until": "happened_at < :until",
    "address": "address = :address",
}
PEOPLE = text(
    """SELECT id FROM staff WHERE strpos(lower(name), lower(:words)) > 0 OR login = lower(:words)
       ORDER BY id LIMIT 50"""
)
# The distinct values of an index's column, by hopping from one to the next.
DISTINCT = """
WITH RECURSIVE hop AS (
    (SELECT {column} AS value FROM trail_line WHERE tenant_id = :tenant ORDER BY {column} LIMIT 1)
    UNION ALL
    SELECT (SELECT {column} FROM trail_line WHERE tenant_id = :tenant AND {column} > hop.value
            ORDER BY {column} LIMIT 1) FROM hop WHERE hop.value IS NOT NULL
) SELECT value FROM hop WHERE value IS NOT NULL LIMIT 500"""
DEEDS = text(DISTINCT.format(column="what"))
SUBJECT_KINDS = text(DISTINCT.format(column="subject_kind"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailLine:
    """A line of a trail. `before` and `after` hold what changed, by field; None where nothing was told."""

    number: int
    version: int
    happened_at: datetime
    staff_id: int | None
    staff_name: str
    address: str | None
    what: str
    subject_kind: str
    subject_id: str
    before: str | None
    after: str | None
    reason: str | None
    hash: bytes

    def fields(self) -> list[tuple[str, Any, Any]]:
        """Field, before, after: every field that either side names, in the order in which they are told."""
        before, after = _told(self.before), _told(self.after)
        return [(name, before.get(name), after.get(name)) for name in dict.fromkeys((*before, *after))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What a search of the trail asks for; what is None or "" is not asked. `until` is exclusive."""

    who: str = ""
    what: str = ""
    subject_kind: str = ""
    subject_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    address: str = ""


def trail_lines(
    connection: Connection, tenant: int, sought: Sought, *, before: int | None = None, most: int
) -> list[TrailLine]:
    """The newest lines of a tenant's trail that fit, or, with `before`, the newest of smaller numbers.

    `who` is part of a name of the staff, or a login; else the whole name of somebody who is none any more.
    """
    asked: dict[str, Any] = {
        "before": before,
        "what": sought.what or None,
        "subject_kind": sought.subject_kind or None,
        "subject_id": sought.subject_id or None,
        "since": sought.since,
        "until": sought.until,
        "address": sought.address or None,
    }
    if sought.who:
        people = list(connection.execute(PEOPLE, {"words": sought.who}).scalars())
        asked |= {"people": people} if people else {"name": sought.who}
    given = {name: value for name, value in asked.items() if value is not None}
    where = "".join(f" AND {CONDITIONS[name]}" for name in given)
    lines = text(
        f"SELECT {COLUMNS} FROM trail_line WHERE tenant_id = :tenant{where} ORDER BY number DESC LIMIT :most"
    )
    rows = connection.execute(lines, given | {"tenant": tenant, "most": most})
    return [TrailLine(**row._asdict()) for row in rows]


def find_line(connection: Connection, tenant: int, number: int) -> TrailLine | None:
    """One line of a tenant's trail, as far as the scope shows it."""
    row = connection.execute(ONE, {"tenant": tenant, "number": number}).one_or_none()
    return None if row is None else TrailLine(**row._asdict())


def deeds(connection: Connection, tenant: int) -> list[str]:
    """What has been done, by the names of operations that stand in the trail."""
    return list(connection.execute(DEEDS, {"tenant": tenant}).scalars())


def subject_kinds(connection: Connection, tenant: int) -> list[str]:
    """The kinds of subject that stand in the trail."""
    return list(connection.execute(SUBJECT_KINDS, {"tenant": tenant}).scalars())


def _told(told: str | None) -> Mapping[str, Any]:
    """The fields of a JSON text; one that is none, after somebody changed it, is shown as it stands."""
    if told is None:
        return {}
    try:
        decoded = msgspec.json.decode(told)
    except msgspec.DecodeError:
        return {"": told}
    return decoded if isinstance(decoded, dict) else {"": decoded}
