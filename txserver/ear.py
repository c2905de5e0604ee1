"""Hears which lines have something to say: one task for all of them.

A task that waits on its own socket costs two system calls and a turn of the scheduler a message, more
than reading it does. So sessions that have logged in are heard here and called when bytes are there.
"""

import selectors
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from txserver.line import Line

__all__ = ["Ear"]

BURST = 32  # lines in one turn: then batches, logins and timers have theirs

Heard = Callable[[], None]


class Ear:
    """Lines and who is called for them; `run` must be running in a task of its own."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._lines: dict[Line, Heard] = {}

    @contextmanager
    def hearing(self, line: Line, heard: Heard) -> Iterator[None]:
        """Call `heard` while there are bytes, or the end, until the block ends or the line is closed.

        It must not raise: a bug met by one line would make all of them deaf.
        """
        self._selector.register(line, selectors.EVENT_READ)
        self._lines[line] = heard
        line.before_closing = lambda: self._forget(line)
        try:
            yield
        finally:
            self._forget(line)

    async def run(self) -> None:
        """Call whoever has something to hear; ends by cancellation only."""
        while True:
            await trio.lowlevel.wait_readable(self._selector)
            for number, (key, _) in enumerate(self._selector.select(0), 1):
                heard = self._lines.get(key.fileobj)  # type: ignore[call-overload]
                if heard is not None:  # else closed since the kernel said that there was something
                    heard()
                if number % BURST == 0:
                    await trio.lowlevel.checkpoint()

    def _forget(self, line: Line) -> None:
        if self._lines.pop(line, None) is not None:
            line.before_closing = None
            self._selector.unregister(line)
