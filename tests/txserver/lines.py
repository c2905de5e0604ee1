"""A line with somebody at its other end."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from txserver.line import Line


@contextmanager
def create_line() -> Iterator[tuple[Line, socket.socket]]:
    """A line, and the peer's end of it."""
    ours, theirs = socket.socketpair()
    with theirs, Line(ours) as line:
        yield line, theirs
