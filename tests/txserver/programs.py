"""The server as a program of its own: started, listened to, signalled, killed."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import trio

from ledger.database import Scope
from ledger.keyring import Keyring
from protocol.noise import KeyPair
from tests.desk import Books
from tests.factories import create_active_terminal, create_keyring
from tests.txserver.server_house import RawTerminal

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60


def create_secrets(folder: Path) -> Path:
    """The keys of create_keyring, as files."""
    numbers = itertools.count(1)
    keyring = Keyring.create(folder, lambda count: bytes([next(numbers)] * count))
    assert keyring == create_keyring()
    return folder


def create_environment(url: str, secrets: Path, **changes: str) -> dict[str, str]:
    """What `serve` needs, and nothing of ours that it might trip over."""
    ours = ("TESSERA_", "DATABASE_", "PG")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    given = {
        "DATABASE_URL": url,
        "TESSERA_SECRETS": str(secrets),
        "TESSERA_PORT": "0",
        "TESSERA_HEALTH_PORT": "0",
    }
    return {**clean, **given, **changes}


class Program:
    """`python -m txserver …`, and what it has said on standard error so far."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.silent = trio.Event()
        self._news = trio.Event()

    async def listen(self) -> None:
        """Read until the program, and all that it started, have ended."""
        assert self.process.stderr is not None
        rest = b""
        async for data in self.process.stderr:
            *whole, rest = (rest + data).split(b"\n")
            self.lines += [line.decode() for line in whole]
            self._news.set()
            self._news = trio.Event()
        assert rest == b""
        self.silent.set()
        self._news.set()

    def events(self, event: str) -> list[dict[str, Any]]:
        told = (json.loads(line) for line in self.lines if line.startswith("{"))
        return [line for line in told if line["event"] == event]

    async def said(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """The lines of an event, once there are `count`."""
        with trio.fail_after(PATIENCE_S):
            while len(self.events(event)) < count:
                assert not self.silent.is_set(), self.lines
                await self._news.wait()
        return self.events(event)

    async def ended(self) -> int:
        """The exit code, when the program and all that it started have ended."""
        with trio.fail_after(PATIENCE_S):
            await self.silent.wait()
            return await self.process.wait()

    @property
    def port(self) -> int:
        port = self.events("listening")[-1]["port"]
        assert isinstance(port, int)
        return port

    def workers(self) -> list[int]:
        """The ids of the processes that this one has started."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    async def terminal(self, key: KeyPair) -> RawTerminal:
        return await RawTerminal.login(await trio.open_tcp_stream("127.0.0.1", self.port), key)


@asynccontextmanager
async def running(environment: Mapping[str, str], *arguments: str) -> AsyncIterator[Program]:
    """The program until the block ends; it is killed if it has not ended by then."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "txserver", *arguments],
        env=dict(environment),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    program = Program(process)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(program.listen)
        try:
            yield program
        finally:
            with trio.CancelScope(shield=True), suppress(ProcessLookupError):
                if process.poll() is None:
                    process.kill()
                await process.wait()


def new_key(books: Books) -> KeyPair:
    """The key of a new terminal of the books' store."""
    key = KeyPair.from_private(os.urandom(32))
    with books.database.transaction(Scope.everything()) as connection:
        create_active_terminal(connection, books.house.store, public_key=key.public)
    return key
