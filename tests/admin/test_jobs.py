"""The worker's loop: what fails harms nothing else, and it ends when it is told to."""

import os
import threading

import pytest

from admin import jobs
from ledger import imports
from ledger import jobs as work
from ledger.database import Connection, Scope
from ledger.jobs import Job
from ledger.keyring import Keyring
from ledger.trail import Actor
from tests.admin.conftest import Site
from tests.factories import NOW, create_keyring


def test_every_kind_of_work_has_its_step() -> None:
    keyring: Keyring = create_keyring()
    assert {imports.CHECK, imports.ENTER} <= set(jobs.steps_of(keyring, os.urandom))


def test_a_step_that_fails_stops_nothing_but_its_job(
    shared_site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    stopped = threading.Event()

    def failing(_connection: Connection, _job: Job, _now: object) -> Job:
        raise RuntimeError("broken\nwith a second line that tells more than it should")

    def ending(_connection: Connection, job: Job, _now: object) -> Job:
        stopped.set()
        return job.went_on(state="done", result={"ended": True})

    tenant = shared_site.house.enterprise
    with shared_site.database.transaction(Scope.tenant(tenant)) as connection:
        asked = [
            work.start(connection, kind, tenant=tenant, actor=Actor(None, "Ann"), told={}, now=NOW)
            for kind in ("failing", "ending")
        ]
    worker = threading.Thread(
        target=jobs.run,
        args=(shared_site.database, {"failing": failing, "ending": ending}, stopped, lambda: NOW),
    )
    worker.start()
    worker.join(20)
    assert not worker.is_alive()
    with shared_site.database.transaction(Scope.tenant(tenant)) as connection:
        ended = [work.read_job(connection, job) for job in asked]
    assert [job.state for job in ended if job] == ["failed", "done"]
    said = capfd.readouterr().err
    assert "a step failed: RuntimeError: broken" in said
    assert "second line" not in said
