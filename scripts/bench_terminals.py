"""The load from the bench's side: the compiled loop, the processes, and what comes of a run."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ledger.keyring import Keyring
from protocol.noise import KeyPair
from scripts.bench_load import HEAD, OTHER, RECORD, Plan

__all__ = [
    "Answers", "BenchFailed", "Served", "Terminals", "compiled_loop", "percentile", "plan_for",
    "read_answers",
]  # fmt: skip

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("bench_load.c", "bench_cipher.h")
FLAGS = (("-O3", "-march=native"), ("-O2",))
COMPILE_SECONDS = 60
HERE = "127.0.0.1"


class BenchFailed(Exception):
    """The bench cannot go on; the text is one sentence for people."""


@dataclass(frozen=True)
class Served:
    """How the terminals of a process logged in: seconds until each was served, and which loop debits."""

    seconds: list[float]
    retries: int
    load: str


@dataclass(frozen=True)
class Answers:
    """One run of a load process. `ends_us` from its beginning, `latencies_us` and `txids` go together.

    `began_ns` is by the clock of time.monotonic_ns. `others`: how often each code came that is no approval.
    """

    began_ns: int
    elapsed_s: float
    cpu_s: float
    ends_us: list[int]
    latencies_us: list[int]
    txids: list[bytes]
    others: dict[int, int]

    @property
    def debits(self) -> int:
        return len(self.txids)

    @property
    def per_second(self) -> float:
        return self.debits / self.elapsed_s


class Terminals:
    """A load process; a context manager. `connect`, then `run` as often as wanted."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.bench_load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        try:
            self._tell(json.dumps(self._plan))
            self._line()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def connect(self) -> Served:
        """Log all terminals in. Raises BenchFailed."""
        self._tell("connect")
        told = json.loads(self._line())
        return Served(told["seconds"], told["retries"], told["load"])

    def run(self, seconds: float, *, rate: float = 0.0, most: int = 0) -> Answers:
        """Debit, with all it takes or `rate` a second, at most `most` (0: no limit). Raises BenchFailed."""
        self.start(seconds, rate=rate, most=most)
        return self.finish()

    def start(self, seconds: float, *, rate: float = 0.0, most: int = 0) -> None:
        """The first half of `run`."""
        self._tell(f"{seconds} {rate} {most}")

    def finish(self) -> Answers:
        """The second half of `run`: what came of it."""
        return read_answers(self._bytes)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._ended()

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline() or self._ended()

    def _bytes(self, count: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(count)
        return data if len(data) == count else self._ended()

    def _ended(self) -> Any:
        raise BenchFailed("A load process ended early; what it said is above.")

    def _end(self) -> None:
        """Its end of standard input closes, and it ends; or is ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def read_answers(read: Callable[[int], bytes]) -> Answers:
    """What came of a run, as a load process writes it. `read` gives so many bytes, never fewer."""
    began, elapsed, cpu, records, others = HEAD.unpack(read(HEAD.size))
    codes = dict(OTHER.iter_unpack(read(OTHER.size * others)))
    found = list(RECORD.iter_unpack(read(RECORD.size * records)))
    return Answers(
        began_ns=began,
        elapsed_s=elapsed / 1e9,
        cpu_s=cpu / 1e9,
        ends_us=[each[0] for each in found],
        latencies_us=[each[1] for each in found],
        txids=[each[2] for each in found],
        others=codes,
    )


def plan_for(
    keyring: Keyring,
    port: int,
    keys: Sequence[str],
    *,
    service: str = "",
    cards: Sequence[list[str]] = (),
    shared: bool = False,
    at_once: int = 0,
    together: int = 16,
    sources: Sequence[str] = (HERE,),
    program: Path | None = None,
) -> Plan:
    """The plan of one load process. Each terminal walks a part of `cards` of its own, or all, `shared`."""
    number = keyring.current_key_id
    if cards and not shared and len(cards) < len(keys):
        raise ValueError("there must be a card for each terminal")
    places = [place * len(cards) // len(keys) for place in range(len(keys) + 1)] if keys else []
    parts = [(first, after - first) for first, after in pairwise(places)]
    return Plan(
        port=port,
        server_key=KeyPair.from_private(keyring.server_keys[number]).public.hex(),
        server_key_id=number,
        keys=list(keys),
        sources=list(sources),
        service=service,
        cards=list(cards),
        parts=[(0, len(cards))] * len(keys) if shared else parts,
        at_once=at_once or len(keys),
        together=together,
        program=str(program) if program else None,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all (0 to 1) do not exceed. ValueError when there are none."""
    ranked = sorted(values)
    if not ranked:
        raise ValueError("there is nothing to rank")
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))]


@cache
def compiled_loop() -> Path | None:
    """The program made of bench_load.c, compiled if need be; None when there is no compiler, or it fails."""
    sources = [Path(__file__).with_name(name) for name in SOURCES]
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    digest = hashlib.sha256(b"\0".join([*(source.read_bytes() for source in sources), _machine()]))
    name = f"bench-load-{digest.hexdigest()[:16]}"
    for folder in (ROOT / "var" / "bench", Path(tempfile.gettempdir()) / f"tessera-bench-{os.geteuid()}"):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = folder.lstat()
            if found.st_uid == os.geteuid() and found.st_mode & 0o022 == 0:
                return _made(compiler, sources[0], folder / name)
        except OSError:
            continue
    return None


def _made(compiler: str, source: Path, program: Path) -> Path | None:
    """The program, if it is there or can be made, and does the vectors of its cipher right."""
    if program.exists() and _works(program):
        return program
    for flags in FLAGS:
        partial = program.with_name(f"{program.name}.{os.getpid()}")
        command = [compiler, *flags, "-std=gnu11", "-o", str(partial), str(source)]
        try:
            with suppress(subprocess.TimeoutExpired):
                made = subprocess.run(command, check=False, capture_output=True, timeout=COMPILE_SECONDS)
                if made.returncode == 0 and _works(partial):
                    return partial.replace(program)
        finally:
            partial.unlink(missing_ok=True)
    return None


def _works(program: Path) -> bool:
    try:
        return subprocess.run([str(program), "--selftest"], check=False, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _machine() -> bytes:
    """What the compiler makes use of: a checkout may be shared by machines with different processors."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        return b""
    return next((line for line in lines if line.startswith((b"flags", b"Features"))), b"")
