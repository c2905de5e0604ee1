"""What connected terminals are told unasked: a new catalogue, a new business date, keys that change.

Each session is told the newest facts that it does not have yet, in one Notice, however many of them
changed meanwhile. Nobody waits for a peer that does not read: its own conversation closes it.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime

import trio
from structlog.typing import FilteringBoundLogger

from protocol.messages import Notice
from protocol.noise import KeyPair
from txserver.context import millis
from txserver.metrics import Metrics
from txserver.registry import REMEMBERED_SECONDS, Facts, Registry, Seated

__all__ = ["Notices"]

# Ten thousand terminals hear of a new price within ten seconds, and ask for it one after the other: debits
# go on meanwhile.
BURST = 100
PAUSE_SECONDS = 0.1
UNDER_WAY = 512  # notices that wait for their peers to read; each is given up with its connection


class Notices:
    """Tells the sessions of a registry what is new. `run` must be running in a task of its own."""

    def __init__(
        self,
        registry: Registry,
        facts: Facts,
        *,
        keys: Mapping[int, KeyPair],
        now: Callable[[], datetime],
        log: FilteringBoundLogger,
        metrics: Metrics,
    ) -> None:
        self.facts = facts
        self._registry = registry
        self._keys = keys
        self._now = now
        self._log = log
        self._metrics = metrics
        self._news = trio.Event()
        self._room = trio.Semaphore(UNDER_WAY)
        self._asked: dict[int, float] = {}  # terminals without a session here, the oldest word first

    def learn(self, *, catalogue: int = 0, business_date: date = date.min, key_id: int | None = None) -> None:
        """What is so now. Catalogue versions and dates only rise: a lower one was read too early."""
        facts = Facts(
            catalogue=max(catalogue, self.facts.catalogue),
            business_date=max(business_date, self.facts.business_date),
            key_id=self.facts.key_id if key_id is None else key_id,
        )
        if facts != self.facts:
            self.facts = facts
            self._news.set()

    def ask_key(self, terminal: int) -> None:
        """The operator wants this terminal to change its key, now, whether or not it was asked before.

        It may have logged in and not be here yet; so the word is kept for a while.
        """
        seated = self._registry.get(terminal)
        if seated is None:
            self._forget()
            self._asked.pop(terminal, None)
            self._asked[terminal] = trio.current_time()
            return
        seated.change_key = True
        self._news.set()

    def remind_key(self, terminals: Iterable[int]) -> None:
        """These are to change their keys: those that have not been asked in their session are asked now."""
        for terminal in terminals:
            seated = self._registry.get(terminal)
            if seated is not None and not seated.key_asked:
                seated.change_key = True
                self._news.set()

    def welcome(self, seated: Seated) -> None:
        """A session has begun: what changed since its login was answered is told as well."""
        self._forget()
        if self._asked.pop(seated.terminal, None) is not None and not seated.key_asked:
            seated.change_key = True
        if self._has_news(seated):
            self._news.set()

    def _forget(self) -> None:
        """Drop words for terminals that did not come; what the database says of them is looked up too."""
        before = trio.current_time() - REMEMBERED_SECONDS
        while self._asked:
            terminal, at = next(iter(self._asked.items()))
            if at > before:
                return
            del self._asked[terminal]

    async def run(self) -> None:
        """Tell whoever does not know yet, whenever there is news; ends by cancellation only."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._news.wait()
                self._news = trio.Event()
                await self._tell_all(nursery)

    async def _tell_all(self, nursery: trio.Nursery) -> None:
        told = 0
        for number, seated in enumerate(self._registry):
            if number % BURST == 0:
                await trio.lowlevel.checkpoint()
            if not self._has_news(seated):
                continue
            await self._room.acquire()
            nursery.start_soon(self._tell, seated)
            told += 1
            if told % BURST == 0:
                await trio.sleep(PAUSE_SECONDS)

    async def _tell(self, seated: Seated) -> None:
        try:
            notice = self._due(seated)
            if notice is not None:
                await seated.session.send(notice)
                self._metrics.notices.inc()
        except Exception:  # noqa: BLE001 - a bug met by one notice must not end the others
            self._log.exception("notice_failed", terminal=seated.terminal)
        finally:
            self._room.release()

    def _has_news(self, seated: Seated) -> bool:
        return seated.change_key or seated.told != self.facts

    def _due(self, seated: Seated) -> Notice | None:
        """The notice that a session needs, taken for sent; None when another task has just told it."""
        if not self._has_news(seated):
            return None
        facts, told, change_key = self.facts, seated.told, seated.change_key
        seated.told, seated.change_key = facts, False
        seated.key_asked = seated.key_asked or change_key
        key_id = facts.key_id if facts.key_id != told.key_id else None
        return Notice(
            server_at=millis(self._now()),
            catalogue=facts.catalogue if facts.catalogue != told.catalogue else None,
            business_date=(
                facts.business_date.isoformat() if facts.business_date != told.business_date else None
            ),
            next_key=None if key_id is None else self._keys[key_id].public,
            next_key_id=key_id,
            change_key=change_key,
        )
