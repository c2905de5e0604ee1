"""The load of the bench: emulated terminals in a process of their own, one request in flight each.

Reads one JSON object from standard input (where to connect, keys, cards, how long), writes one to
standard output. Real handshakes and frames; no rules of a terminal, for they cost what is measured.
"""

import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import trio

from protocol.messages import Login, Redeem, Reply, Request
from protocol.noise import KeyPair
from protocol.session import TerminalSession

READ_BYTES = 8_192


@dataclass
class Tally:
    """What the terminals saw: seconds per debit, txids that were acknowledged, codes of the others."""

    seconds: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    other: dict[int, int] = field(default_factory=dict)


class Bare:
    """A logged-in socket that asks one thing at a time."""

    def __init__(self, stream: trio.SocketStream, session: TerminalSession) -> None:
        self._stream = stream
        self._session = session

    @classmethod
    async def open(cls, plan: dict[str, Any], private_key: str) -> "Bare":
        session = TerminalSession(
            static=KeyPair.from_private(bytes.fromhex(private_key)),
            ephemeral=KeyPair.from_private(os.urandom(32)),
            server_key=bytes.fromhex(plan["server_key"]),
            server_key_id=plan["server_key_id"],
            hello=Login(**_envelope(), software="bench", last_stan=0),
        )
        stream = await trio.open_tcp_stream(plan["host"], plan["port"])
        await stream.send_all(session.start())
        bare = cls(stream, session)
        await bare._reply()
        return bare

    async def ask(self, message: Request) -> Reply:
        await self._stream.send_all(self._session.send(message))
        return await self._reply()

    async def _reply(self) -> Reply:
        while True:
            data = await self._stream.receive_some(READ_BYTES)
            if not data:
                raise EOFError("the server closed the connection")
            messages = self._session.receive_data(data)
            pending = self._session.data_to_send()
            if pending:
                await self._stream.send_all(pending)
            if messages:
                (reply,) = messages
                assert isinstance(reply, Reply)
                return reply


def _envelope() -> dict[str, Any]:
    return {"id": os.urandom(16), "stan": 1, "batch": 1, "at": int(time.time() * 1000)}


async def _spend(bare: Bare, cards: list[list[str]], until: float, tally: Tally, place: int) -> None:
    turn = place
    while trio.current_time() < until:
        payload, pin = cards[turn % len(cards)]
        turn += 7
        message = Redeem(**_envelope(), credential=payload, pin=pin, service="wash")
        began = time.perf_counter()
        reply = await bare.ask(message)
        tally.seconds.append(time.perf_counter() - began)
        if reply.code == 0:
            tally.acknowledged.append(message.id.hex())
        else:
            tally.other[reply.code] = tally.other.get(reply.code, 0) + 1


async def _run(plan: dict[str, Any]) -> dict[str, Any]:
    tally = Tally()
    bares = [await Bare.open(plan, key) for key in plan["keys"]]
    print("ready", flush=True)
    if plan["seconds"] == 0:
        await trio.to_thread.run_sync(sys.stdin.readline)
        return {}
    cpu = time.process_time()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for place, bare in enumerate(bares):
            nursery.start_soon(_spend, bare, plan["cards"], began + plan["seconds"], tally, place * 131)
    return {
        "elapsed_s": trio.current_time() - began,
        "cpu_s": time.process_time() - cpu,
        "seconds": tally.seconds,
        "acknowledged": tally.acknowledged,
        "other": tally.other,
    }


if __name__ == "__main__":
    print(json.dumps(trio.run(_run, json.loads(sys.stdin.readline()))), flush=True)
