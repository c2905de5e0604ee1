"""The programs that `scripts/run` starts: each in a session of its own, with a log, ended in order."""

import contextlib
import errno
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ledger import child

__all__ = ["Child", "HouseFailed", "await_page", "free_ports", "require_different", "require_free"]

ROOT = Path(__file__).resolve().parent.parent
_LOG_BYTES = 16 * 1024 * 1024  # a longer log is put aside once, when the program starts again
_POLL_SECONDS = 0.05
_START_SECONDS = 60
_STOP_SECONDS = 20  # draining: replies of committed work go out first


class HouseFailed(Exception):
    """The house cannot start or go on; the text is one sentence for people."""


class Child:
    """One Python program, `python -m module arguments`, as a child that ends when this process does."""

    def __init__(self, name: str, module: str, *arguments: str) -> None:
        self.name = name
        self._arguments = ("-m", module, *arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Path | None = None

    def start(self, environment: Mapping[str, str], log: Path) -> None:
        """Start it, saying what it says into `log`. Its Ctrl-C comes from `stop`, not from the terminal."""
        with contextlib.suppress(OSError):  # a log that cannot be put aside goes on being written
            if log.stat().st_size > _LOG_BYTES:
                log.replace(log.with_suffix(".log.1"))
        self._log = log
        plan = {"parent": os.getpid(), "folder": str(ROOT)}
        try:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HouseFailed(f"cannot write the log {log}: {error.strerror}") from error
        try:
            self._process = subprocess.Popen(
                child.command(plan, [sys.executable, *self._arguments]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                start_new_session=True,
            )
        finally:
            os.close(output)

    def require_running(self) -> None:
        """Raise HouseFailed when it has ended, with its last words."""
        status = None if self._process is None else self._process.poll()
        if status is not None:
            raise HouseFailed(f"{self.name} ended ({_how(status)}): {self._last_words()} (log: {self._log})")

    def stop(self) -> None:
        """Ask it to drain and end; kill it when it does not. Nothing happens when it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        for number, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, 10)):
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                return

    def _last_words(self) -> str:
        if self._log is None:
            return "nothing was said"
        lines = self._log.read_bytes()[-4096:].decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "nothing was said")


def await_page(host: str, port: int, path: str, still_running: Callable[[], None]) -> int:
    """Ask for a page until somebody answers; the status. `still_running` raises to stop the waiting."""
    give_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up:
        still_running()
        with contextlib.suppress(OSError, http.client.HTTPException):
            return status_of(host, port, path)
        time.sleep(_POLL_SECONDS)
    raise HouseFailed(f"nobody answered at http://{host}:{port}{path} within {_START_SECONDS} seconds")


def status_of(host: str, port: int, path: str) -> int:
    """The status of one GET. OSError or HTTPException when there is no answer."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path)
        with connection.getresponse() as response:
            return response.status
    finally:
        connection.close()


def require_free(host: str, port: int, what: str, variable: str) -> None:
    """Raise HouseFailed when nobody may listen on this port of ours, before anything is started.

    `variable` is the setting of the port; the one of the host ends in HOST instead of PORT.
    """
    try:
        addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, _, _, address in addresses:
            _try_to_bind(family, kind, address)
    except (OSError, UnicodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "not a name of a host") or str(error)
        number = error.errno if isinstance(error, OSError) else None
        if number == errno.EADDRINUSE:
            way = f"stop what uses it, or set {variable} to another port"
        elif number == errno.EACCES:
            way = f"set {variable} to a port from 1024 on"
        else:  # an unknown name, or an address of another machine
            way = f"set {variable.removesuffix('PORT')}HOST to an address of this machine"
        raise HouseFailed(f"{what} cannot listen on {host}:{port} ({reason}): {way}") from error


def require_different(places: Sequence[tuple[str, int, str]]) -> None:
    """Raise HouseFailed when two of (host, port, variable) are the same port of the same address."""
    for each, (host, port, variable) in enumerate(places):
        for other_host, other_port, other in places[:each]:
            overlap = host == other_host or {host, other_host} & {"", "0.0.0.0", "::"}
            if port == other_port and overlap:
                raise HouseFailed(f"{other} and {variable} are both {port}: give each a port of its own")


def _try_to_bind(family: int, kind: int, address: tuple[object, ...]) -> None:
    try:
        probe = socket.socket(family, kind)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:  # a name with an IPv6 address on a machine without
            return
        raise
    with probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody used a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            probe.bind(("127.0.0.1", 0))
            ports.append(int(probe.getsockname()[1]))
        return ports


def _how(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
