"""The load of the bench: emulated terminals in a process of their own, one request in flight each.

Reads one JSON object from standard input (where to connect, keys, cards, how long), writes one to
standard output. Real handshakes and frames; no rules of a terminal, for they cost what is measured.
"""

import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import trio

from protocol.messages import Redeem
from protocol.noise import KeyPair
from scripts.bare_terminal import BareTerminal, envelope


@dataclass
class Tally:
    """What the terminals saw: seconds per debit, txids that were acknowledged, codes of the others."""

    seconds: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    other: dict[int, int] = field(default_factory=dict)


async def _spend(bare: BareTerminal, cards: list[list[str]], until: float, tally: Tally, place: int) -> None:
    turn = place
    while trio.current_time() < until:
        payload, pin = cards[turn % len(cards)]
        turn += 7
        message = Redeem(**envelope(), credential=payload, pin=pin, service="wash")
        began = time.perf_counter()
        reply = await bare.ask(message)
        tally.seconds.append(time.perf_counter() - began)
        if reply.code == 0:
            tally.acknowledged.append(message.id.hex())
        else:
            tally.other[reply.code] = tally.other.get(reply.code, 0) + 1


async def _open(plan: dict[str, Any], private_key: str) -> BareTerminal:
    return await BareTerminal.open(
        plan["host"],
        plan["port"],
        server_key=bytes.fromhex(plan["server_key"]),
        server_key_id=plan["server_key_id"],
        key=KeyPair.from_private(bytes.fromhex(private_key)),
    )


async def _run(plan: dict[str, Any]) -> dict[str, Any]:
    tally = Tally()
    bares = [await _open(plan, key) for key in plan["keys"]]
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
