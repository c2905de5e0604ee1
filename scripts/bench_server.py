"""The server of a bench: its processes, their processor time and memory, and what it counts of itself."""

import http.client
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.bench_terminals import BenchFailed
from scripts.server_process import server_environment, start_server

__all__ = ["Counted", "RunningServer", "database_cpu_s", "running_server"]

START_SECONDS = 30
STOP_SECONDS = 30
POLL_SECONDS = 0.02
IDLE_S = "3600"  # terminals of a bench say nothing while others are measured
_NUMBER = re.compile(
    r"^(tessera_batch_size_sum|tessera_batch_size_count|tessera_batch_round_trips_total) (\S+)$", re.MULTILINE
)


@dataclass(frozen=True)
class Counted:
    """What all processes of a server have counted since they started. None: this server does not count it."""

    postings: int
    batches: int
    round_trips: int | None


@dataclass(frozen=True)
class RunningServer:
    """The serving processes, where they listen, and where each tells its metrics."""

    pids: list[int]
    port: int
    health_ports: list[int]

    def cpu_s(self) -> float:
        """Processor time of all processes since they started. Raises BenchFailed."""
        return sum(map(_cpu_s, self.pids))

    def resident_bytes(self) -> int:
        """Memory of all processes that is in RAM, shared pages counted for each."""
        return sum(map(_resident_bytes, self.pids))

    def counted(self) -> Counted:
        """Raises BenchFailed."""
        sums = {"tessera_batch_size_sum": 0, "tessera_batch_size_count": 0}
        for port in self.health_ports:
            for name, value in _NUMBER.findall(_page(port, "/metrics")):
                sums[name] = sums.get(name, 0) + int(float(value))
        return Counted(
            sums["tessera_batch_size_sum"],
            sums["tessera_batch_size_count"],
            sums.get("tessera_batch_round_trips_total"),
        )


@contextmanager
def running_server(url: str, secrets: Path, log: Path, *, workers: int = 1) -> Iterator[RunningServer]:
    """The server until the block ends. Raises BenchFailed when it does not start."""
    (port,), health = _consecutive_ports(1), _consecutive_ports(workers)
    environment = server_environment(url, secrets, port=port, health_port=health[0], workers=workers)
    process = start_server({**environment, "TESSERA_IDLE_S": IDLE_S}, log)
    try:
        _await_listening(process, log, workers)
        yield RunningServer(_children(process.pid) if workers > 1 else [process.pid], port, health)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def database_cpu_s(postmaster: int) -> float:
    """Processor time of PostgreSQL: the postmaster, its children, and those that have ended already."""
    own = Path(f"/proc/{postmaster}/stat").read_text().rpartition(")")[2].split()
    ended = (int(own[13]) + int(own[14])) / os.sysconf("SC_CLK_TCK")
    total = _cpu_s(postmaster) + ended
    for child in _children(postmaster):
        try:
            total += _cpu_s(child)
        except BenchFailed:  # it has ended since, and its time is the postmaster's now
            continue
    return total


def _cpu_s(pid: int) -> float:
    """To the microsecond, with the threads that have ended; /proc tells hundredths of a second."""
    try:
        # What clock_getcpuclockid(3) makes of a process id.
        return time.clock_gettime(~pid << 3 | 2)
    except OSError as error:
        raise BenchFailed(f"The process {pid} has ended while it was measured.") from error


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def _await_listening(process: "subprocess.Popen[bytes]", log: Path, workers: int) -> None:
    give_up = time.monotonic() + START_SECONDS
    while log.read_bytes().count(b'"listening"') < workers:
        if process.poll() is not None or time.monotonic() > give_up:
            raise BenchFailed(f"The server did not start: {log.read_text()[-2000:]}")
        time.sleep(POLL_SECONDS)


def _page(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except OSError as error:
        raise BenchFailed(f"The server does not tell its metrics: {error}.") from error
    finally:
        connection.close()


def _consecutive_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1, one after the other, that nobody used a moment ago: each worker has its own."""
    while True:
        with ExitStack() as stack, socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            start: int = first.getsockname()[1]
            try:
                for port in range(start + 1, start + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                continue
            return list(range(start, start + count))
