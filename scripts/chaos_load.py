"""The terminals of scripts.chaos: each repeats a request under its id until it knows what became of it.

What they do is a mix: debits, holds that are captured in part or released, refunds, reversals.
"""

import threading
from dataclasses import dataclass, field

import trio

from protocol.errors import ProtocolError
from protocol.messages import Capture, Hold, Redeem, Refund, Release, Request, ReversalAdvice
from protocol.noise import KeyPair
from scripts.bare_terminal import BareTerminal, envelope

__all__ = ["Aim", "Tally", "spend_all"]

ANSWER_SECONDS = 10.0  # without one the connection is taken for dead
PAUSE_SECONDS = 0.02  # before another attempt; a real terminal waits longer
NOT_RECORDED = 1811


@dataclass(frozen=True)
class Aim:
    """Where the server is, how it is known, and what to spend: payloads with their PINs."""

    port: int
    server_key: bytes
    server_key_id: int
    cards: list[list[str]]


@dataclass
class Tally:
    """What the terminals learned. Written by their thread, read by the one who kills.

    `spent`: points that members must have lost by what was acknowledged.
    """

    acknowledged: list[bytes] = field(default_factory=list)
    spent: int = 0
    refused: list[int] = field(default_factory=list)
    repeats: int = 0
    enough: threading.Event = field(default_factory=threading.Event)


_LOST = (
    OSError,
    EOFError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
    ProtocolError,
)


async def spend_all(aim: Aim, keys: list[str], tally: Tally) -> None:
    """Spend with one terminal per key until there has been enough; then finish the debits under way."""
    async with trio.open_nursery() as nursery:
        for place, key in enumerate(keys):
            nursery.start_soon(_spend, aim, KeyPair.from_private(bytes.fromhex(key)), tally, place)


async def _spend(aim: Aim, key: KeyPair, tally: Tally, place: int) -> None:
    turn = place * 131
    line = _Line(aim, key, tally)
    while not tally.enough.is_set():
        payload, pin = aim.cards[turn % len(aim.cards)]
        turn += 7
        await _MIX[turn // 7 % len(_MIX)](line, payload, pin)
    await line.drop()


class _Line:
    """One terminal's connection, made anew as often as it takes."""

    def __init__(self, aim: Aim, key: KeyPair, tally: Tally) -> None:
        self._aim = aim
        self._key = key
        self.tally = tally
        self._connection: BareTerminal | None = None

    async def settle(self, message: Request) -> bool:
        """Send until there is an outcome; whether it was approved. Then it is acknowledged, for ever."""
        while True:
            code = NOT_RECORDED
            try:
                with trio.fail_after(ANSWER_SECONDS):
                    self._connection = self._connection or await _connect(self._aim, self._key)
                    code = (await self._connection.ask(message)).code
            except _LOST:
                await self.drop()
            if code == 0:
                self.tally.acknowledged.append(message.id)
                return True
            if code != NOT_RECORDED:
                self.tally.refused.append(code)
                return False
            self.tally.repeats += 1
            await trio.sleep(PAUSE_SECONDS)

    async def drop(self) -> None:
        if self._connection is not None:
            await trio.aclose_forcefully(self._connection.stream)
        self._connection = None


PRICE = 12  # of a wash in scripts.bench_world
BACK = 5  # of it, in a refund


async def _debit(line: _Line, card: str, pin: str) -> None:
    await line.settle(Redeem(**envelope(), credential=card, pin=pin, service="wash"))
    line.tally.spent += PRICE


async def _capture(line: _Line, card: str, pin: str) -> None:
    hold = Hold(**envelope(), credential=card, pin=pin, service="wash", quantity=3)
    await line.settle(hold)
    await line.settle(Capture(**envelope(), hold=hold.id, credential=card, amount=2 * PRICE))
    line.tally.spent += 2 * PRICE


async def _release(line: _Line, card: str, pin: str) -> None:
    hold = Hold(**envelope(), credential=card, pin=pin, service="wash")
    await line.settle(hold)
    await line.settle(Release(**envelope(), hold=hold.id, credential=card))


async def _refund(line: _Line, card: str, pin: str) -> None:
    redeem = Redeem(**envelope(), credential=card, pin=pin, service="wash")
    await line.settle(redeem)
    await line.settle(Refund(**envelope(), original=redeem.id, credential=card, amount=BACK))
    line.tally.spent += PRICE - BACK


async def _reverse(line: _Line, card: str, pin: str) -> None:
    redeem = Redeem(**envelope(), credential=card, pin=pin, service="wash")
    await line.settle(redeem)
    await line.settle(ReversalAdvice(**envelope(), original=redeem.id, credential=card, reason="cancelled"))


_MIX = (_debit, _debit, _capture, _release, _refund, _reverse, _debit)


async def _connect(aim: Aim, key: KeyPair) -> BareTerminal:
    return await BareTerminal.open(
        "127.0.0.1", aim.port, server_key=aim.server_key, server_key_id=aim.server_key_id, key=key
    )
