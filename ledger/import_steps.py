"""The two jobs that bring a file of members in: checking its lines, and entering the good ones.

Each step commits some hundred lines together with where the next one begins (ledger.jobs), so that a crash
repeats nothing and loses nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from ledger import trail
from ledger.import_reading import Read, Source, Unreadable, expected, head_of, read_line, rows
from ledger.imports import CHECK, CONTENT, END, ENTER, GOOD, NO_LINES, ImportFile, Told, locked, opened, place
from ledger.jobs import Job
from ledger.member_desk import MemberData, enter_members, taken
from ledger.personal import PersonalKeys

__all__ = ["STEP_LINES", "Importing"]

STEP_LINES = 500  # a step stays far below a second

COUNTED = text("UPDATE import_file SET good = good + :good, bad = bad + :bad WHERE id = :file")
CHECKED = text("UPDATE import_file SET state = 'checked', content = NULL WHERE id = :file")
UNREADABLE = text(
    """UPDATE import_file SET state = 'unreadable', fault = :fault, content = NULL, good = 0, bad = 0,
                              ended_at = :now WHERE id = :file"""
)
ENTERED = text(
    """UPDATE import_file SET entered = entered + :entered, good = good - :late, bad = bad + :late
       WHERE id = :file"""
)
INSERT_LINES = text(
    """INSERT INTO import_line (file_id, number, tenant_id, code, phone_key, identity_key, told, faults)
       SELECT :file, number, :tenant, code, phone_key, identity_key, told, string_to_array(faults, ' ')
       FROM unnest(CAST(:numbers AS bigint[]), CAST(:codes AS text[]), CAST(:phone_keys AS bytea[]),
                   CAST(:identity_keys AS bytea[]), CAST(:told AS bytea[]), CAST(:faults AS text[]))
            AS t(number, code, phone_key, identity_key, told, faults)"""
)
EARLIER = {
    "code": text("SELECT code FROM import_line WHERE file_id = :file AND code = ANY(:values)"),
    "phone": text("SELECT phone_key FROM import_line WHERE file_id = :file AND phone_key = ANY(:values)"),
    "identity": text(
        "SELECT identity_key FROM import_line WHERE file_id = :file AND identity_key = ANY(:values)"
    ),
}
UNITS = text(
    """SELECT code, min(id) AS id, count(*) AS times FROM organisation
       WHERE tenant_id = :tenant AND id <> tenant_id AND status = 'open' AND code = ANY(:codes)
       GROUP BY code"""
)
GONE = text("DELETE FROM import_line WHERE file_id = :file AND number = ANY(:numbers)")
LATE = text(
    """UPDATE import_line l SET faults = string_to_array(t.faults, ' ')
       FROM unnest(CAST(:numbers AS bigint[]), CAST(:faults AS text[])) AS t(number, faults)
       WHERE l.file_id = :file AND l.number = t.number"""
)


@dataclass(slots=True)
class _Reading:
    """A file that is being read, kept between two steps; another worker opens it again and skips."""

    job: int
    row: int
    fields: list[str]
    lines: Iterator[tuple[int, list[str]]]
    total: int


class Importing:
    """The steps of both jobs, for ledger.jobs.run_step."""

    def __init__(self, keys: PersonalKeys) -> None:
        self._keys = keys
        self._reading: _Reading | None = None
        self.steps: dict[str, Callable[[Connection, Job, datetime], Job]] = {
            CHECK: self.check,
            ENTER: self.enter,
        }

    def check(self, connection: Connection, job: Job, now: datetime) -> Job:
        """Read the next lines, and find what is wrong with each."""
        file = locked(connection, job.told["file"])
        if file is None or file.state != "checking":
            return job.went_on(state="done")
        try:
            reading = self._open(connection, job, file)
            lines = list(islice(reading.lines, STEP_LINES))
        except Unreadable as fault:
            self._reading = None
            connection.execute(NO_LINES, {"file": file.id})
            connection.execute(
                UNREADABLE, {"file": file.id, "fault": f"{fault.word} {fault.detail}".strip(), "now": now}
            )
            return job.went_on(state="done", result={"fault": fault.word})
        good = bad = 0
        if lines:
            read = [(number, read_line(reading.fields, cells)) for number, cells in lines]
            good, bad = self._store(connection, file, job.told["units"], read)
            reading.row = lines[-1][0]
        connection.execute(COUNTED, {"file": file.id, "good": good, "bad": bad})
        done = job.done + len(lines)
        told = {**job.told, "row": reading.row}
        if len(lines) == STEP_LINES:
            return job.went_on(told=told, done=done, total=max(reading.total, done))
        self._reading = None
        if done == 0:
            connection.execute(UNREADABLE, {"file": file.id, "fault": "empty", "now": now})
        else:
            connection.execute(CHECKED, {"file": file.id})
        return job.went_on(told=told, done=done, total=done, state="done", result={"lines": done})

    def enter(self, connection: Connection, job: Job, now: datetime) -> Job:
        """Enter the next good lines; a line that somebody has entered by hand meanwhile turns bad."""
        file = locked(connection, job.told["file"])
        if file is None or file.state != "entering":
            return job.went_on(state="done")
        told = {"file": file.id, "after": job.told["row"], "most": STEP_LINES}
        rows = connection.execute(GOOD, told).all()
        entries = [(row.number, self._entry(file, row)) for row in rows]
        known = taken(connection, self._keys, file.tenant_id, [entry for _, entry in entries])
        late = [
            (number, " ".join(f"{field}.taken" for field in fields))
            for (number, _), fields in zip(entries, known, strict=True)
            if fields
        ]
        fit = [pair for pair, fields in zip(entries, known, strict=True) if not fields]
        enter_members(connection, self._keys, file.tenant_id, [entry for _, entry in fit])
        connection.execute(GONE, {"file": file.id, "numbers": [number for number, _ in fit]})
        if late:
            marks = {"numbers": [number for number, _ in late], "faults": [faults for _, faults in late]}
            connection.execute(LATE, {"file": file.id, **marks})
        connection.execute(ENTERED, {"file": file.id, "entered": len(fit), "late": len(late)})
        done = job.done + len(rows)
        if len(rows) == STEP_LINES:
            return job.went_on(told={**job.told, "row": rows[-1].number}, done=done)
        connection.execute(END, {"file": file.id, "state": "entered", "now": now})
        entered = file.entered + len(fit)
        trail.record(
            connection, job.actor, "import.entered", tenant=file.tenant_id, kind="import", id=file.id,
            after={"entered": entered, "left": file.bad + len(late)}, now=now,
        )  # fmt: skip
        return job.went_on(done=done, state="done", result={"entered": entered})

    def _open(self, connection: Connection, job: Job, file: ImportFile) -> _Reading:
        """The file, behind the lines that are read already. A step that was taken back reads them anew."""
        row = job.told["row"]
        reading, self._reading = self._reading, None
        if reading is None or (reading.job, reading.row) != (job.id, row):
            sealed = connection.execute(CONTENT, {"file": file.id}).scalar_one()
            content = None if sealed is None else self._keys.open(place(file.id), bytes(sealed))
            if content is None:
                raise Unreadable("key")
            source = Source.parse(file.read_as)
            lines = rows(content, source)
            first = next(lines, None)
            if first is None:
                raise Unreadable("empty")
            fields = head_of(first[1])
            behind = (line for line in lines if line[0] > row)
            reading = _Reading(job.id, row, fields, behind, expected(content, source))
        self._reading = reading
        return reading

    def _store(
        self, connection: Connection, file: ImportFile, units: list[int] | None, read: list[tuple[int, Read]]
    ) -> tuple[int, int]:
        """Keep lines with all that is wrong with them; how many are good, and how many bad."""
        keys = self._keys
        named = self._units(connection, file, units, {line.values["unit"] for _, line in read})
        faults = [list(line.faults) for _, line in read]
        entries = []
        for (_, line), found in zip(read, faults, strict=True):
            code = line.values["unit"]
            unit = named.get(code) if code else file.organisation_id
            if (code and unit is None) or (units is not None and unit not in units):
                found.append("unit.unknown" if code else "unit.missing")
            wrong = {fault.partition(".")[0] for fault in line.faults}
            entries.append(_data(line.values, line.plates, unit, wrong))
        known = taken(connection, keys, file.tenant_id, entries)
        for found, fields in zip(faults, known, strict=True):
            found.extend(f"{field}.taken" for field in fields)
        marks = [
            {
                "code": entry.code or None,
                "phone": keys.search_key("phone", entry.phone) if entry.phone else None,
                "identity": keys.search_key("identity", entry.identity) if entry.identity else None,
            }
            for entry in entries
        ]
        for name, statement in EARLIER.items():
            self._twice(connection, file, name, statement, marks, faults)
        told = [
            keys.seal(
                f"{place(file.id)} {number}",
                msgspec.json.encode(Told(dict(line.values), list(line.plates), entry.unit)),
            )
            for (number, line), entry in zip(read, entries, strict=True)
        ]
        connection.execute(
            INSERT_LINES,
            {
                "file": file.id,
                "tenant": file.tenant_id,
                "numbers": [number for number, _ in read],
                "codes": [mark["code"] for mark in marks],
                "phone_keys": [mark["phone"] for mark in marks],
                "identity_keys": [mark["identity"] for mark in marks],
                "told": told,
                "faults": [" ".join(dict.fromkeys(found)) for found in faults],
            },
        )
        bad = sum(1 for found in faults if found)
        return len(read) - bad, bad

    @staticmethod
    def _twice(
        connection: Connection, file: ImportFile, name: str, statement: Any, marks: list[dict[str, Any]],
        faults: list[list[str]],
    ) -> None:  # fmt: skip
        values = list({mark[name] for mark in marks if mark[name] is not None})
        if not values:
            return
        seen = {
            bytes(row[0]) if isinstance(row[0], memoryview) else row[0]
            for row in connection.execute(statement, {"file": file.id, "values": values})
        }
        for mark, found in zip(marks, faults, strict=True):
            if mark[name] is None:
                continue
            if mark[name] in seen:
                found.append(f"{name}.twice")
            seen.add(mark[name])

    @staticmethod
    def _units(
        connection: Connection, file: ImportFile, units: list[int] | None, codes: set[str]
    ) -> dict[str, int]:
        codes.discard("")
        if not codes:
            return {}
        found = connection.execute(UNITS, {"tenant": file.tenant_id, "codes": list(codes)})
        return {row.code: row.id for row in found if row.times == 1 and (units is None or row.id in units)}

    def _entry(self, file: ImportFile, row: Any) -> MemberData:
        told = opened(self._keys, file.id, row.number, row.told)
        return _data(told.values, tuple(told.plates), told.unit, frozenset())


def _data(
    values: Any, plates: tuple[str, ...], unit: int | None, wrong: set[str] | frozenset[str]
) -> MemberData:
    return MemberData(
        code=values["code"],
        name=values["name"],
        phone=None if "phone" in wrong else values["phone"] or None,
        identity=None if "identity" in wrong else values["identity"] or None,
        plates=plates,
        unit=unit,
    )
