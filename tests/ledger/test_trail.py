"""The chain of the trail: whatever is changed in it behind the programs' back is found, and where."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.cli import main
from ledger.database import Database, Scope
from ledger.model import TrailLine
from ledger.trail import VERSION, Actor, _canonical, broken, head, record, tenants
from ledger.trail_check import check_trails, read_heads
from ledger.trail_lists import Sought, deeds, find_line, subject_kinds, trail_lines
from tests.conftest import TestDatabase
from tests.factories import NOW, create_house

LIN = Actor(7, "Lin Wei", "10.0.0.9")


@dataclass(frozen=True)
class Trails:
    urls: TestDatabase
    database: Database
    ours: int
    theirs: int

    def fault(self, *, most: int | None = None) -> tuple[int, str] | None:
        """The first broken line, followed whole or in parts of `most` lines."""
        with self.database.transaction(Scope.everything()) as connection:
            if most is None:
                found = broken(connection, self.ours)
            else:
                end, found = head(connection, self.ours).number, None
                for after in range(0, end + 1, most):
                    found = found or broken(connection, self.ours, after=after, most=most)
        return None if found is None else (found.number, found.fault)


@pytest.fixture(scope="module")
def trails(module_database_urls: TestDatabase) -> Iterator[Trails]:
    """Two tenants' trails, of eight lines each."""
    database = Database(module_database_urls.site, pool_size=4)
    with database.transaction(Scope.everything()) as connection:
        houses = [create_house(connection) for _ in range(2)]
        for house in houses:
            for number in range(8):
                record(
                    connection, LIN, "member.change" if number % 2 else "card.issue",
                    tenant=house.enterprise, kind="member", id=number, before={"b": 1, "a": "甲"},
                    after={"a": f"x{number}"}, reason="asked" if number else None,
                    now=NOW + timedelta(days=number),
                )  # fmt: skip
    yield Trails(module_database_urls, database, houses[0].enterprise, houses[1].enterprise)
    database.close()


def tampered(trails: Trails, *sql: str) -> tuple[int, str] | None:
    """What is found after the owner of the tables did this; taken back afterwards."""
    with psycopg.connect(trails.urls.owner) as owner:
        for table in ("trail_line", "trail_head"):
            owner.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        owner.execute("CREATE TABLE kept_line AS TABLE trail_line")
        owner.execute("CREATE TABLE kept_head AS TABLE trail_head")
        for each in sql:
            assert owner.execute(each, {"tenant": trails.ours}).rowcount, each
        owner.execute("ALTER TABLE trail_line ENABLE ROW LEVEL SECURITY")
        owner.execute("ALTER TABLE trail_head ENABLE ROW LEVEL SECURITY")
        owner.commit()
        try:
            whole = trails.fault()
            assert whole == trails.fault(most=3)
            return whole
        finally:
            for table in ("trail_line", "trail_head"):
                owner.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
                owner.execute(f"DELETE FROM {table}")
            owner.execute("INSERT INTO trail_line TABLE kept_line")
            owner.execute("INSERT INTO trail_head TABLE kept_head")
            owner.execute("DROP TABLE kept_line, kept_head")
            for table in ("trail_line", "trail_head"):
                owner.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            owner.commit()


OURS = "tenant_id = %(tenant)s"
LINE_5 = f"WHERE {OURS} AND number = 5"
OTHERS = {
    "happened_at": "happened_at + interval '1 microsecond'",
    "staff_id": "NULL",
    "version": "version + 1",
    "hash": "sha256('x')",
    "address": "NULL",
    "before": "replace(before, '甲', '乙')",
}


@pytest.mark.parametrize(
    "column",
    [column.name for column in TrailLine.__table__.columns if column.name not in {"tenant_id", "number"}],
)
def test_a_change_of_any_column_is_found_at_its_line(trails: Trails, column: str) -> None:
    assert trails.fault() is None
    value = OTHERS.get(column, f"{column} || 'x'")
    found = tampered(trails, f"UPDATE trail_line SET {column} = {value} {LINE_5}")
    assert found is not None
    assert found[0] == 5


@pytest.mark.parametrize(
    ("sql", "number", "fault"),
    [
        ([f"DELETE FROM trail_line {LINE_5}"], 5, "the line is missing"),
        (["DELETE FROM trail_line WHERE tenant_id = %(tenant)s AND number > 6"], 7, "lines at the end are"),
        (["DELETE FROM trail_line WHERE tenant_id = %(tenant)s"], 1, "lines at the end are missing"),
        (["DELETE FROM trail_head WHERE tenant_id = %(tenant)s"], 1, "stands after the end of the trail"),
        (["UPDATE trail_head SET number = 7 WHERE tenant_id = %(tenant)s"], 8, "stands after the end"),
        (["UPDATE trail_head SET hash = sha256('x') WHERE tenant_id = %(tenant)s"], 8, "is not the one"),
        (
            [
                f"UPDATE trail_line SET number = 111 - number WHERE {OURS} AND number IN (5, 6)",
                f"UPDATE trail_line SET number = number - 100 WHERE {OURS} AND number > 100",
            ],
            5,
            "the line was changed",
        ),
        (
            [  # a line of another tenant, with its right hash, in the place of ours
                f"DELETE FROM trail_line {LINE_5}",
                "UPDATE trail_line SET tenant_id = %(tenant)s WHERE tenant_id <> %(tenant)s AND number = 5",
            ],
            5,
            "the line was changed",
        ),
    ],
)
def test_what_was_taken_away_or_put_elsewhere_is_found(
    trails: Trails, sql: list[str], number: int, fault: str
) -> None:
    found = tampered(trails, *sql)
    assert found is not None
    assert found[0] == number
    assert fault in found[1]


def test_the_programs_cannot_rewrite_a_line(trails: Trails) -> None:
    for sql in ("UPDATE trail_line SET reason = ''", "DELETE FROM trail_line", "DELETE FROM trail_head"):
        for role in (trails.urls.site, trails.urls.server):
            with psycopg.connect(role) as program, pytest.raises(psycopg.errors.InsufficientPrivilege):
                program.execute(sql)


def test_the_command_names_the_first_broken_line_and_knows_what_it_noted(
    trails: Trails, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heads = tmp_path / "heads"
    environment = {"DATABASE_URL": trails.urls.server}
    command = ["verify-trail", "--heads", str(heads)]
    assert main(command, environment) == 0
    assert capsys.readouterr().out == "2 of 2 trails hold, 16 lines in all.\n"
    assert read_heads(heads)[trails.ours].number == 8

    with psycopg.connect(trails.urls.owner) as owner:
        # Who owns the tables forgets the last two lines, and lets the head agree.
        for table in ("trail_line", "trail_head"):
            owner.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        owner.execute("CREATE TABLE gone AS SELECT * FROM trail_line WHERE number > 6")
        owner.execute("DELETE FROM trail_line WHERE number > 6 AND tenant_id = %s", [trails.ours])
        owner.execute(
            "UPDATE trail_head h SET number = 6, hash = l.hash FROM trail_line l"
            " WHERE l.tenant_id = h.tenant_id AND l.number = 6 AND h.tenant_id = %s",
            [trails.ours],
        )
    assert trails.fault() is None  # the chain alone cannot know
    assert main(command, environment) == 1
    said = capsys.readouterr().out
    assert (
        f"BROKEN: trail of tenant {trails.ours}, line 8: the line was noted before, and is missing." in said
    )
    assert "1 of 2 trails hold" in said
    assert read_heads(heads)[trails.ours].number == 8  # what was noted stays
    with psycopg.connect(trails.urls.owner) as owner:
        owner.execute("INSERT INTO trail_line SELECT * FROM gone WHERE tenant_id = %s", [trails.ours])
        owner.execute(
            "UPDATE trail_head h SET number = 8, hash = l.hash FROM trail_line l"
            " WHERE l.tenant_id = h.tenant_id AND l.number = 8"
        )
        owner.execute("DROP TABLE gone")
        for table in ("trail_line", "trail_head"):
            owner.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    assert main(command, environment) == 0
    heads.write_text("nonsense\n")
    assert main(command, environment) == 2
    assert "is not `tenant number hash`" in capsys.readouterr().err


def test_lines_that_are_written_meanwhile_break_nothing(database_urls: TestDatabase) -> None:
    """Writers queue at the head; whoever follows the chain then sees each of them, or none."""
    database = Database(database_urls.site, pool_size=8)
    with database.transaction(Scope.everything()) as connection:
        tenant = create_house(connection).enterprise
    stop = threading.Event()
    faults: list[object] = []

    def write() -> None:
        for number in range(30):
            with database.transaction(Scope.tenant(tenant)) as connection:
                record(connection, LIN, "card.issue", tenant=tenant, kind="card", id=number, now=NOW)

    def follow() -> None:
        while not stop.is_set():
            faults.extend(each.fault for each in check_trails(database) if each.fault)

    reader, writers = threading.Thread(target=follow), [threading.Thread(target=write) for _ in range(3)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert faults == []
    with database.transaction(Scope.everything()) as connection:
        assert head(connection, tenant).number == 90
        assert broken(connection, tenant) is None
    database.close()


def test_a_line_goes_with_its_transaction(trails: Trails) -> None:
    with trails.database.transaction(Scope.everything()) as connection:
        before = head(connection, trails.theirs)

    def give_up() -> None:
        with trails.database.transaction(Scope.everything()) as connection:
            record(connection, LIN, "x.y", tenant=trails.theirs, kind="x", id=1, now=NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        give_up()
    with trails.database.transaction(Scope.everything()) as connection:
        assert head(connection, trails.theirs) == before
        assert tenants(connection) == [trails.ours, trails.theirs]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
ROWS = st.tuples(
    st.integers(1, 2**63 - 1), st.integers(1, 2**63 - 1), st.just(VERSION),
    st.datetimes(timezones=st.just(UTC)), st.none() | st.integers(1, 9), TEXT, st.none() | TEXT, TEXT, TEXT,
    TEXT, st.none() | TEXT, st.none() | TEXT, st.none() | TEXT,
)  # fmt: skip


@given(one=ROWS, other=ROWS, hours=st.integers(-12, 14))
@settings(max_examples=60)
def test_rows_that_differ_never_look_the_same(
    one: tuple[object, ...], other: tuple[object, ...], hours: int
) -> None:
    assert (_canonical(one) == _canonical(other)) == (one == other)
    happened_at = one[3]
    assert isinstance(happened_at, datetime)
    if happened_at.year in range(2, 9999):  # the same moment by another clock is the same row
        elsewhere = happened_at.astimezone(timezone(timedelta(hours=hours)))
        assert _canonical((*one[:3], elsewhere, *one[4:])) == _canonical(one)


def test_what_people_typed_comes_back_as_it_was_hashed(trails: Trails) -> None:
    told = {"name": '"\\\n\u2028 = <b> 𝄞 é é', "list": [1, None, {"b": 2, "a": 1}], "day": date(2026, 1, 2)}
    with trails.database.transaction(Scope.everything()) as connection:
        number = record(
            connection, Actor(None, "jobs"), "member.import", tenant=trails.theirs, kind="members", id="甲",
            after=told, reason="\u202e", now=NOW.astimezone(timezone(timedelta(hours=8))),
        )  # fmt: skip
        record(connection, LIN, "missing", tenant=trails.theirs, kind="card", id="\0\ud800", now=NOW)
        assert broken(connection, trails.theirs) is None
        line = find_line(connection, trails.theirs, number)
    assert line is not None
    assert {name: after for name, _before, after in line.fields()}["name"] == told["name"]
    assert line.happened_at == NOW


def test_lines_are_found_by_who_what_subject_day_and_address(trails: Trails) -> None:
    def numbers(before: int | None = None, most: int = 50, **asked: object) -> list[int]:
        with trails.database.transaction(Scope.tenant(trails.ours)) as connection:
            sought = Sought(**asked)  # type: ignore[arg-type]
            found = trail_lines(connection, trails.ours, sought, before=before, most=most)
        return [line.number for line in found]

    assert numbers() == [8, 7, 6, 5, 4, 3, 2, 1]
    assert numbers(most=3) == [8, 7, 6]
    assert numbers(before=6, most=3) == [5, 4, 3]
    assert numbers(what="member.change") == [8, 6, 4, 2]
    assert numbers(who="Lin Wei") == numbers()  # a name in the trail, of nobody on the staff now
    assert numbers(who="Lin") == []
    assert numbers(subject_kind="member", subject_id="3") == [4]
    assert numbers(since=NOW + timedelta(days=2), until=NOW + timedelta(days=4)) == [4, 3]
    assert numbers(address="10.0.0.9", what="card.issue", before=4) == [3, 1]
    assert numbers(address="10.0.0.8") == []
    with trails.database.transaction(Scope.tenant(trails.ours)) as connection:
        assert deeds(connection, trails.ours) == ["card.issue", "member.change"]
        assert subject_kinds(connection, trails.ours) == ["member"]
        assert trail_lines(connection, trails.theirs, Sought(), most=9) == []
