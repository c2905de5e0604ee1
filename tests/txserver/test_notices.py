"""What connected terminals are told: the newest facts, once, and nobody waits for a peer that is stuck."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import trio
import trio.testing
from prometheus_client import CollectorRegistry

from protocol.messages import Message, Notice
from tests.factories import NOW, TODAY, create_keyring
from txserver.context import millis
from txserver.logs import make_log
from txserver.metrics import Metrics
from txserver.notices import BURST, PAUSE_SECONDS, UNDER_WAY, Notices
from txserver.registry import REMEMBERED_SECONDS, Facts, Registry, Seated
from txserver.watcher import key_pairs

FACTS = Facts(catalogue=7, business_date=TODAY, key_id=2)
TOMORROW = TODAY + timedelta(days=1)
AT = millis(NOW)
KEYS = key_pairs(create_keyring())


@dataclass
class Listener:
    """A session that keeps what it was told; a stuck one takes nothing until `open` is set."""

    stuck: bool = False
    bug: Exception | None = None
    told: list[Message] = field(default_factory=list)
    open: trio.Event = field(default_factory=trio.Event)
    heard: trio.Event = field(default_factory=trio.Event)

    def end(self, reason: str) -> None:
        raise AssertionError("nobody is ended here")

    async def send(self, message: Message) -> None:
        if self.stuck:
            await self.open.wait()
        if self.bug:
            raise self.bug
        await trio.lowlevel.checkpoint()
        self.told.append(message)
        self.heard.set()


@dataclass
class Hall:
    """A registry with sessions and the notices that they get."""

    registry: Registry
    notices: Notices
    metrics: Metrics
    log: io.StringIO

    def enter(
        self,
        terminal: int,
        *,
        told: Facts = FACTS,
        stuck: bool = False,
        bug: Exception | None = None,
        key_asked: bool = False,
    ) -> Listener:
        listener = Listener(stuck, bug)
        seated = Seated(terminal, 1, listener, told, key_asked=key_asked)
        self.registry.enter(seated)
        self.notices.welcome(seated)
        return listener


@asynccontextmanager
async def open_hall() -> AsyncIterator[Hall]:
    registry, metrics, log = Registry(), Metrics(CollectorRegistry()), io.StringIO()
    notices = Notices(registry, FACTS, keys=KEYS, now=lambda: NOW, log=make_log(log), metrics=metrics)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notices.run)
        yield Hall(registry, notices, metrics, log)
        nursery.cancel_scope.cancel()


async def test_everyone_hears_of_a_new_catalogue_once() -> None:
    async with open_hall() as hall:
        listeners = [hall.enter(number) for number in range(3)]
        hall.notices.learn(catalogue=8)
        hall.notices.learn(catalogue=8)
        await trio.testing.wait_all_tasks_blocked()
        hall.notices.learn(catalogue=8)
        await trio.testing.wait_all_tasks_blocked()
        assert [listener.told for listener in listeners] == [[Notice(server_at=AT, catalogue=8)]] * 3
        assert hall.metrics.registry.get_sample_value("tessera_notices_total") == 3


async def test_what_changes_together_is_told_together() -> None:
    async with open_hall() as hall:
        listener = hall.enter(1)
        hall.notices.learn(catalogue=8)
        hall.notices.learn(catalogue=9, business_date=TOMORROW)
        hall.notices.learn(key_id=1)
        await trio.testing.wait_all_tasks_blocked()
        assert listener.told == [
            Notice(
                server_at=AT,
                catalogue=9,
                business_date=TOMORROW.isoformat(),
                next_key=KEYS[1].public,
                next_key_id=1,
            )
        ]


async def test_what_was_read_too_early_is_no_news() -> None:
    async with open_hall() as hall:
        listener = hall.enter(1)
        hall.notices.learn(catalogue=6, business_date=TODAY - timedelta(days=1))
        await trio.testing.wait_all_tasks_blocked()
        assert listener.told == []
        assert hall.notices.facts == FACTS


async def test_who_was_told_less_at_its_login_hears_the_rest() -> None:
    async with open_hall() as hall:
        late = hall.enter(1, told=replace(FACTS, catalogue=6))
        knows = hall.enter(2)
        await trio.testing.wait_all_tasks_blocked()
        assert late.told == [Notice(server_at=AT, catalogue=7)]
        assert knows.told == []


async def test_one_terminal_is_asked_for_its_key() -> None:
    async with open_hall() as hall:
        asked, other = hall.enter(1), hall.enter(2)
        hall.notices.ask_key(1)
        hall.notices.ask_key(3)
        await trio.testing.wait_all_tasks_blocked()
        assert asked.told == [Notice(server_at=AT, change_key=True)]
        assert other.told == []


ASKED = Notice(server_at=AT, change_key=True)


async def test_who_was_asked_for_its_key_is_not_asked_again_with_the_next_news() -> None:
    async with open_hall() as hall:
        listener = hall.enter(1)
        hall.notices.ask_key(1)
        await trio.testing.wait_all_tasks_blocked()
        hall.notices.learn(catalogue=8)
        await trio.testing.wait_all_tasks_blocked()
        assert listener.told == [ASKED, Notice(server_at=AT, catalogue=8)]


async def test_who_is_asked_before_its_session_is_entered_hears_of_it_then() -> None:
    async with open_hall() as hall:
        for terminal in (1, 2):
            hall.notices.ask_key(terminal)
        late, told_at_login = hall.enter(1), hall.enter(2, key_asked=True)
        await trio.testing.wait_all_tasks_blocked()
        assert (late.told, told_at_login.told) == ([ASKED], [])


async def test_a_word_for_who_does_not_come_is_forgotten(autojump_clock: trio.testing.MockClock) -> None:
    async with open_hall() as hall:
        hall.notices.ask_key(1)
        hall.notices.ask_key(2)
        autojump_clock.jump(REMEMBERED_SECONDS / 2)
        hall.notices.ask_key(1)
        autojump_clock.jump(REMEMBERED_SECONDS / 2)
        old, fresh = hall.enter(2), hall.enter(1)
        await trio.testing.wait_all_tasks_blocked()
        assert (old.told, fresh.told) == ([], [ASKED])


async def test_a_reminder_is_for_those_who_were_not_asked_in_their_session() -> None:
    async with open_hall() as hall:
        missed, told_at_login, other = hall.enter(1), hall.enter(2, key_asked=True), hall.enter(3)
        for _ in range(2):
            hall.notices.remind_key({1, 2, 9})
            await trio.testing.wait_all_tasks_blocked()
        assert (missed.told, told_at_login.told, other.told) == ([ASKED], [], [])
        hall.notices.ask_key(2)  # asked anew
        await trio.testing.wait_all_tasks_blocked()
        assert told_at_login.told == [ASKED]


async def test_nobody_waits_for_those_who_are_stuck() -> None:
    async with open_hall() as hall:
        stuck = [hall.enter(number, stuck=True) for number in range(50)]
        quick = hall.enter(100)
        hall.notices.learn(catalogue=8)
        await trio.testing.wait_all_tasks_blocked()
        hall.notices.learn(catalogue=9)
        await trio.testing.wait_all_tasks_blocked()
        assert [notice.catalogue for notice in quick.told if isinstance(notice, Notice)] == [8, 9]
        assert all(listener.told == [] for listener in stuck)


async def test_a_bug_met_by_one_does_not_keep_it_from_the_others(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_hall() as hall:
        hall.enter(1, bug=ValueError("a bug"))
        other = hall.enter(2)
        for version in (8, 9):
            hall.notices.learn(catalogue=version)
            await trio.testing.wait_all_tasks_blocked()
        assert len(other.told) == 2
        lines = [json.loads(line) for line in hall.log.getvalue().splitlines()]
        assert [(line["event"], line["terminal"]) for line in lines] == [("notice_failed", 1)] * 2


async def test_many_are_told_over_a_while(autojump_clock: trio.testing.MockClock) -> None:
    """So that what they ask next comes over a while too; and no more wait at once than there is room for."""
    async with open_hall() as hall:
        listeners = [hall.enter(number) for number in range(10 * BURST)]
        stuck = [hall.enter(10_000 + number, stuck=True) for number in range(UNDER_WAY + BURST)]
        began = trio.current_time()
        hall.notices.learn(catalogue=8)
        with trio.fail_after(3_600):
            for listener in listeners:
                await listener.heard.wait()
            assert 8.5 * PAUSE_SECONDS < trio.current_time() - began < 12 * PAUSE_SECONDS
            for listener in stuck:
                listener.open.set()
            for listener in stuck:
                await listener.heard.wait()
        assert all(len(listener.told) == 1 for listener in (*listeners, *stuck))
