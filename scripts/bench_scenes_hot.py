"""Scenes of hot spots: everybody at one merchant, and everybody on one account."""

import statistics
from pathlib import Path
from typing import Any

import psycopg

from ledger.embedded import SERVER
from scripts.bench_baseline import Baseline, BaselineRound
from scripts.bench_ground import Ground, Options, open_ground, say
from scripts.bench_scenes import costs, interleaved, latency_ms, median_ratio, setting
from scripts.bench_world import POINTS, PRICE

__all__ = ["hot_account_scene", "hot_merchant_scene"]

MERCHANTS = 200
POSTED = "SELECT posted FROM account WHERE slot = %s AND id = %s"
SPENT = (
    "SELECT count(*) FROM transaction WHERE slot = %s AND account_id = %s AND kind = 'redeem' AND code = 0"
)


def hot_merchant_scene(folder: Path, options: Options) -> dict[str, Any]:
    """All debits at one merchant, against the same spread over 200 merchants."""
    with open_ground(folder, options) as ground:
        world = ground.populate(terminals=MERCHANTS, others=MERCHANTS)
        # As many sockets both times, and as many requests in flight: only the merchants differ.
        with (
            ground.server() as server,
            ground.load(server, world.keys, world.cards, at_once=options.terminals) as one,
            ground.load(server, world.spread_keys, world.cards, at_once=options.terminals) as many,
        ):
            hot, spread = interleaved(
                options,
                lambda: ground.measure(one, options.seconds),
                lambda: ground.measure(many, options.seconds),
            )
        return {
            "ratio": median_ratio([each.per_second for each in hot], [each.per_second for each in spread]),
            "debits_per_second_one_merchant": round(statistics.median(each.per_second for each in hot)),
            "debits_per_second_spread": round(statistics.median(each.per_second for each in spread)),
            "p99_ms_one_merchant": latency_ms(hot, 0.99),
            "p99_ms_spread": latency_ms(spread, 0.99),
            "merchants": MERCHANTS,
            "sockets": MERCHANTS,
            **ground.verdict(),
            **setting(options, one),
        }


def hot_account_scene(folder: Path, options: Options) -> dict[str, Any]:
    """64 terminals on one account, against pgbench on it: as many clients, and one alone."""
    with open_ground(folder, options) as ground:
        world = ground.populate(terminals=options.terminals, holders=200)
        cards, account = world.cards[:1], world.accounts[0]
        alone: list[BaselineRound] = []
        with ground.server() as server, ground.load(server, world.keys, cards, shared=True) as source:
            baseline = Baseline(ground.postgres, len(world.cards), terminals=options.terminals)
            baseline.prepare()

            def by_pgbench() -> BaselineRound:
                alone.append(baseline.run(options.seconds, 1, account[1]))
                return baseline.run(options.seconds, options.terminals, account[1])

            served, crowded = interleaved(
                options, lambda: ground.measure(source, options.seconds), by_pgbench
            )
        rates = [each.per_second for each in served]
        best = [max(one.per_second, many.per_second) for one, many in zip(alone, crowded, strict=True)]
        return {
            "debits_per_second": round(statistics.median(rates)),
            "ratio": median_ratio(rates, best),
            "baseline_per_second": round(statistics.median(each.per_second for each in crowded)),
            "baseline_alone_per_second": round(statistics.median(each.per_second for each in alone)),
            "p50_ms": latency_ms(served, 0.5),
            "p99_ms": latency_ms(served, 0.99),
            **costs(served),
            **_balance(ground, account, sum(each.booked for each in alone + crowded)),
            **ground.verdict(),
            **setting(options, source),
        }


def _balance(ground: Ground, account: tuple[int, int], by_baseline: int) -> dict[str, Any]:
    """Whether the account has lost just the points of what was acknowledged and of pgbench's debits."""
    say("the balance …")
    with psycopg.connect(ground.postgres.url(SERVER)) as connection:
        (posted,) = connection.execute(POSTED, account).fetchone() or (0,)
        (spent,) = connection.execute(SPENT, account).fetchone() or (0,)
    wanted = POINTS - PRICE * (len(ground.acknowledged) + by_baseline)
    return {
        "balance": posted,
        "wrong_balance": posted - wanted,
        "debits_of_the_account": spent,
    }
