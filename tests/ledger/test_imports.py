"""Members from files: checked line by line, entered once, also when the worker dies in between."""

import os
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from ledger import imports, jobs, member_desk, organisations
from ledger.database import Connection, Database, Scope
from ledger.import_reading import examined
from ledger.import_steps import STEP_LINES, Importing
from ledger.imports import ImportFile
from ledger.jobs import Job
from ledger.personal import PersonalKeys
from ledger.trail import Actor
from tests.conftest import TestDatabase
from tests.factories import NOW, House, create_house
from tests.member_factories import create_member_file

KEYS = PersonalKeys(bytes([7] * 32), os.urandom)
ACTOR = Actor(None, "Ann")


class Desk:
    """A house whose members come from files."""

    def __init__(self, database: Database, house: House) -> None:
        self.database = database
        self.house = house
        self.importing = Importing(KEYS)

    def ask(self, sql: str, **params: object) -> list[tuple[object, ...]]:
        with self.database.transaction(Scope.everything()) as connection:
            return [tuple(row) for row in connection.execute(text(sql), params)]

    def upload(self, content: bytes, *, units: list[int] | None = None) -> int:
        with self.database.transaction(Scope.tenant(self.house.enterprise)) as connection:
            return imports.upload(
                connection, KEYS, content, examined(content), tenant=self.house.enterprise, name="m.csv",
                unit=None, units=units, actor=ACTOR, now=NOW,
            )  # fmt: skip

    def work(self) -> None:
        while jobs.run_step(self.database, self.importing.steps, lambda: NOW):
            pass

    def file(self, file: int) -> ImportFile:
        with self.database.transaction(Scope.tenant(self.house.enterprise)) as connection:
            found = imports.find_file(connection, file)
        assert found is not None
        return found

    def enter(self, file: int) -> int | None:
        with self.database.transaction(Scope.tenant(self.house.enterprise)) as connection:
            found = imports.find_file(connection, file)
            assert found is not None
            return imports.enter(connection, found, actor=ACTOR, now=NOW)

    def faults(self, file: int) -> dict[int, list[str]]:
        with self.database.transaction(Scope.everything()) as connection:
            return {
                line.number: line.faults for line in imports.bad_lines(connection, KEYS, file, most=1_000)
            }


@pytest.fixture(scope="module")
def database(module_database_urls: TestDatabase) -> Iterator[Database]:
    opened = Database(module_database_urls.site, pool_size=2)
    yield opened
    opened.close()


@pytest.fixture
def desk(database: Database) -> Desk:
    with database.transaction(Scope.everything()) as connection:
        return Desk(database, create_house(connection))


def test_a_file_is_checked_and_its_good_lines_entered(desk: Desk) -> None:
    with desk.database.transaction(Scope.everything()) as connection:
        branch = organisations.create_child(
            connection, parent=desk.house.enterprise, kind="branch", code="B1", name="Branch"
        )
        data = member_desk.MemberData(code="OLD", name="Old", phone="+8613900000000")
        member_desk.enter_members(connection, KEYS, desk.house.enterprise, [data])
    lines = [
        "A1,王小明,138 1234 5678,11010119900307002X,京A12345,B1",
        "A1,Twice,,,,",
        "A3,Phone,13900000000,,,",
        "A4,Same phone,+8613812345678,,,",
        "OLD,Code,,,,",
        ",No code,,,,",
        "A7,Unit,,,,B9",
        "A8,Identity,,110101199003070021,,",
        "A9,李雷,,,沪B88888 沪C66666,",
    ]
    head = "会员编号,姓名,手机号,身份证号,车牌号,部门编号"
    file = desk.upload("\n".join([head, *lines]).encode("gb18030"))
    desk.work()
    checked = desk.file(file)
    assert (checked.state, checked.good, checked.bad) == ("checked", 2, 7)
    assert desk.faults(file) == {
        3: ["code.twice"], 4: ["phone.taken"], 5: ["phone.twice"], 6: ["code.taken"], 7: ["code.missing"],
        8: ["unit.unknown"], 9: ["identity.check"],
    }  # fmt: skip
    assert desk.enter(file) is not None
    assert desk.enter(file) is None, "asked twice"
    desk.work()
    assert (desk.file(file).state, desk.file(file).entered) == ("entered", 2)
    assert desk.ask(
        "SELECT code, name, organisation_id FROM member WHERE enterprise_id = :e AND code ~ '^A' ORDER BY 1",
        e=desk.house.enterprise,
    ) == [("A1", "王小明", branch), ("A9", "李雷", None)]
    assert desk.ask("SELECT count(*) FROM import_line WHERE file_id = :f", f=file) == [(7,)]
    trail = desk.ask(
        "SELECT after FROM trail_line WHERE what = 'import.entered' AND subject_id = :f", f=str(file)
    )
    assert trail == [('{"entered":2,"left":7}',)]
    with desk.database.transaction(Scope.everything()) as connection:
        assert imports.tidy(connection, now=NOW + timedelta(days=6)) == 0
        assert imports.tidy(connection, now=NOW + timedelta(days=8)) >= 1
    assert desk.ask("SELECT count(*) FROM import_line WHERE file_id = :f", f=file) == [(0,)]


def test_nothing_personal_lies_open_in_the_database(desk: Desk) -> None:
    file = desk.upload(b"code,name,phone,identity number\nP1,Secretname,13812345678,11010119900307002X\n")
    assert desk.ask("SELECT content::text FROM import_file WHERE id = :f", f=file)[0][0] is not None
    desk.work()
    rows = desk.ask("SELECT l::text, f::text FROM import_line l JOIN import_file f ON f.id = l.file_id")
    rows += desk.ask("SELECT j::text, j.told::text FROM job j")
    for told in ("Secretname", "13812345678", "11010119900307002"):
        assert not any(told in str(row) or told.encode().hex() in str(row) for row in rows)


@pytest.mark.parametrize("kind", [imports.CHECK, imports.ENTER])
def test_a_crash_in_the_middle_neither_loses_nor_repeats(desk: Desk, kind: str) -> None:
    lines = STEP_LINES * 2 + 10
    file = desk.upload(create_member_file(lines))
    real, calls = desk.importing.steps[kind], iter(range(1_000))

    def dying(connection: Connection, job: Job, now: object) -> Job:
        after = real(connection, job, NOW)
        if next(calls) == 1:
            raise RuntimeError("the machine lost its power")
        return after

    if kind == imports.ENTER:
        desk.work()
        assert desk.enter(file) is not None
    desk.importing.steps[kind] = dying
    with pytest.raises(RuntimeError):
        desk.work()
    desk.importing = Importing(KEYS)  # another process
    with desk.database.transaction(Scope.tenant(desk.house.enterprise)) as connection:
        assert imports.resume(connection, desk_file := desk.file(file), actor=ACTOR, now=NOW) is not None
    with desk.database.transaction(Scope.tenant(desk.house.enterprise)) as connection:
        assert imports.resume(connection, desk_file, actor=ACTOR, now=NOW) is None
    desk.work()
    if kind == imports.CHECK:
        assert (desk.file(file).state, desk.file(file).good, desk.file(file).bad) == ("checked", lines, 0)
        assert desk.enter(file) is not None
        desk.work()
    assert (desk.file(file).state, desk.file(file).entered) == ("entered", lines)
    counted = "SELECT count(*), count(DISTINCT code) FROM member WHERE enterprise_id = :e"
    assert desk.ask(counted, e=desk.house.enterprise) == [(lines, lines)]
    accounts = "SELECT count(DISTINCT member_id) FROM account WHERE enterprise_id = :e"
    assert desk.ask(accounts, e=desk.house.enterprise) == [(lines,)]


def test_a_member_who_came_meanwhile_is_not_entered_again(desk: Desk) -> None:
    file = desk.upload(create_member_file(3))
    desk.work()
    with desk.database.transaction(Scope.everything()) as connection:
        data = member_desk.MemberData(code="N1", name="By hand")
        member_desk.enter_members(connection, KEYS, desk.house.enterprise, [data])
    desk.enter(file)
    desk.work()
    found = desk.file(file)
    assert (found.state, found.entered, found.bad) == ("entered", 2, 1)
    assert desk.faults(file) == {3: ["code.taken"]}


def test_an_unreadable_file_says_why_and_keeps_nothing(desk: Desk) -> None:
    for content, fault in (
        (b"name,phone\nA,1\n", "header code"),
        (b'code,name\nA,"B\n', "quotes 2"),
        (b"code,name\n", "empty"),
        (b"code,name,colour\nA,B,red\n", "unknown colour"),
    ):
        file = desk.upload(content)
        desk.work()
        assert (desk.file(file).state, desk.file(file).fault) == ("unreadable", fault)
        assert desk.ask("SELECT content FROM import_file WHERE id = :f", f=file) == [(None,)]
        assert desk.ask("SELECT count(*) FROM import_line WHERE file_id = :f", f=file) == [(0,)]


def test_lines_go_to_the_units_of_who_brought_them_only(desk: Desk) -> None:
    with desk.database.transaction(Scope.everything()) as connection:
        own, foreign = (
            organisations.create_child(
                connection, parent=desk.house.enterprise, kind="branch", code=code, name=code
            )
            for code in ("X1", "X2")
        )
    file = desk.upload(b"code,name,unit\n1,A,X1\n2,B,X2\n3,C,\n", units=[own])
    desk.work()
    assert own != foreign
    assert desk.faults(file) == {3: ["unit.unknown"], 4: ["unit.missing"]}
