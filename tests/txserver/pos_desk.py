"""A POS whose world is scripted: a peer at the other end, paper and voice that can be read, typed answers."""

import argparse
import io
import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from rich.console import Console

from protocol.credentials import enrolment_code
from protocol.session import Enrolment
from tests.txserver.terminal_peer import ENROLMENT_SECRET, NOW_MS, SERVER_KEY, Entropy, Peer, create_identity
from txserver import pos
from txserver.pos_commands import run_command
from txserver.pos_desk import Desk, Dial
from txserver.pos_screen import show
from txserver.pos_texts import Texts


def create_code() -> str:
    """An enrolment code that the peer accepts."""
    return enrolment_code(
        Enrolment(bytes([5] * 16), ENROLMENT_SECRET), SERVER_KEY.public, 1, "localhost", 7171
    )


def parse(*arguments: str) -> argparse.Namespace:
    """What the command line makes of `pos …`."""
    parser = argparse.ArgumentParser()
    pos.add_arguments(parser.add_subparsers(dest="command", required=True))
    return parser.parse_args(["pos", *arguments])


@dataclass
class Counter:
    """One POS at one shop counter. `answers` are what the clerk types, in order."""

    folder: Path
    dial: Dial
    answers: deque[str] = field(default_factory=deque)
    pin: str | None = None
    new_pin: str | None = None
    reset_code: str | None = None
    language: str = "en"
    questions: list[tuple[str, bool]] = field(default_factory=list)
    paper: io.StringIO = field(default_factory=io.StringIO)
    voice: io.StringIO = field(default_factory=io.StringIO)
    starts: int = 0

    async def _ask(self, question: str, hidden: bool) -> str:
        await trio.lowlevel.checkpoint()
        self.questions.append((question, hidden))
        if not self.answers:
            raise EOFError
        return self.answers.popleft()

    def desk(self, *, asked: bool = True) -> Desk:
        self.starts += 1
        return Desk(
            device=self.folder,
            texts=Texts(self.language),
            random=Entropy(self.starts * 1000),
            now_ms=lambda: NOW_MS,
            dial=self.dial,
            paper=Console(file=self.paper, width=120, highlight=False, markup=False),
            voice=Console(file=self.voice, width=120, highlight=False, markup=False),
            ask=self._ask if asked else None,
            pin=self.pin,
            new_pin=self.new_pin,
            reset_code=self.reset_code,
        )

    async def command(self, *arguments: str) -> int:
        """Run `pos …`; the clerk is asked only when answers are laid out."""
        return await run_command(parse(*arguments), self.desk(asked=bool(self.answers)))

    async def json(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """(exit code, the one line)"""
        before = len(self.paper.getvalue())
        code = await self.command(*arguments, "--json")
        (line,) = self.paper.getvalue()[before:].splitlines()
        found = json.loads(line)
        assert isinstance(found, dict)
        return code, found

    async def screen(self, *answers: str) -> int:
        self.answers.extend(answers)
        return await show(self.desk())


def undone(peer: Peer) -> set[bytes]:
    """The txids that the peer's books have taken back."""
    return {txid for txid, row in peer.books.rows.items() if row.undone}


def create_counter(peer: Peer, folder: Path, *, enrolled: bool = True, **fields: Any) -> Counter:
    """A counter whose line leads to the peer."""

    async def dial(host: str, port: int) -> trio.abc.Stream:
        return await peer.connect()

    if enrolled:
        create_identity().save(folder)
    return Counter(folder, dial, **fields)
