"""Scenes with many sockets: thousands that stand idle, and a thousand that come back at once."""

import resource
import statistics
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from scripts.bench_ground import Options, Round, open_ground, say
from scripts.bench_scenes import interleaved, latency_ms, median_ratio, setting, stand_idle
from scripts.bench_terminals import Answers, BenchFailed, percentile

__all__ = ["idle_scene", "raised_limit", "reconnect_scene"]

SPARE_DESCRIPTORS = 500  # what a server needs beside the idle sockets: its terminals, its database, files
PER_PROCESS = 2_500  # idle sockets of one load process

COMING_BACK = 1_000
ALONE = 200  # terminals that log in while nothing else happens


def idle_scene(folder: Path, options: Options) -> dict[str, Any]:
    """What a debit costs while thousands of sockets stand idle, against a server without them."""
    possible = raised_limit(options.idle + SPARE_DESCRIPTORS) - SPARE_DESCRIPTORS
    count = max(0, min(options.idle, possible))
    if count < options.idle:
        say(
            f"A process may open too few files for {options.idle:,} sockets; {count:,} it is. "
            f"Raise the limit (ulimit -n {options.idle + SPARE_DESCRIPTORS}) for all of them."
        )
    if not count:
        raise BenchFailed("A process may open too few files for any idle socket.")
    with open_ground(folder, options) as ground, ExitStack() as stack:
        # Two servers on one database: only one of them has the crowd, and the rounds can take turns.
        world = ground.populate(terminals=2 * options.terminals, idle=count)
        keys = world.keys[: options.terminals], world.keys[options.terminals :]
        crowded, quiet = (stack.enter_context(ground.server()) for _ in range(2))
        here = stack.enter_context(ground.load(crowded, keys[0], world.cards))
        there = stack.enter_context(ground.load(quiet, keys[1], world.cards))
        memory, began = crowded.resident_bytes(), time.monotonic()
        for first in range(0, count, PER_PROCESS):
            some = world.idle_keys[first : first + PER_PROCESS]
            stack.enter_context(ground.crowd(crowded, some)).connect()
            say(f"{first + len(some):,} of {count:,} idle terminals are logged in")
        took = time.monotonic() - began
        memory = (crowded.resident_bytes() - memory) // count
        with_crowd, without = interleaved(
            options,
            lambda: ground.measure(here, options.seconds),
            lambda: ground.measure(there, options.seconds),
        )
        stack.close()
        return {
            "idle_sockets": count,
            "cpu_ratio": median_ratio(*_server_us(with_crowd, without)),
            "server_cpu_us_per_debit_idle": round(statistics.median(one.server_us for one in with_crowd)),
            "server_cpu_us_per_debit": round(statistics.median(one.server_us for one in without)),
            "debits_per_second_idle": round(statistics.median(one.per_second for one in with_crowd)),
            "debits_per_second": round(statistics.median(one.per_second for one in without)),
            "p99_ms_idle": latency_ms(with_crowd, 0.99),
            "p99_ms": latency_ms(without, 0.99),
            "bytes_per_idle_session": memory,
            "login_all_s": round(took, 1),
            **ground.verdict(),
            **setting(options, here),
        }


def _server_us(ones: list[Round], others: list[Round]) -> tuple[list[float], list[float]]:
    return [one.server_us for one in ones], [other.server_us for other in others]


def raised_limit(wanted: int) -> int:
    """How many files a process that is started from here may open: at least `wanted`, if that is allowed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return wanted
    if hard < wanted:
        with suppress(ValueError, OSError):  # root alone may, up to a limit of the system's
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
    return hard


def reconnect_scene(folder: Path, options: Options) -> dict[str, Any]:
    """A thousand terminals come back at once while others go on debiting."""
    seconds = 8 if options.quick else 15
    with open_ground(folder, options) as ground:
        world = ground.populate(terminals=options.terminals, idle=COMING_BACK + ALONE)
        coming, alone = world.idle_keys[:COMING_BACK], world.idle_keys[COMING_BACK:]
        with (
            ground.server() as server,
            ground.load(server, world.keys, world.cards) as source,
            ground.crowd(server, coming, together=COMING_BACK) as crowd,
        ):
            standing = stand_idle(ground, server, alone)
            usual = ground.measure(source, options.seconds)
            before = ground.counters(server)
            say(f"{COMING_BACK:,} terminals come back at once …")
            source.load.start(seconds)
            time.sleep(1)
            began = time.monotonic_ns()
            served = crowd.connect()
            answers = source.load.finish()
            ground.cost(server, before, answers)
        until = began + int(max(served.seconds) * 1e9)
        meanwhile = _between(answers, began, until)
        return {
            "reconnecting": COMING_BACK,
            "all_served_s": round(max(served.seconds), 2),
            "half_served_s": round(percentile(served.seconds, 0.5), 2),
            "turned_away": served.retries,
            "debits_per_second_meanwhile": round(len(meanwhile) / (until - began) * 1e9),
            "p99_ms_meanwhile": round(percentile(meanwhile, 0.99) / 1000, 2) if meanwhile else None,
            "debits_per_second": round(usual.per_second),
            "p99_ms": latency_ms([usual], 0.99),
            **standing,
            **ground.verdict(),
            **setting(options, source),
        }


def _between(answers: Answers, since_ns: int, until_ns: int) -> list[int]:
    """Latencies, in µs, of what was answered between two moments of the clock."""
    first, last = ((moment - answers.began_ns) // 1000 for moment in (since_ns, until_ns))
    return [
        latency
        for end, latency in zip(answers.ends_us, answers.latencies_us, strict=True)
        if first <= end <= last
    ]
