"""How a worker learns what happened elsewhere: it hears events of the database, and it looks for itself.

An event is a hint that may be missed. So whenever hearing begins, and every `look_s`, everything is
looked up: sessions that are over, the business date, the catalogue's version, the keys that are to
change; and it is noted for the site which terminals are connected. The sweep, which ends holds and books
what expired, runs here too, and what closed days come to is added up. Nothing that fails here is fatal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import trio
from structlog.typing import FilteringBoundLogger

from ledger import businessday, merchants, sweep, terminals
from ledger.database import Database, DatabaseAway, DatabaseUnfit, Scope
from ledger.events import Event
from ledger.keyring import Keyring, KeyringError
from ledger.presence import note_presence
from ledger.totals import add_up
from protocol.noise import KeyPair
from txserver.hearing import Ear
from txserver.house import House

__all__ = ["Watcher", "keep_day", "key_pairs"]

SETTLE_SECONDS = 0.1  # between two looks at the facts: a hundred prices are often edited in a row
PRESENT_LOOKS = 2  # a terminal counts as connected for so many looks after it was noted
SWEEP_ACCOUNTS = 100  # locked together, for some ten milliseconds
SWEEP_PAUSE_SECONDS = 0.25

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one look at the database found: sessions that are over, with the reason, and the facts.

    `key_changes`: terminals that are to be asked for a new key.
    """

    over: dict[int, str]
    key_changes: set[int]
    business_date: date | None
    catalogue: int


class Watcher:
    """Watches for one worker process. `url` is for one more connection, which only listens.

    `reload` reads the key files again; without it the keys stay as they are. `sweeps`: whether this worker
    is the one that sweeps; several do no harm. `look_s` and `sweep_s` are the seconds between two.
    """

    def __init__(
        self,
        house: House,
        url: str,
        *,
        look_s: float,
        sweep_s: float,
        sweeps: bool,
        reload: Callable[[], Keyring] | None,
    ) -> None:
        self._house = house
        self._look_s = look_s
        self._sweep_s = sweep_s
        self._sweeps = sweeps
        self._reload = reload
        self._ear = Ear(url, deliver=self._hear, ready=self._look_at_all_soon, log=house.log)
        # A thread for looks and one for sweeps, each with a pooled connection when it needs one.
        self._looking = trio.CapacityLimiter(1)
        self._sweeping = trio.CapacityLimiter(1)
        self._due = trio.Event()
        self._all_due = True
        self._somebody_noted = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled. Started when events are heard, or when it is known that they are not."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._ear.run)
            nursery.start_soon(self._keep_looking)
            if self._sweeps:
                nursery.start_soon(self._keep_sweeping)
            task_status.started()

    async def rest(self) -> None:
        """Return when no look and no sweep is under way, also none that nobody waits for any more."""
        await self._looking.acquire()
        await self._sweeping.acquire()

    # ---- events -----------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        if event.kind == "ended":
            if event.terminal is not None and event.serial is not None and event.reason is not None:
                self._house.registry.end(event.terminal, event.serial, event.reason)
        elif event.kind == "key":
            if event.terminal is not None:
                self._house.notices.ask_key(event.terminal)
        else:
            self._due.set()

    def _look_at_all_soon(self) -> None:
        self._all_due = True
        self._due.set()

    # ---- looks ------------------------------------------------------------------------------

    async def _keep_looking(self) -> None:
        next_all = trio.current_time()
        while True:
            with trio.move_on_at(next_all):
                await self._due.wait()
            self._due = trio.Event()
            if self._all_due or trio.current_time() >= next_all:
                self._all_due = False
                await self._look_at_all()
                next_all = trio.current_time() + self._look_s
            else:
                await self._look_at_database({})
            await trio.sleep(SETTLE_SECONDS)

    async def _look_at_all(self) -> None:
        context, log = self._house.context, self._house.log
        await self._found("calendar", lambda: keep_day(context.database, context.booking_time(), log))
        await self._look_at_database(self._house.registry.serials())
        await self._note_presence()
        await self._look_at_keys()

    async def _look_at_database(self, serials: dict[int, int]) -> None:
        """The facts, and which of the sessions with these serials, by terminal, are over or need a key."""
        house = self._house

        def look() -> _Seen:
            with house.context.database.transaction(Scope.everything()) as connection:
                return _Seen(
                    over=terminals.outdated(connection, serials) if serials else {},
                    key_changes=terminals.key_changes_asked(connection, serials) if serials else set(),
                    business_date=businessday.business_date(connection),
                    catalogue=merchants.catalogue_version(connection),
                )

        seen = await self._found("database", look)
        if seen is None:
            return
        for terminal, reason in seen.over.items():
            house.registry.end(terminal, serials[terminal] + 1, reason)
        day = max(seen.business_date or date.min, house.context.business_date)
        house.context.business_date = day
        house.notices.learn(catalogue=seen.catalogue, business_date=day)
        house.notices.remind_key(seen.key_changes)

    async def _note_presence(self) -> None:
        """Say in the database which terminals are connected here, and when each was heard last."""
        house, now, clock = self._house, self._house.context.now(), trio.current_time()
        heard = {
            seated.terminal: now - timedelta(seconds=max(0.0, clock - seated.heard_at))
            for seated in house.registry
        }
        if not heard and not self._somebody_noted:
            return

        def note() -> bool:
            lasts = timedelta(seconds=PRESENT_LOOKS * self._look_s)
            with house.context.database.transaction(Scope.everything()) as connection:
                note_presence(connection, house.worker, heard, now=now, lasts=lasts)
            return True

        if await self._found("presence", note):
            self._somebody_noted = bool(heard)

    async def _look_at_keys(self) -> None:
        """Take over keys that were rotated: handshakes use them from now on, and terminals are told."""
        house = self._house
        if self._reload is None:
            return
        keyring = await self._found("keys", self._reload)
        if keyring is None or keyring == house.context.keyring:
            return
        house.context.keyring = keyring
        pairs = key_pairs(keyring)
        if pairs != house.keys:
            house.keys.clear()
            house.keys.update(pairs)
            house.log.info("server_keys_changed", ids=sorted(pairs))
            house.notices.learn(key_id=keyring.next_key_id)

    async def _found(
        self, what: str, look: Callable[[], Found], limiter: trio.CapacityLimiter | None = None
    ) -> Found | None:
        """What `look` returns, from a thread; None, and a line in the log, when it failed."""
        try:
            return await trio.to_thread.run_sync(
                look, limiter=limiter or self._looking, abandon_on_cancel=True
            )
        except (DatabaseAway, DatabaseUnfit, KeyringError) as error:
            self._house.log.error("look_failed", what=what, error=str(error))
        except Exception:  # a bug met here must not take the listener down; the next look may succeed
            self._house.log.exception("look_failed", what=what)
        return None

    # ---- the sweep --------------------------------------------------------------------------

    async def _keep_sweeping(self) -> None:
        while True:
            await trio.sleep(self._sweep_s)
            await self._sweep_all()
            await self._add_up_days()

    async def _sweep_all(self) -> None:
        """A little at a time until nothing is left: debits have the locks in between."""
        context = self._house.context
        accounts = holds = points = 0
        while True:
            swept = await self._found(
                "sweep",
                lambda: sweep.sweep(
                    context.database, context.booking_time(), self._new_txid, most_accounts=SWEEP_ACCOUNTS
                ),
                limiter=self._sweeping,
            )
            if swept is None or not swept.accounts:
                break
            accounts += swept.accounts
            holds += swept.holds
            points += swept.points
            await trio.sleep(SWEEP_PAUSE_SECONDS)
        if accounts:
            self._house.log.info("swept", accounts=accounts, holds=holds, points=points)

    async def _add_up_days(self) -> None:
        """What closed days come to, for the site's charts: a day at a time, each once."""
        database, now = self._house.context.database, self._house.context.booking_time()
        while True:
            if await self._found("totals", lambda: add_up(database, now), limiter=self._sweeping) is None:
                break
            await trio.sleep(SWEEP_PAUSE_SECONDS)

    def _new_txid(self) -> UUID:
        return UUID(bytes=self._house.random_bytes(16))


def key_pairs(keyring: Keyring) -> dict[int, KeyPair]:
    """The server's key pairs by id."""
    return {number: KeyPair.from_private(key) for number, key in keyring.server_keys.items()}


def keep_day(database: Database, now: datetime | None, log: FilteringBoundLogger) -> date:
    """The open business date, after opening the calendar's if it is later and can be opened now.

    `now` None is the database's clock. Raises DatabaseAway, and DatabaseUnfit when there is no day at all and
    none can be opened.
    """
    try:
        with database.transaction(Scope.everything()) as connection:
            return businessday.keep(connection, now)
    except (businessday.DayBusy, businessday.ClockWrong) as error:
        log.error("business_day_kept", error=str(error))
        with database.transaction(Scope.everything()) as connection:
            day = businessday.business_date(connection)
        if day is None:
            raise DatabaseUnfit(f"No business day is open: {error}.") from error
        return day
