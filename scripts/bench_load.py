"""The load of the bench: terminals in a process of their own, one request in flight each.

Real handshakes and frames; no rules of a terminal, for they would cost what is measured. `bench_terminals`
talks to it, a line at a time:

    in    the plan, a JSON object: see `Plan`
    out   standing
    in    connect
    out   a JSON object: when each terminal was served, and which loop debits
    in    SECONDS RATE MOST
    out   what came of it, in binary: see `packed_result`
    …

Once all have logged in, this process becomes the program that was made of bench_load.c, when the plan names
one. Otherwise the loop is the one here: it does the same, for more of the processors that the server needs.
"""

import json
import os
import struct
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import trio

from protocol.codec import encode
from protocol.errors import ProtocolError
from protocol.limits import REKEY_INTERVAL
from protocol.messages import Redeem
from protocol.noise import KeyPair
from protocol.session import TerminalSession
from scripts.bare_terminal import BareTerminal, Transport, envelope, new_session
from txserver.line import allow_many_sockets

__all__ = ["HEAD", "OTHER", "RECORD", "Plan", "main", "packed_plan", "packed_result"]

HEAD = struct.Struct("<QQQII")  # began, elapsed and processor time in ns; how many records and others follow
OTHER = struct.Struct("<II")  # code, how often
RECORD = struct.Struct("<II16s")  # when it was answered and how long it took in µs, txid


class LoadFailed(Exception):
    """The load cannot go on; the text is one sentence."""


RETRY_SECONDS = 0.2  # before a terminal that was turned away tries again; a real one waits longer
TRIES = 50


class Plan(TypedDict):
    """What a load process is told.

    `keys`: private keys in hex. `sources`: addresses to connect from, in turn. `cards`: payload and PIN.
    `parts`: of which cards each terminal walks, as (first, how many). `at_once`: how many terminals have a
    request in flight. `together`: how many log in at the same time. `program`: the compiled loop, if any.
    """

    port: int
    server_key: str
    server_key_id: int
    keys: list[str]
    sources: list[str]
    service: str
    cards: list[list[str]]
    parts: list[tuple[int, int]]
    at_once: int
    together: int
    program: str | None


@dataclass
class Served:
    """How logging in went: seconds until each terminal was served, and how often one was turned away."""

    seconds: list[float] = field(default_factory=list)
    retries: int = 0


# ---- logging in ---------------------------------------------------------------------------------


async def _connect_all(plan: Plan, sessions: list[TerminalSession]) -> tuple[list[BareTerminal], Served]:
    served = Served()
    found: dict[int, BareTerminal] = {}
    waiting = iter(range(len(sessions)))
    began = time.monotonic()

    async def connect_some() -> None:
        for place in waiting:
            found[place] = await _connect(plan, sessions, place, served)
            served.seconds.append(time.monotonic() - began)

    async with trio.open_nursery() as nursery:
        for _ in range(min(plan["together"], len(sessions))):
            nursery.start_soon(connect_some)
    return [found[place] for place in range(len(sessions))], served


async def _connect(plan: Plan, sessions: list[TerminalSession], place: int, served: Served) -> BareTerminal:
    source = plan["sources"][place % len(plan["sources"])]
    for _ in range(TRIES):
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", plan["port"], local_address=source)
            return await BareTerminal.log_in(stream, sessions[place])
        except (OSError, EOFError, trio.BrokenResourceError, ProtocolError):
            served.retries += 1
            sessions[place] = _session(plan, plan["keys"][place])
            await trio.sleep(RETRY_SECONDS)
    raise LoadFailed(f"a terminal was turned away {TRIES} times")


def _session(plan: Plan, private_key: str) -> TerminalSession:
    return new_session(
        server_key=bytes.fromhex(plan["server_key"]),
        server_key_id=plan["server_key_id"],
        key=KeyPair.from_private(bytes.fromhex(private_key)),
    )


# ---- the loop in C ------------------------------------------------------------------------------


def packed_plan(
    sockets: Sequence[tuple[int, Transport, tuple[int, int]]],
    messages: Sequence[Redeem],
    *,
    at_once: int,
    rekey_interval: int = REKEY_INTERVAL,
) -> bytes:
    """What bench_load.c reads. `sockets`: descriptor, state, and the first and the number of its messages.

    Little-endian: four numbers of 32 bits; for each socket three, then key and 64-bit counter twice; for each
    message its length, where its txid is in it, and its padded plaintext.
    """
    parts = [struct.pack("<IIII", len(sockets), len(messages), at_once, rekey_interval)]
    for descriptor, state, (first, count) in sockets:
        parts.append(struct.pack("<III", descriptor, first, count))
        parts.append(state.sending_key + state.sending_counter.to_bytes(8, "little"))
        parts.append(state.receiving_key + state.receiving_counter.to_bytes(8, "little"))
    for message in messages:
        plaintext = encode(message)
        if plaintext.count(message.id) != 1:
            raise ValueError("a message does not hold its txid once")
        parts.append(struct.pack("<II", len(plaintext), plaintext.index(message.id)) + plaintext)
    return b"".join(parts)


def _become(plan: Plan, program: str, terminals: list[BareTerminal]) -> None:
    """Go on as the compiled program, which inherits the sockets."""
    sockets = []
    for bare, part in zip(terminals, plan["parts"], strict=True):
        state = bare.transport()
        descriptor = bare.stream.socket.detach()
        os.set_inheritable(descriptor, True)
        sockets.append((descriptor, state, part))
    told = os.memfd_create("plan", 0)
    with open(told, "wb", closefd=False) as file:
        file.write(packed_plan(sockets, _messages(plan), at_once=plan["at_once"]))
    os.lseek(told, 0, os.SEEK_SET)
    os.execv(program, [program, str(told)])


def _messages(plan: Plan) -> list[Redeem]:
    return [
        Redeem(**envelope(), credential=card, pin=pin, service=plan["service"]) for card, pin in plan["cards"]
    ]


# ---- the loop in Python -------------------------------------------------------------------------


@dataclass
class _Spender:
    """A terminal, the cards that it walks, and the place of the next one."""

    bare: BareTerminal
    cards: list[list[str]]
    turn: int = 0

    def message(self, service: str) -> Redeem:
        card, pin = self.cards[self.turn]
        self.turn = (self.turn + 1) % len(self.cards)
        return Redeem(**envelope(), credential=card, pin=pin, service=service)


class _Run:
    """One measurement: as bench_load.c does it."""

    def __init__(
        self, spenders: list[_Spender], service: str, *, seconds: float, rate: float, most: int
    ) -> None:
        self._spenders = spenders
        self._service = service
        self._period = int(1e9 / rate) if rate else 0
        self._most = most
        self._sent = 0
        self._records: list[bytes] = []
        self._others: dict[int, int] = {}
        self._cpu = time.process_time_ns()
        self._began = time.monotonic_ns()
        self._until = self._began + int(seconds * 1e9)

    async def go(self, at_once: int) -> bytes:
        async with trio.open_nursery() as nursery:
            if self._period:
                for place, spender in enumerate(self._spenders):
                    nursery.start_soon(self._paced, place, spender)
            else:
                idle = deque(self._spenders)
                for _ in range(min(at_once or len(idle), len(idle))):
                    nursery.start_soon(self._steady, idle)
        elapsed = time.monotonic_ns() - self._began
        cpu = time.process_time_ns() - self._cpu
        return packed_result(self._began, elapsed, cpu, self._others, self._records)

    async def _steady(self, idle: deque[_Spender]) -> None:
        while time.monotonic_ns() < self._until and not (self._most and self._sent >= self._most):
            spender = idle.popleft()
            await self._one(spender, time.monotonic_ns())
            idle.append(spender)

    async def _paced(self, place: int, spender: _Spender) -> None:
        number = place
        while not (self._most and number >= self._most):
            due = self._began + number * self._period
            if due >= self._until:
                return
            await trio.sleep(max(0.0, (due - time.monotonic_ns()) / 1e9))
            await self._one(spender, due)
            number += len(self._spenders)

    async def _one(self, spender: _Spender, since: int) -> None:
        self._sent += 1
        message = spender.message(self._service)
        try:
            reply = await spender.bare.ask(message)
        except (EOFError, trio.BrokenResourceError) as error:
            raise LoadFailed("the server has closed a connection") from error
        now = time.monotonic_ns()
        if reply.id != message.id:
            raise LoadFailed("a reply is not the one to the request in flight")
        if reply.code == 0:
            self._records.append(RECORD.pack((now - self._began) // 1000, (now - since) // 1000, message.id))
        else:
            self._others[reply.code] = self._others.get(reply.code, 0) + 1


def packed_result(
    began: int, elapsed: int, cpu: int, others: dict[int, int], records: Sequence[bytes]
) -> bytes:
    """What a run prints: HEAD, then an OTHER for each code that is not 0, then a RECORD for each debit."""
    head = HEAD.pack(began, elapsed, cpu, len(records), len(others))
    return head + b"".join(OTHER.pack(*other) for other in others.items()) + b"".join(records)


async def _serve(plan: Plan, terminals: list[BareTerminal]) -> None:
    """Run what is asked for until standard input ends. Terminals without cards only stay logged in."""
    spenders = [
        _Spender(bare, plan["cards"][first : first + count])
        for bare, (first, count) in zip(terminals, plan["parts"], strict=False)
    ]
    while line := await trio.to_thread.run_sync(sys.stdin.readline):
        seconds, rate, most = line.split()
        run = _Run(spenders, plan["service"], seconds=float(seconds), rate=float(rate), most=int(most))
        sys.stdout.buffer.write(await run.go(plan["at_once"]))
        sys.stdout.buffer.flush()


async def _log_in_and_serve(plan: Plan, sessions: list[TerminalSession]) -> list[BareTerminal]:
    terminals, served = await _connect_all(plan, sessions)
    program = plan["program"] if plan["cards"] else None
    told = {"load": "c" if program else "python", "seconds": served.seconds, "retries": served.retries}
    print(json.dumps(told), flush=True)
    if program is None:
        await _serve(plan, terminals)
    return terminals


def main() -> None:
    allow_many_sockets()
    plan: Plan = json.loads(sys.stdin.readline())
    sessions = [_session(plan, key) for key in plan["keys"]]
    print("standing", flush=True)
    if not sys.stdin.readline():
        return
    try:
        terminals = trio.run(_log_in_and_serve, plan, sessions)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if not isinstance(error, LoadFailed):
            raise
        sys.exit(f"The load of the bench ends: {error}.")
    if plan["program"] and plan["cards"]:
        _become(plan, plan["program"], terminals)


if __name__ == "__main__":
    main()
