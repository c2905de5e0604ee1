"""One terminal's socket: what it sent, and what it takes, at once where the kernel allows it.

Straight on the socket, for trio's streams look before and after every step, and a debit has two: that
was a fifth of a debit's cost. A task waits here only for bytes that are not there yet.
"""

import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import trio

__all__ = ["Line", "allow_many_sockets"]

READ_BYTES = 16_384  # four of the largest frames: one system call takes what a busy terminal sent


class Line:
    """A connected socket, which this closes. One task at a time may wait for each direction.

    `before_closing` is called once, while the descriptor is still this line's.
    """

    __slots__ = ("_closed", "_socket", "before_closing")

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._closed = False
        self.before_closing: Callable[[], None] | None = None

    @property
    def closed(self) -> bool:
        return self._closed

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> bytes | None:
        """The next bytes; empty at the end, None when there are none yet. Raises BrokenResourceError."""
        try:
            return self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise trio.BrokenResourceError from error

    async def receive(self) -> bytes:
        """`read`, when there is something. Raises ClosedResourceError too, after close."""
        while True:
            if self._closed:
                raise trio.ClosedResourceError
            await trio.lowlevel.wait_readable(self._socket)
            data = self.read()
            if data is not None:
                return data

    def send(self, data: bytes | memoryview) -> int:
        """How many of the bytes the kernel has taken, which may be none. Raises BrokenResourceError."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise trio.BrokenResourceError from error

    async def writable(self) -> None:
        """Return when `send` may take some. Raises ClosedResourceError after close."""
        if self._closed:
            raise trio.ClosedResourceError
        await trio.lowlevel.wait_writable(self._socket)

    def end(self) -> None:
        """Tell the peer that nothing more will come. Raises BrokenResourceError."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise trio.BrokenResourceError from error

    def close(self) -> None:
        """Close at once; who waits here hears of it. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            if self.before_closing is not None:
                self.before_closing()
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def allow_many_sockets() -> None:
    """As many descriptors as the system lets this process have: one per terminal."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # systems where "unlimited" is more than the kernel gives
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
