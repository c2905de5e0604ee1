"""Work in the background: whoever dies, whoever works beside, each step is done once."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection

from ledger.database import Database, DatabaseAway, Scope
from ledger.jobs import Job, JobFailed, read_job, run_step, start, stop, tenant_jobs
from ledger.trail import Actor, head, record
from tests.conftest import TestDatabase
from tests.factories import NOW, House, create_house

LIN = Actor(7, "Lin Wei")


@dataclass
class Yard:
    """A database with jobs of one kind: `count` writes a line of the trail a step, `told['most']` times."""

    database: Database
    house: House
    other: House
    before: Callable[[Job], None] | None = None
    after: Callable[[Job], None] | None = None
    done: list[int] = field(default_factory=list)

    def count(self, connection: Connection, job: Job, now: datetime) -> Job:
        if self.before is not None:
            self.before(job)
        record(connection, job.actor, "x.count", tenant=job.tenant_id, kind="x", id=job.done, now=now)
        if self.after is not None:
            self.after(job)
        self.done.append(job.done)
        done = job.done + 1
        state = "done" if done == job.told["most"] else job.state
        return job.went_on(done=done, state=state, told=job.told | {"next": done}, result={"counted": done})

    def start(self, most: int, *, tenant: int | None = None, kind: str = "count", at: datetime = NOW) -> int:
        with self.database.transaction(Scope.everything()) as connection:
            return start(
                connection, kind, tenant=tenant or self.house.enterprise, actor=LIN, told={"most": most},
                total=most, now=at,
            )  # fmt: skip

    def run(self, now: datetime = NOW + timedelta(seconds=1)) -> bool:
        return run_step(self.database, {"count": self.count}, lambda: now)

    def job(self, job: int) -> Job:
        with self.database.transaction(Scope.everything()) as connection:
            found = read_job(connection, job)
        assert found is not None
        return found

    def lines(self) -> int:
        with self.database.transaction(Scope.everything()) as connection:
            return head(connection, self.house.enterprise).number


@pytest.fixture
def yard(module_database_urls: TestDatabase) -> Iterator[Yard]:
    database = Database(module_database_urls.site, pool_size=6)
    with database.transaction(Scope.everything()) as connection:
        made = Yard(database, create_house(connection), create_house(connection))
    yield made
    made.before = made.after = None
    while made.run():
        pass
    database.close()


def test_a_job_goes_on_step_by_step_until_it_is_done(yard: Yard) -> None:
    job = yard.start(3)
    waiting = yard.job(job)
    assert (waiting.state, waiting.done, waiting.total, waiting.actor) == ("waiting", 0, 3, LIN)
    assert yard.run()
    under_way = yard.job(job)
    assert (under_way.state, under_way.done, under_way.ended_at) == ("running", 1, None)
    assert [yard.run() for _ in range(3)] == [True, True, False]
    ended = yard.job(job)
    assert (ended.state, ended.done, ended.result, ended.ended_at) == (
        "done",
        3,
        {"counted": 3},
        NOW + timedelta(seconds=1),
    )
    assert yard.lines() == 3


@pytest.mark.parametrize("when", ["before", "after"])
def test_who_dies_in_the_middle_of_a_step_leaves_it_undone_and_the_next_does_it(
    yard: Yard, when: str
) -> None:
    job = yard.start(3)
    assert yard.run()

    def die(_job: Job) -> None:
        raise DatabaseAway("the connection is gone")

    setattr(yard, when, die)
    with pytest.raises(DatabaseAway):
        yard.run()
    assert (yard.job(job).state, yard.job(job).done, yard.lines()) == ("running", 1, 1)
    setattr(yard, when, None)
    while yard.run():
        pass
    assert (yard.job(job).state, yard.done, yard.lines()) == ("done", [0, 1, 2], 3)


def test_two_workers_do_no_step_twice(yard: Yard) -> None:
    jobs = [yard.start(12), yard.start(12)]
    faults: list[BaseException] = []

    def work() -> None:
        try:
            # A worker that finds every job taken rests; these two ask again at once.
            while any(yard.job(job).open for job in jobs):
                yard.run()
        except BaseException as error:  # noqa: BLE001 - shown below, where the test can see it
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert sorted(yard.done) == sorted([*range(12), *range(12)])
    assert [yard.job(job).state for job in jobs] == ["done", "done"]
    assert yard.lines() == 24


def test_a_job_that_is_under_way_is_passed_over_for_the_next(yard: Yard) -> None:
    first, second = yard.start(1), yard.start(1)
    inner: list[bool] = []

    def another_worker(job: Job) -> None:
        if job.id == first:
            inner.append(yard.run())

    # The line of the trail is written after this, so the inner step is not kept waiting.
    yard.before = another_worker
    assert yard.run()
    assert inner == [True]
    assert [yard.job(job).state for job in (first, second)] == ["done", "done"]


def test_a_job_that_cannot_go_on_lets_the_younger_pass_and_comes_back(yard: Yard) -> None:
    stuck, younger = yard.start(1), yard.start(2)
    tried: list[int] = []

    def locked(job: Job) -> None:
        tried.append(job.id)
        if job.id == stuck and tried.count(stuck) < 3:
            raise DatabaseAway("a lock was held too long")

    yard.before = locked
    with pytest.raises(DatabaseAway):
        yard.run()
    youngest = yard.start(1, at=NOW + timedelta(seconds=2))  # after it was put back: behind it
    for _ in range(2):
        assert yard.run()
    with pytest.raises(DatabaseAway):
        yard.run(NOW + timedelta(seconds=3))
    while yard.run():
        pass
    assert tried == [stuck, younger, younger, stuck, youngest, stuck]
    assert [yard.job(job).state for job in (stuck, younger, youngest)] == ["done"] * 3
    assert yard.lines() == 4


def test_what_fails_says_why_and_keeps_nothing_of_its_step(yard: Yard) -> None:
    def fail(error: Exception) -> Callable[[Job], None]:
        def act(_job: Job) -> None:
            raise error

        return act

    told = yard.start(2)
    yard.after = fail(JobFailed("the file is no table"))
    assert yard.run()
    assert (yard.job(told).state, yard.job(told).failure) == ("failed", "the file is no table")
    ours = yard.start(2)
    yard.after = fail(ZeroDivisionError("a secret"))
    with pytest.raises(ZeroDivisionError):
        yard.run()
    assert (yard.job(ours).state, yard.job(ours).failure) == ("failed", "an error of ours: ZeroDivisionError")
    unknown = yard.start(1, kind="dance")
    assert yard.run()
    assert yard.job(unknown).failure == "this version knows no work called dance"
    assert not yard.run()
    assert yard.lines() == 0


def test_a_job_that_is_stopped_ends_where_it_is(yard: Yard) -> None:
    job = yard.start(3)
    assert yard.run()
    with yard.database.transaction(Scope.everything()) as connection:
        assert stop(connection, job, NOW)
        assert not stop(connection, job, NOW)
    assert not yard.run()
    assert (yard.job(job).state, yard.job(job).done, yard.lines()) == ("stopped", 1, 1)


def test_a_tenant_sees_its_own_jobs_and_a_step_sees_its_tenants_rows(yard: Yard) -> None:
    ours = yard.start(1)
    theirs = yard.start(1, tenant=yard.other.enterprise)
    with yard.database.transaction(Scope.tenant(yard.house.enterprise)) as connection:
        assert [job.id for job in tenant_jobs(connection, most=9)] == [ours]
        assert read_job(connection, theirs) is None
        assert not stop(connection, theirs, NOW)
    with yard.database.transaction(Scope.everything()) as connection:
        newest = tenant_jobs(connection, kind="count", most=2)
        assert [job.id for job in newest] == [theirs, ours]
        assert [job.id for job in tenant_jobs(connection, tenant=yard.house.enterprise, most=9)] == [ours]
    assert yard.run()
    assert yard.run()
    with yard.database.transaction(Scope.tenant(yard.other.enterprise)) as connection:
        assert head(connection, yard.other.enterprise).number == 1
