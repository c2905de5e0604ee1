"""Files of members on their way in: taking one, asking for its lines to be entered, forgetting it.

What a file says lies sealed in the database, and not for longer than it is needed: the content until its
lines are read, a good line until its member is entered, a bad one until the file is discarded or a week is
over. The work itself is that of ledger.import_steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from ledger import jobs
from ledger.import_reading import Source
from ledger.personal import PersonalKeys
from ledger.trail import Actor

__all__ = [
    "CHECK", "CONTENT", "END", "ENTER", "GOOD", "KEPT", "NO_LINES", "ImportFile", "ImportLine", "Told",
    "bad_lines", "discard", "enter", "find_file", "good_lines", "latest_files", "locked", "opened", "place",
    "resume", "tidy", "upload",
]  # fmt: skip

CHECK, ENTER = "members.check", "members.enter"
KEPT = timedelta(days=7)  # what nobody decides about is discarded then

NEXT_FILE = text("SELECT nextval(pg_get_serial_sequence('import_file', 'id'))")
INSERT_FILE = text(
    """INSERT INTO import_file (id, tenant_id, organisation_id, name, content, read_as, staff_id, staff_name,
                                uploaded_at)
       VALUES (:id, :tenant, :unit, :name, :content, :read_as, :staff, :staff_name, :now)"""
)
COLUMNS = """id, tenant_id, organisation_id, name, read_as, state, fault, good, bad, entered, job_id,
             staff_id, staff_name, uploaded_at, ended_at"""
OWN = "(CAST(:staff AS bigint) IS NULL OR staff_id = :staff)"
FIND = text(f"SELECT {COLUMNS} FROM import_file WHERE id = :file AND {OWN}")
LATEST = text(
    f"""SELECT {COLUMNS} FROM import_file
        WHERE (CAST(:tenant AS bigint) IS NULL OR tenant_id = :tenant) AND {OWN}
        ORDER BY id DESC LIMIT :most"""
)
LOCK = text(f"SELECT {COLUMNS} FROM import_file WHERE id = :file FOR UPDATE")
CONTENT = text("SELECT content FROM import_file WHERE id = :file")
SET_JOB = text("UPDATE import_file SET job_id = :job, state = :state WHERE id = :file")
END = text("UPDATE import_file SET state = :state, content = NULL, ended_at = :now WHERE id = :file")
NO_LINES = text("DELETE FROM import_line WHERE file_id = :file")
GOOD = text(
    """SELECT number, told, faults FROM import_line WHERE file_id = :file AND number > :after
         AND faults = '{}' ORDER BY number LIMIT :most"""
)
BAD = text(
    """SELECT number, told, faults FROM import_line WHERE file_id = :file AND number > :after
         AND faults <> '{}' ORDER BY number LIMIT :most"""
)
OLD = text(
    """SELECT f.id, f.tenant_id FROM import_file f
       WHERE f.uploaded_at < :before AND f.state <> 'entering'
         AND (f.content IS NOT NULL OR EXISTS (SELECT FROM import_line l WHERE l.file_id = f.id))
       ORDER BY f.id LIMIT 20 FOR UPDATE SKIP LOCKED"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFile:
    """A file on its way in. `fault`: of an unreadable one the word and the detail of Unreadable."""

    id: int
    tenant_id: int
    organisation_id: int | None
    name: str
    read_as: str
    state: str
    fault: str | None
    good: int
    bad: int
    entered: int
    job_id: int | None
    staff_id: int | None
    staff_name: str
    uploaded_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class ImportLine:
    """A line of it: its number in the file, its values by field, and its faults (import_reading.Read)."""

    number: int
    values: dict[str, str]
    faults: list[str]


class Told(msgspec.Struct):
    """What a line says, as it is sealed. `unit`: the id that its unit's code stands for."""

    values: dict[str, str]
    plates: list[str]
    unit: int | None


def upload(
    connection: Connection, keys: PersonalKeys, content: bytes, source: Source, *, tenant: int, name: str,
    unit: int | None, units: Sequence[int] | None, actor: Actor, now: datetime,
) -> int:  # fmt: skip
    """Take a file in and ask for its check. Returns its id.

    Members whose line names no unit go to `unit`; where `units` is not None, lines may name only these.
    """
    new: int = connection.execute(NEXT_FILE).scalar_one()
    connection.execute(
        INSERT_FILE,
        {
            "id": new,
            "tenant": tenant,
            "unit": unit,
            "name": name,
            "content": keys.seal(place(new), content),
            "read_as": str(source),
            "staff": actor.staff_id,
            "staff_name": actor.name,
            "now": now,
        },
    )
    told = {"file": new, "row": 0, "units": None if units is None else sorted(units)}
    job = jobs.start(connection, CHECK, tenant=tenant, actor=actor, told=told, now=now)
    connection.execute(SET_JOB, {"file": new, "job": job, "state": "checking"})
    return new


def enter(connection: Connection, file: ImportFile, *, actor: Actor, now: datetime) -> int | None:
    """Ask for the good lines of a checked file to be entered; the job. None when that was asked before."""
    found = locked(connection, file.id)
    if found is None or found.state != "checked" or found.good == 0:
        return None
    told = {"file": file.id, "row": 0}
    job = jobs.start(
        connection, ENTER, tenant=file.tenant_id, actor=actor, told=told, total=found.good, now=now
    )
    connection.execute(SET_JOB, {"file": file.id, "job": job, "state": "entering"})
    return job


def resume(connection: Connection, file: ImportFile, *, actor: Actor, now: datetime) -> int | None:
    """Go on where a job failed or was stopped. None when there is nothing to go on with."""
    found = locked(connection, file.id)
    if found is None or found.state not in {"checking", "entering"} or found.job_id is None:
        return None
    last = jobs.read_job(connection, found.job_id)
    if last is None or last.state not in {"failed", "stopped"}:
        return None
    job = jobs.start(
        connection, last.kind, tenant=file.tenant_id, actor=actor, told=last.told, total=last.total, now=now
    )
    connection.execute(SET_JOB, {"file": file.id, "job": job, "state": found.state})
    return job


def discard(connection: Connection, file: int, *, now: datetime) -> bool:
    """Forget what the file says. False while it is being entered, or when it is forgotten already.

    Of a file that has been entered, what is forgotten are the lines that were not.
    """
    found = locked(connection, file)
    if found is None or found.state in {"entering", "discarded"}:
        return False
    if found.job_id is not None:
        jobs.stop(connection, found.job_id, now)
    connection.execute(NO_LINES, {"file": file})
    state = "entered" if found.state == "entered" else "discarded"
    connection.execute(END, {"file": file, "state": state, "now": now})
    return True


def tidy(connection: Connection, *, now: datetime) -> int:
    """Forget files that nobody has decided about for a week; how many. Some at a time: repeat until 0."""
    old = connection.execute(OLD, {"before": now - KEPT}).all()
    for row in old:
        discard(connection, row.id, now=now)
    return len(old)


def find_file(connection: Connection, file: int, *, staff: int | None = None) -> ImportFile | None:
    """The file; only if `staff` brought it, where that is not None. None when the scope shows none."""
    row = connection.execute(FIND, {"file": file, "staff": staff}).one_or_none()
    return None if row is None else ImportFile(**row._asdict())


def latest_files(
    connection: Connection, *, tenant: int | None = None, staff: int | None = None, most: int
) -> list[ImportFile]:
    """The newest files of a tenant, or of all."""
    rows = connection.execute(LATEST, {"tenant": tenant, "staff": staff, "most": most})
    return [ImportFile(**row._asdict()) for row in rows]


def good_lines(connection: Connection, keys: PersonalKeys, file: int, *, most: int) -> list[ImportLine]:
    """The first lines that can be entered and are not yet."""
    return _lines(connection, keys, GOOD, file, 0, most)


def bad_lines(
    connection: Connection, keys: PersonalKeys, file: int, *, after: int = 0, most: int
) -> list[ImportLine]:
    """Lines with faults, those behind the line `after`."""
    return _lines(connection, keys, BAD, file, after, most)


def _lines(
    connection: Connection, keys: PersonalKeys, statement: Any, file: int, after: int, most: int
) -> list[ImportLine]:
    found = []
    for row in connection.execute(statement, {"file": file, "after": after, "most": most}):
        told = opened(keys, file, row.number, row.told)
        found.append(ImportLine(row.number, told.values, list(row.faults)))
    return found


def opened(keys: PersonalKeys, file: int, number: int, sealed: bytes) -> Told:
    told = keys.open(f"{place(file)} {number}", bytes(sealed))
    if told is None:
        raise jobs.JobFailed("the key that sealed this file is not the one of today")
    return msgspec.json.decode(told, type=Told)


def locked(connection: Connection, file: int) -> ImportFile | None:
    row = connection.execute(LOCK, {"file": file}).one_or_none()
    return None if row is None else ImportFile(**row._asdict())


def place(file: int) -> str:
    return f"import {file}"
