"""A line and its session: messages in, messages out, in order, each written whole or the last one.

What is said is encrypted and handed to the kernel in the same breath, so the order of frames is the
order of saying. What the kernel does not take waits here, and a task sends it on.
"""

from collections import deque

import trio

from protocol.messages import Closing, LogoutReply, Message
from protocol.session import ServerSession
from txserver.line import Line

__all__ = ["Channel"]

LINGER_SECONDS = 1  # for the peer to take the last replies before its socket is closed
_FAREWELLS = frozenset({LogoutReply, Closing})


class Channel:
    """Messages of one terminal. A frame that the peer does not take in `write_s` ends it.

    `nursery` is the conversation's: with it ends whatever is still being sent.
    """

    __slots__ = (
        "_flushed", "_gone", "_left", "_mute", "_nursery", "_write_s",
        "closing", "line", "lost", "reading", "session",
    )  # fmt: skip

    def __init__(self, line: Line, session: ServerSession, nursery: trio.Nursery, write_s: float) -> None:
        self.session = session
        self.reading = trio.CancelScope()
        self.closing: Closing | None = None
        self.lost = "connection_lost"
        self.line = line
        self._nursery = nursery
        self._write_s = write_s
        self._gone = False
        self._mute = False  # after a farewell, a fault, or a write that failed
        self._left: deque[bytes] | None = None  # frames that the kernel has not taken, None when it has all
        self._flushed: trio.Event | None = None

    @property
    def unsent(self) -> int:
        """Messages that were said and are still here."""
        return len(self._left) if self._left is not None else 0

    async def greeted(self, turnstile: trio.CapacityLimiter) -> list[Message]:
        """Shake hands. The messages that came with its end, or none when the peer has gone.

        A step takes as long as two debits, so the `turnstile` lets a few through in one turn of the loop:
        when a thousand come at once, those who have logged in go on. Raises RemoteProtocolError.
        """
        while True:
            data = await self.line.receive()
            if not data:
                return []
            async with turnstile:
                messages = self.session.receive_data(data)
                await trio.lowlevel.checkpoint()
            answer = self.session.data_to_send()
            if answer:
                self._write(answer)
            if messages:
                return messages

    def read(self) -> list[Message] | None:
        """The messages that are there, perhaps none yet; None at the end. Raises RemoteProtocolError."""
        data = self.line.read()
        if data is None:
            return []
        return self.session.receive_data(data) if data else None

    def say(self, message: Message) -> None:
        """Encrypt and write. Nothing is said after a farewell: a notice may come too late."""
        if self._mute or not self.session.established:
            return
        data = self.session.send(message)
        self._mute = type(message) in _FAREWELLS
        self._write(data)

    async def send(self, message: Message) -> None:
        """Say it, and wait until it has left; not for what is said after it."""
        self.say(message)
        own = self._left[-1] if self._left else b""
        while self._left is not None and any(frame is own for frame in self._left):
            await self._moved()

    async def flushed(self) -> None:
        """Return when nothing waits to be sent, or nothing more can be."""
        while self._left is not None:
            await self._moved()

    async def _moved(self) -> None:
        """Return when one more frame has left, or none will."""
        if self._flushed is None:
            self._flushed = trio.Event()
        await self._flushed.wait()

    async def finish(self) -> None:
        """After the last message: say so, and wait a moment for the peer to close.

        A socket that is closed while it holds unread bytes is reset, and the replies under way with it.
        """
        await self.flushed()
        with trio.move_on_after(LINGER_SECONDS):
            try:
                self.line.end()
                while await self.line.receive():
                    pass
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

    def end(self, reason: str) -> None:
        """Take no more requests; replies under way still go out, then `Closing` with the reason."""
        self.closing = self.closing or Closing(reason=reason)
        self.reading.cancel()

    def hush(self) -> None:
        """Say nothing more: the peer has broken the rules."""
        self._mute = True

    def lose(self, reason: str) -> None:
        """Nothing can be said any more, and nothing read. The first reason counts."""
        if not self._gone:
            self._gone = True
            self.lost = reason
        self._mute = True
        self._settle()
        self.reading.cancel()
        self.line.close()

    def _write(self, data: bytes) -> None:
        if self._left is not None:
            self._left.append(data)
            return
        try:
            taken = self.line.send(data)
        except trio.BrokenResourceError:
            self.lose("connection_lost")
            return
        if taken < len(data):
            self._left = deque([data[taken:]])
            self._nursery.start_soon(self._send_on)

    async def _send_on(self) -> None:
        """Send what is left, frame by frame; each has its own time."""
        try:
            while self._left:
                with trio.move_on_after(self._write_s) as patience:
                    await self._send_frame(memoryview(self._left[0]))
                if patience.cancelled_caught:
                    self.lose("write_timeout")
                    return
                self._left.popleft()
                self._wake()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.lose("connection_lost")
        else:
            self._settle()

    async def _send_frame(self, data: memoryview) -> None:
        while data:
            await self.line.writable()
            data = data[self.line.send(data) :]

    def _settle(self) -> None:
        self._left = None
        self._wake()

    def _wake(self) -> None:
        if self._flushed is not None:
            self._flushed.set()
            self._flushed = None
