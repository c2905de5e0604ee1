"""How many debits a second, here and now, through encrypted sockets; and what they cost.

Everything is durable (fsync, synchronous_commit), in a throw-away folder with a PostgreSQL of its own. At
the end the invariants are asked, and every debit that was acknowledged must be found, once: otherwise the
exit status is 1. Progress goes to standard error, the result to standard output.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ledger.embedded import EmbeddedPostgresError
from scripts.bench_ground import Options
from scripts.bench_scenes import main_scene
from scripts.bench_scenes_hot import hot_account_scene, hot_merchant_scene
from scripts.bench_scenes_size import grown_scene, workers_scene
from scripts.bench_scenes_sockets import idle_scene, reconnect_scene
from scripts.bench_terminals import BenchFailed

__all__ = ["SCENES", "is_right", "main", "table"]

Scene = Callable[[Path, Options], dict[str, Any]]

SCENES: dict[str, Scene] = {
    "main": main_scene,
    "idle": idle_scene,
    "reconnect": reconnect_scene,
    "hot-merchant": hot_merchant_scene,
    "hot-account": hot_account_scene,
    "grown": grown_scene,
    "workers": workers_scene,
}

FAULTS = ("lost", "doubled", "broken_invariants", "wrong_balance")


def main(arguments: list[str] | None = None) -> int:
    """0 when the books are right, 1 when they are not or it could not go on, 130 when it was stopped."""
    scene, options, as_json = _chosen(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="tessera-bench-") as name:
            folder = Path(name)
            folder.chmod(0o711)
            found = scene(folder, options)
    except (BenchFailed, EmbeddedPostgresError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130
    print(json.dumps(found) if as_json else table(found))
    return 0 if is_right(found) else 1


def is_right(found: dict[str, Any]) -> bool:
    """Whether nothing was lost or doubled and no rule is broken."""
    return not any(found.get(fault) for fault in FAULTS)


def table(found: dict[str, Any]) -> str:
    """A line for each number."""
    width = max(map(len, found)) + 2
    return "\n".join(f"{name:<{width}}{_shown(value):>14}" for name, value in found.items())


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _chosen(arguments: list[str] | None) -> tuple[Scene, Options, bool]:
    parser = argparse.ArgumentParser(
        prog="./scripts/bench",
        description=__doc__,
        epilog="\n".join(
            f"  {name:<14}{(scene.__doc__ or '–').splitlines()[0]}" for name, scene in SCENES.items()
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scene", nargs="?", default="main", choices=SCENES, metavar="SCENE", help="see below")
    parser.add_argument("--quick", action="store_true", help="short rounds and small numbers")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--terminals", type=_count, default=64, help="with one request in flight each (64)")
    parser.add_argument("--workers", type=_count, default=1, help="processes of the server (1)")
    parser.add_argument("--python", action="store_true", help="the load's loop in Python, not in C")
    parser.add_argument("--idle", type=_count, help="idle: sockets that only stand there (10000)")
    parser.add_argument("--accounts", type=_count, help="grown: how many there are (10000000)")
    parser.add_argument("--transactions", type=_count, help="grown: how many there are (50000000)")
    parser.add_argument("--keep", type=Path, help="grown: a folder whose database is kept, or used again")
    given = parser.parse_args(arguments)
    quick: bool = given.quick
    options = Options(
        quick=quick,
        terminals=given.terminals,
        workers=given.workers,
        idle=given.idle or (1_000 if quick else 10_000),
        accounts=given.accounts or (20_000 if quick else 10_000_000),
        transactions=given.transactions or (100_000 if quick else 50_000_000),
        keep=given.keep,
        python=given.python,
    )
    return SCENES[given.scene], options, given.json


def _count(said: str) -> int:
    count = int(said)
    if count < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return count


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends us wants no server left behind
    sys.exit(main())
