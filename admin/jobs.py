"""The worker: `python -m admin jobs` does long work in the background, step by step, until SIGTERM.

Kinds of work are named here; what they do is plain functions of ledger. Any number of workers may run.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from ledger import card_batch_work, imports, jobs, point_steps
from ledger.database import Connection, Database, DatabaseAway, Scope
from ledger.import_steps import Importing
from ledger.jobs import Job
from ledger.keyring import Keyring
from ledger.personal import PersonalKeys

__all__ = ["STEPS", "steps_of", "work"]

POLL_S = 0.5  # between two looks while there is nothing to do
AWAY_S = 5.0  # while the database is away
TIDY_S = 3600.0  # between two looks for what is kept for a while only

Step = Callable[[Connection, Job, datetime], Job]
STEPS: dict[str, Step] = {**card_batch_work.STEPS, **point_steps.STEPS}
"""By kind of work, the steps that need no keys: other rooms' entries go here."""


def steps_of(keyring: Keyring, random_bytes: Callable[[int], bytes]) -> Mapping[str, Step]:
    """Every kind of work with its step."""
    return {**STEPS, **Importing(PersonalKeys(keyring.personal_key, random_bytes)).steps}


def work(database: Database, keyring: Keyring) -> int:
    """Do what there is to do until SIGTERM or Ctrl-C; the exit code. A step under way is finished first."""
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    run(database, steps_of(keyring, os.urandom), stopped, lambda: datetime.now(UTC))
    return 0


def run(
    database: Database, steps: Mapping[str, Step], stopped: threading.Event, now: Callable[[], datetime]
) -> None:
    """The loop of `work`. What fails is said on stderr; its job says it, too, to who asked for it."""
    tidied = -TIDY_S
    while not stopped.is_set():
        wait = 0.0
        try:
            if not jobs.run_step(database, steps, now):
                wait = POLL_S
                if time.monotonic() - tidied > TIDY_S:
                    tidied = time.monotonic()
                    tidy(database, now())
        except DatabaseAway as error:
            _say(f"the database is away: {error}")
            wait = AWAY_S
        except Exception as error:  # noqa: BLE001 - the job has failed and says so; the others go on
            _say(f"a step failed: {type(error).__name__}: {_first_line(error)}")
            wait = POLL_S
        stopped.wait(wait)


def tidy(database: Database, now: datetime) -> None:
    """Forget what was kept for a while only."""
    with database.transaction(Scope.everything()) as connection:
        imports.tidy(connection, now=now)


def _first_line(error: Any) -> str:
    # Not the whole text: a database's error repeats values of the row, which may be personal.
    return (str(getattr(error, "orig", None) or error).splitlines() or [""])[0][:200]


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}", file=sys.stderr, flush=True)
