"""Which of a terminal's sessions is the one that counts."""

from dataclasses import dataclass, field

from protocol.messages import Message
from tests.factories import TODAY
from txserver.registry import REMEMBERED_SECONDS, Facts, Registry, Seated

FACTS = Facts(catalogue=1, business_date=TODAY, key_id=2)


@dataclass
class Talk:
    """A session that remembers how it was ended."""

    ends: list[str] = field(default_factory=list)

    def end(self, reason: str) -> None:
        self.ends.append(reason)

    async def send(self, message: Message) -> None:
        raise AssertionError("nobody is told anything here")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def create_seated(serial: int, terminal: int = 1) -> tuple[Seated, Talk]:
    talk = Talk()
    return Seated(terminal, serial, talk, FACTS), talk


def create_registry() -> tuple[Registry, Clock]:
    clock = Clock()
    return Registry(clock), clock


def test_the_higher_serial_wins_in_whichever_order_they_enter() -> None:
    for first, second in ((5, 6), (6, 5)):
        registry, _ = create_registry()
        (one, one_talk), (other, other_talk) = create_seated(first), create_seated(second)
        registry.enter(one)
        registry.enter(other)
        newer, older = (one, other) if first > second else (other, one)
        assert (one_talk.ends, other_talk.ends) == (
            ([], ["replaced"]) if newer is one else (["replaced"], [])
        )
        assert registry.get(1) is newer
        registry.leave(older)
        assert registry.serials() == {1: 6}
        registry.leave(newer)
        assert len(registry) == 0


def test_terminals_do_not_mind_each_other() -> None:
    registry, _ = create_registry()
    (one, one_talk), (other, other_talk) = create_seated(5), create_seated(4, terminal=2)
    registry.enter(one)
    registry.enter(other)
    registry.end(2, 5, "revoked")
    assert (one_talk.ends, other_talk.ends) == ([], ["revoked"])
    assert [seated.terminal for seated in registry] == [1, 2]


def test_a_session_below_the_serial_ends_and_no_other() -> None:
    registry, _ = create_registry()
    seated, talk = create_seated(5)
    registry.enter(seated)
    registry.end(1, 5, "replaced")
    assert talk.ends == []
    registry.end(1, 6, "revoked")
    assert talk.ends == ["revoked"]


def test_one_that_enters_after_the_word_came_ends_too() -> None:
    registry, clock = create_registry()
    registry.end(1, 6, "revoked")
    registry.end(1, 4, "replaced")
    clock.now += REMEMBERED_SECONDS - 1
    late, late_talk = create_seated(5)
    registry.enter(late)
    assert late_talk.ends == ["revoked"]
    assert registry.get(1) is None
    fresh, fresh_talk = create_seated(6)
    registry.enter(fresh)
    assert fresh_talk.ends == []


def test_old_words_are_forgotten() -> None:
    registry, clock = create_registry()
    for terminal in range(1_000):
        registry.end(terminal, 6, "replaced")
        clock.now += REMEMBERED_SECONDS / 64
    assert len(registry._ended) <= 65
    assert 999 in registry._ended


def test_a_word_that_came_again_does_not_keep_older_ones_of_others() -> None:
    registry, clock = create_registry()
    registry.end(1, 6, "replaced")
    registry.end(2, 6, "replaced")
    clock.now += REMEMBERED_SECONDS / 2
    registry.end(1, 7, "replaced")
    clock.now += REMEMBERED_SECONDS / 2
    registry.end(3, 6, "replaced")
    (again, again_talk), (old, old_talk) = create_seated(6, terminal=1), create_seated(5, terminal=2)
    registry.enter(again)
    registry.enter(old)
    assert (again_talk.ends, old_talk.ends) == (["replaced"], [])


def test_a_stop_ends_all_now_and_later() -> None:
    registry, _ = create_registry()
    (one, one_talk), (other, other_talk) = create_seated(5), create_seated(4, terminal=2)
    registry.enter(one)
    registry.stop()
    registry.enter(other)
    assert one_talk.ends == other_talk.ends == ["shutdown"]
