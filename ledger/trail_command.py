"""The command `verify-trail`: follows every tenant's trail and says where the first broken line is."""

import argparse
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from ledger.database import Database
from ledger.trail_check import HeadsUnreadable, check_trails, read_heads, write_heads

__all__ = ["add_command"]


def add_command(commands: Any) -> None:
    """Add `verify-trail` to the subparsers of `python -m ledger`."""
    add = commands.add_parser(
        "verify-trail", help="follow every tenant's audit trail and name the first broken line (DATABASE_URL)"
    )
    add.add_argument(
        "--heads",
        metavar="FILE",
        type=Path,
        help="note where each trail ends, and check what was noted before; keep it away from the database",
    )
    add.set_defaults(act=_verify)


def _verify(options: argparse.Namespace, database: Database, now: datetime) -> int:
    """0: every trail is as it was written. 1: one is not. 2: the file of heads cannot be used."""
    try:
        noted = {} if options.heads is None else read_heads(options.heads)
        checked = check_trails(database, noted)
        faults = [each.fault for each in checked if each.fault is not None]
        for fault in faults:
            print(f"BROKEN: trail of tenant {fault.tenant_id}, line {fault.number}: {fault.fault}.")
        if options.heads is not None and not faults:
            write_heads(options.heads, noted | {each.tenant_id: each.end for each in checked})
    except HeadsUnreadable as error:
        print(error, file=sys.stderr)
        return 2
    lines = sum(each.end.number for each in checked)
    print(f"{len(checked) - len(faults)} of {len(checked)} trails hold, {lines} lines in all.")
    return 1 if faults else 0
