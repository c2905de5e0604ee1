"""The main scene of the bench, and what all scenes make their numbers with.

64 terminals debit as fast as they are answered, each with one request in flight; in turns with them pgbench
does the same debits one by one inside PostgreSQL. Latency in a closed loop is from sending to answer. At a
tenth of the rate the requests are sent by the clock, whether or not the server keeps up, and each is
measured from when it was due: a pause of the server is seen by all who would have come in it.
"""

import platform
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scripts.bench_baseline import Baseline
from scripts.bench_ground import Ground, Options, Round, Source, open_ground, say
from scripts.bench_server import RunningServer
from scripts.bench_terminals import percentile

__all__ = ["costs", "interleaved", "latency_ms", "main_scene", "median_ratio", "setting", "stand_idle"]

IDLE = 500  # terminals by which memory of a session and cost of a login are known
IDLE_QUICK = 200


def main_scene(folder: Path, options: Options) -> dict[str, Any]:
    """The server against pgbench on the same tables, and what a debit costs whom."""
    idle = IDLE_QUICK if options.quick else IDLE
    with open_ground(folder, options) as ground:
        world = ground.populate(terminals=options.terminals, idle=idle)
        with ground.server() as server, ground.load(server, world.keys, world.cards) as source:
            baseline = Baseline(ground.postgres, len(world.cards), terminals=options.terminals)
            baseline.prepare()
            served, plain = interleaved(
                options,
                lambda: ground.measure(source, options.seconds),
                lambda: baseline.run(options.seconds, options.terminals),
            )
            per_second = statistics.median(each.per_second for each in served)
            say(f"a tenth: {per_second / 10:.0f} debits a second …")
            tenth = ground.measure(source, options.seconds, rate=per_second / 10)
            standing = stand_idle(ground, server, world.idle_keys)
        return {
            "debits_per_second": round(per_second),
            "baseline_per_second": round(statistics.median(each.per_second for each in plain)),
            "ratio": median_ratio([each.per_second for each in served], [each.per_second for each in plain]),
            "p50_ms": latency_ms(served, 0.5),
            "p99_ms": latency_ms(served, 0.99),
            "p99_ms_at_a_tenth": latency_ms([tenth], 0.99),
            **costs(served),
            **standing,
            **ground.verdict(),
            **setting(options, source),
        }


def interleaved(
    options: Options, first: Callable[[], Any], second: Callable[[], Any]
) -> tuple[list[Any], list[Any]]:
    """Both, in turns: what else the machine does meanwhile meets both."""
    ones, others = [], []
    for turn in range(options.turns):
        ones.append(first())
        others.append(second())
        say(
            f"round {turn + 1} of {options.turns}: {ones[-1].per_second:,.0f} and "
            f"{others[-1].per_second:,.0f} debits a second"
        )
    return ones, others


def median_ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of pairs."""
    return round(statistics.median(one / other for one, other in zip(ones, others, strict=True)), 2)


def latency_ms(rounds: Sequence[Round], share: float) -> float:
    """The latency that `share` of all debits of these rounds do not exceed."""
    return round(percentile([each for one in rounds for each in one.answers.latencies_us], share) / 1000, 2)


def costs(rounds: Sequence[Round]) -> dict[str, Any]:
    """What a debit costs, in µs of a processor, and how large batches are."""
    batches = sum(each.batches for each in rounds)
    trips = [each.round_trips for each in rounds if each.round_trips is not None]
    debits = sum(each.answers.debits for each in rounds)
    return {
        "server_cpu_us_per_debit": round(sum(each.server_cpu_s for each in rounds) / debits * 1e6),
        "database_cpu_us_per_debit": round(sum(each.database_cpu_s for each in rounds) / debits * 1e6),
        "load_cpu_us_per_debit": round(sum(each.answers.cpu_s for each in rounds) / debits * 1e6),
        "round_trips_per_batch": round(sum(trips) / batches, 2) if trips and batches else None,
        "mean_batch": round(sum(each.postings for each in rounds) / batches, 1) if batches else None,
    }


def stand_idle(ground: Ground, server: RunningServer, keys: Sequence[str]) -> dict[str, Any]:
    """What terminals cost that log in, while nothing else happens, and say nothing."""
    say(f"{len(keys)} terminals log in …")
    with ground.crowd(server, keys) as crowd:
        cpu, memory = server.cpu_s(), server.resident_bytes()
        crowd.connect()
        count = len(keys)
        return {
            "bytes_per_idle_session": (server.resident_bytes() - memory) // count,
            "handshake_cpu_ms": round((server.cpu_s() - cpu) / count * 1000, 2),
        }


def setting(options: Options, source: Source) -> dict[str, Any]:
    """What the numbers were measured with."""
    return {
        "terminals": options.terminals,
        "workers": options.workers,
        "load": source.kind,
        "python": platform.python_version(),
        "seconds": options.seconds,
    }
