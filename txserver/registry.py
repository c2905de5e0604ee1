"""The sessions of this process by terminal. The newest session of a terminal wins, in every process."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import trio

from protocol.messages import Message

__all__ = ["REMEMBERED_SECONDS", "Facts", "Registry", "Seated", "Session"]

REMEMBERED_SECONDS = 60.0  # far more than lies between a login's commit and its session's entry here


class Session(Protocol):
    """What the registry needs of a conversation."""

    def end(self, reason: str) -> None: ...
    async def send(self, message: Message) -> None: ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What terminals are told: version of the catalogue, business date, id of the server's newest key."""

    catalogue: int
    business_date: date
    key_id: int


@dataclass(slots=True, eq=False)
class Seated:
    """One session: its terminal, its serial, and what the terminal has been told in it so far."""

    terminal: int
    serial: int
    session: Session
    told: Facts
    key_asked: bool = False  # for a new key of its own
    change_key: bool = False  # it is to be asked for one
    heard_at: float = 0.0  # when its last message was heard, by the registry's clock


@dataclass(frozen=True, slots=True)
class _Ended:
    """Word that sessions of a terminal below `serial` are over."""

    serial: int
    reason: str
    at: float


class Registry:
    """The sessions of this process. A login's serial, and not the moment of entering, says which is newest.

    `clock` gives seconds, as trio.current_time does.
    """

    def __init__(self, clock: Callable[[], float] = trio.current_time) -> None:
        self._clock = clock
        self._seats: dict[int, Seated] = {}
        self._ended: dict[int, _Ended] = {}  # the oldest word first
        self.stopping = False

    def __len__(self) -> int:
        return len(self._seats)

    def __iter__(self) -> Iterator[Seated]:
        """Every session that is open at the moment of asking."""
        return iter(list(self._seats.values()))

    def get(self, terminal: int) -> Seated | None:
        return self._seats.get(terminal)

    def enter(self, seated: Seated) -> None:
        """A session that has logged in. Whichever of the terminal's is older ends, be it this one."""
        ended = self._ended.get(seated.terminal)
        if ended is not None and seated.serial < ended.serial:
            seated.session.end(ended.reason)
            return
        present = self._seats.get(seated.terminal)
        if present is not None:
            older, newer = sorted((present, seated), key=lambda each: each.serial)
            older.session.end("replaced")
            self._seats[seated.terminal] = newer
        else:
            self._seats[seated.terminal] = seated
        if self.stopping:
            seated.session.end("shutdown")

    def leave(self, seated: Seated) -> None:
        if self._seats.get(seated.terminal) is seated:
            del self._seats[seated.terminal]

    def end(self, terminal: int, serial: int, reason: str) -> None:
        """The terminal's sessions below `serial` are over: one that is open, and one that enters later."""
        self._forget()
        known = self._ended.pop(terminal, None)
        if known is not None and known.serial > serial:
            serial, reason = known.serial, known.reason
        self._ended[terminal] = _Ended(serial, reason, self._clock())
        present = self._seats.get(terminal)
        if present is not None and present.serial < serial:
            present.session.end(reason)

    def serials(self) -> dict[int, int]:
        """The serial of every open session, by terminal."""
        return {terminal: seated.serial for terminal, seated in self._seats.items()}

    def stop(self) -> None:
        """End every session, now and later."""
        self.stopping = True
        for seated in self:
            seated.session.end("shutdown")

    def _forget(self) -> None:
        """Drop word that is too old to meet a session that still has to enter."""
        before = self._clock() - REMEMBERED_SECONDS
        while self._ended:
            terminal, oldest = next(iter(self._ended.items()))
            if oldest.at > before:
                return
            del self._ended[terminal]
