"""The listening socket: accept, limits, shutdown."""

import socket
from collections import Counter
from collections.abc import Awaitable, Callable

import trio
from structlog.typing import FilteringBoundLogger

from txserver.line import Line
from txserver.metrics import Metrics

__all__ = ["Listener", "PortTaken", "bind"]

BACKLOG = 4_096  # a town's terminals that come back in the same second; the kernel caps it by its own limit
ACCEPT_PAUSE_SECONDS = 0.05  # when the process has no descriptor left: others may close one meanwhile
SEND_BUFFER = 32 * 1024  # bytes kept for a peer that does not read: eight of the longest replies

Serve = Callable[[Line, Callable[[], None]], Awaitable[str]]


class PortTaken(Exception):
    """The address cannot be listened on; the text says which and what to do."""


def bind(host: str, port: int, *, shared: bool) -> socket.socket:
    """A listening socket. `shared`: with other worker processes on the same port (SO_REUSEPORT).

    Raises PortTaken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        plain = socket.socket(family, kind, protocol)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            # What is accepted inherits these. A reply is whole when it is written: nothing to wait for.
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            plain.bind(address)
            plain.listen(BACKLOG)
            plain.setblocking(False)
        except BaseException:
            plain.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        raise PortTaken(
            f"Cannot listen on {host} port {port}: {getattr(error, 'strerror', None) or error}. "
            "Stop the program that uses it, or set TESSERA_HOST and TESSERA_PORT."
        ) from error
    return plain


class Listener:
    """Accepts connections and serves each in a task, within the caps on those that have not logged in."""

    def __init__(
        self,
        sock: socket.socket,
        serve: Serve,
        *,
        log: FilteringBoundLogger,
        metrics: Metrics,
        unauthenticated: int,
        per_address: int,
    ) -> None:
        self._socket = sock
        self._serve = serve
        self._log = log
        self._metrics = metrics
        self._unauthenticated = unauthenticated
        self._per_address = per_address
        self._strangers: Counter[str] = Counter()
        self._stranger_count = 0
        self.accepting = trio.CancelScope()

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    async def run(self) -> None:
        """Accept until `accepting` is cancelled; return when the last connection has ended."""
        async with trio.open_nursery() as nursery:
            with self.accepting:
                while True:
                    await self._accept(nursery)
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    async def _accept(self, nursery: trio.Nursery) -> None:
        try:
            await trio.lowlevel.wait_readable(self._socket)
            connection, address = self._socket.accept()
        except BlockingIOError:  # who knocked has gone away again
            return
        except OSError as error:
            self._log.error("accept_failed", error=error.strerror)
            await trio.sleep(ACCEPT_PAUSE_SECONDS)
            return
        host = str(address[0])
        if self._stranger_count >= self._unauthenticated or self._strangers[host] >= self._per_address:
            connection.close()
            self._metrics.closed("too_many")
            self._log.warning("connection_refused", address=host, reason="too_many")
            return
        self._strangers[host] += 1
        self._stranger_count += 1
        self._metrics.unauthenticated.inc()
        nursery.start_soon(self._one, Line(connection), host)

    async def _one(self, line: Line, host: str) -> None:
        """One connection; nothing that happens in it reaches the others."""
        stranger = True
        began = trio.current_time()

        def no_stranger() -> None:
            nonlocal stranger
            if stranger:
                stranger = False
                self._strangers[host] -= 1
                self._stranger_count -= 1
                self._metrics.unauthenticated.dec()
                if not self._strangers[host]:
                    del self._strangers[host]

        reason = "cut_off"  # by the end of the server, when it does not wait any longer
        try:
            with line:
                reason = await self._serve(line, no_stranger)
        except Exception:  # noqa: BLE001 - a bug met by one connection must not end the others
            reason = "fault"
            self._log.exception("conversation_failed", address=host)
        finally:
            no_stranger()
            self._metrics.closed(reason)
            self._log.info(
                "connection_closed",
                address=host,
                reason=reason,
                seconds=round(trio.current_time() - began, 3),
            )
