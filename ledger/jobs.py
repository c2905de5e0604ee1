"""Long work in the background: steps of less than a second, each committed together with its progress.

Whoever works may die at any moment: what a step did is committed with where the next one begins, or not
at all, so a job goes on where it was and does nothing twice. Any number of workers may run.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from ledger.database import Database, DatabaseAway, Scope
from ledger.trail import Actor

__all__ = ["Job", "JobFailed", "Steps", "read_job", "run_step", "start", "stop", "tenant_jobs"]

START = text(
    """INSERT INTO job (tenant_id, staff_id, staff_name, kind, told, total, created_at)
       VALUES (:tenant, :staff, :staff_name, :kind, :told, :total, :now) RETURNING id"""
).bindparams(bindparam("told", type_=JSONB))
COLUMNS = """id, tenant_id, staff_id, staff_name, kind, state, told, result, done, total, failure, created_at,
             ended_at"""
READ = text(f"SELECT {COLUMNS} FROM job WHERE id = :id")
LIST = text(
    f"""SELECT {COLUMNS} FROM job WHERE (CAST(:tenant AS bigint) IS NULL OR tenant_id = :tenant)
        AND (CAST(:kind AS text) IS NULL OR kind = :kind) ORDER BY id DESC LIMIT :most"""
)
# Oldest first; one that another worker has under way is passed over. One whose step had to be given up
# stands behind all that were there by then: what it waits for keeps nobody else waiting.
NEXT = text(
    """SELECT j.id, j.tenant_id, o.kind AS tenant_kind, j.since
       FROM (SELECT *, coalesce(put_back_at, created_at) AS since FROM job
             WHERE state IN ('waiting', 'running')) j
       JOIN organisation o ON o.id = j.tenant_id
       WHERE CAST(:since AS timestamptz) IS NULL OR (j.since, j.id) > (:since, :after)
       ORDER BY j.since, j.id LIMIT 1"""
)
PUT_BACK = text(
    """UPDATE job SET put_back_at = :now WHERE id IN (
           SELECT id FROM job WHERE id = :id AND state IN ('waiting', 'running') FOR UPDATE SKIP LOCKED)"""
)
CLAIM = text(
    f"SELECT {COLUMNS} FROM job WHERE id = :id AND state IN ('waiting', 'running') FOR UPDATE SKIP LOCKED"
)
SAVE = text(
    """UPDATE job SET state = :state, told = :told, result = :result, done = :done, total = :total,
                      failure = :failure, ended_at = :ended_at WHERE id = :id"""
).bindparams(bindparam("told", type_=JSONB), bindparam("result", type_=JSONB(none_as_null=True)))
FAIL = text(
    """UPDATE job SET state = 'failed', failure = :failure, ended_at = :now
       WHERE id = :id AND state IN ('waiting', 'running')"""
)
STOP = text(
    """UPDATE job SET state = 'stopped', ended_at = :now
       WHERE id = :id AND state IN ('waiting', 'running') RETURNING id"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work under way. `told`: what to do and where to go on; `result`: what came of it so far.

    `state`: waiting, running, done, failed or stopped. `done` of `total` steps of the reader's counting.
    """

    id: int
    tenant_id: int
    staff_id: int | None
    staff_name: str
    kind: str
    state: str
    told: dict[str, Any]
    result: dict[str, Any] | None
    done: int
    total: int | None
    failure: str | None
    created_at: datetime
    ended_at: datetime | None

    @property
    def actor(self) -> Actor:
        """Who asked for it, as the trail names them."""
        return Actor(self.staff_id, self.staff_name)

    @property
    def open(self) -> bool:
        return self.state in {"waiting", "running"}

    def went_on(self, **changes: Any) -> "Job":
        """As it is after a step: with other `done`, `told`, `result`, `total` or `state`."""
        return replace(self, **changes)


class JobFailed(Exception):
    """The job cannot be done; the text says why, to the person who asked for it."""


Steps = Mapping[str, Callable[[Connection, Job, datetime], Job]]
"""By kind: does a little in the connection's transaction, and returns the job as it is then."""


def start(
    connection: Connection, kind: str, *, tenant: int, actor: Actor, told: Mapping[str, Any],
    total: int | None = None, now: datetime,
) -> int:  # fmt: skip
    """Ask for work; it begins when this transaction has committed. Returns the job's id."""
    new: int = connection.execute(
        START,
        {
            "tenant": tenant,
            "staff": actor.staff_id,
            "staff_name": actor.name,
            "kind": kind,
            "told": dict(told),
            "total": total,
            "now": now,
        },
    ).scalar_one()
    return new


def read_job(connection: Connection, job: int) -> Job | None:
    """The job with this id, as far as the scope shows it."""
    row = connection.execute(READ, {"id": job}).one_or_none()
    return None if row is None else Job(**row._asdict())


def tenant_jobs(
    connection: Connection, *, tenant: int | None = None, kind: str | None = None, most: int
) -> list[Job]:
    """The newest jobs of a tenant, or of all that the scope shows."""
    rows = connection.execute(LIST, {"tenant": tenant, "kind": kind, "most": most})
    return [Job(**row._asdict()) for row in rows]


def stop(connection: Connection, job: int, now: datetime) -> bool:
    """Let a job end where it is. False when it has ended already. Waits for the step that is under way."""
    return connection.execute(STOP, {"id": job, "now": now}).one_or_none() is not None


def run_step(database: Database, steps: Steps, now: Callable[[], datetime]) -> bool:
    """One step of the oldest job that nobody else has under way; False when there is none.

    A step that raises leaves its job failed, with JobFailed's words, or in words that blame us. DatabaseAway
    leaves it open: it is tried again after the others.
    """
    after: dict[str, Any] = {"since": None, "after": 0}
    while True:
        with database.transaction(Scope.everything()) as connection:
            found = connection.execute(NEXT, after).one_or_none()
        if found is None:
            return False
        after = {"since": found.since, "after": found.id}
        scope = Scope.everything() if found.tenant_kind == "operator" else Scope.tenant(found.tenant_id)
        if _step(database, scope, found.id, steps, now):
            return True


def _step(database: Database, scope: Scope, job_id: int, steps: Steps, now: Callable[[], datetime]) -> bool:
    try:
        with database.transaction(scope) as connection:
            row = connection.execute(CLAIM, {"id": job_id}).one_or_none()
            if row is None:
                return False
            job = Job(**row._asdict())
            if job.kind not in steps:
                raise JobFailed(f"this version knows no work called {job.kind}")
            after = steps[job.kind](connection, replace(job, state="running"), now())
            connection.execute(
                SAVE,
                {
                    "id": job_id,
                    "state": after.state,
                    "told": after.told,
                    "result": after.result,
                    "done": after.done,
                    "total": after.total,
                    "failure": after.failure,
                    "ended_at": None if after.open else now(),
                },
            )
    except DatabaseAway:
        # A lock was held too long, say. When the database is away altogether, this is not written, either.
        with suppress(DatabaseAway), database.transaction(Scope.everything()) as connection:
            connection.execute(PUT_BACK, {"id": job_id, "now": now()})
        raise
    except Exception as error:
        words = str(error) if isinstance(error, JobFailed) else f"an error of ours: {type(error).__name__}"
        with database.transaction(Scope.everything()) as connection:
            connection.execute(FAIL, {"id": job_id, "failure": words, "now": now()})
        if not isinstance(error, JobFailed):
            raise
    return True
