"""The terminals of scripts.chaos: each repeats a debit under its id until it knows what became of it."""

import threading
from dataclasses import dataclass, field

import trio

from protocol.errors import ProtocolError
from protocol.messages import Redeem
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
    """What the terminals learned. Written by their thread, read by the one who kills."""

    acknowledged: list[bytes] = field(default_factory=list)
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
    connection: BareTerminal | None = None
    while not tally.enough.is_set():
        payload, pin = aim.cards[turn % len(aim.cards)]
        turn += 7
        message = Redeem(**envelope(), credential=payload, pin=pin, service="wash")
        code = NOT_RECORDED
        while code == NOT_RECORDED:
            try:
                with trio.fail_after(ANSWER_SECONDS):
                    connection = connection or await _connect(aim, key)
                    code = (await connection.ask(message)).code
            except _LOST:
                if connection is not None:
                    await trio.aclose_forcefully(connection.stream)
                connection = None
            if code == NOT_RECORDED:
                tally.repeats += 1
                await trio.sleep(PAUSE_SECONDS)
        if code == 0:
            tally.acknowledged.append(message.id)
        else:
            tally.refused.append(code)
    if connection is not None:
        await trio.aclose_forcefully(connection.stream)


async def _connect(aim: Aim, key: KeyPair) -> BareTerminal:
    return await BareTerminal.open(
        "127.0.0.1", aim.port, server_key=aim.server_key, server_key_id=aim.server_key_id, key=key
    )
