"""What an operator runs by hand or from cron: `python -m ledger COMMAND`; --help lists them.

The one place of this package that reads the environment and the clock.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

from ledger import businessday, first_operator, terminals
from ledger.audit import INVARIANTS, breaches
from ledger.books import NoOpenDay
from ledger.businessday import Calendar, ClockWrong, DayBusy, begins_at, date_at, read_calendar
from ledger.database import Database, DatabaseAway, DatabaseUnfit, Scope, migrate
from ledger.keyring import Keyring, KeyringError, rotate
from ledger.sweep import sweep
from ledger.trail_command import add_command as add_verify_trail

__all__ = ["main"]

SITE = "tessera_site"  # the role that may change the calendar and make the operator


def main(
    arguments: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> int:
    """0: done, and all holds. 1: it does not, or cannot be done now. 2: no usable database or setting."""
    options = _parser().parse_args(arguments)
    given = os.environ if environment is None else environment
    try:
        if options.command == "keys":
            return _keys(options, Path(given.get("TESSERA_SECRETS") or "var/secrets"))
        if options.command == "migrate":
            return _migrate(_setting(given, "DATABASE_OWNER_URL"))
        changes = options.command == first_operator.COMMAND or (
            options.command == "calendar" and (options.time_zone or options.cut_off) is not None
        )
        site_url = given.get("DATABASE_SITE_URL") if changes else None
        with closing(Database(site_url or _setting(given, "DATABASE_URL"), pool_size=1)) as database:
            database.check(SITE if changes else None)
            act: Callable[[argparse.Namespace, Database, datetime], int] = options.act
            return act(options, database, now())
    except (DatabaseUnfit, DatabaseAway, KeyringError, _Unset) as error:
        print(error, file=sys.stderr)
        return 2
    except (DayBusy, ClockWrong, NoOpenDay) as error:
        print(f"Not now: {error}.", file=sys.stderr)
        return 1


class _Unset(Exception):
    """A setting that is needed is not there."""


def _setting(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise _Unset(f"{name} is not set: postgresql://role:password@host/name")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ledger", description="Keep the books' database.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="bring the schema up to date (DATABASE_OWNER_URL)")
    keys = commands.add_parser(
        "keys", help="make the key files, once, or rotate the server's (TESSERA_SECRETS)"
    )
    keys.add_argument("what", nargs="?", choices=["make", "rotate"], default="make")
    add = commands.add_parser("invariants", help="check that the books are right (DATABASE_URL)")
    add.set_defaults(act=_invariants)
    add = commands.add_parser("day", help="show the business date, or open the next by hand (DATABASE_URL)")
    add.add_argument("what", nargs="?", choices=["show", "next"], default="show")
    add.set_defaults(act=_day)
    add = commands.add_parser(
        "calendar", help="show when the date turns, or change it (DATABASE_SITE_URL, or DATABASE_URL)"
    )
    add.add_argument("--time-zone", metavar="ZONE", type=_zone, help="such as Asia/Shanghai")
    add.add_argument(
        "--cut-off", metavar="HH:MM", type=_time_of_day, help="local time at which the date turns"
    )
    add.set_defaults(act=_calendar)
    add = commands.add_parser("sweep", help="end holds and book points whose time is over (DATABASE_URL)")
    add.set_defaults(act=_sweep)
    first_operator.add_to(commands)
    add = commands.add_parser("terminal", help="revoke a terminal, or ask it for a new key (DATABASE_URL)")
    add.add_argument("what", choices=["revoke", "change-key"])
    add.add_argument("number", type=int, help="the terminal's number")
    add.set_defaults(act=_terminal)
    add_verify_trail(commands)
    return parser


def _time_of_day(written: str) -> time:
    if re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", written) is None:
        raise argparse.ArgumentTypeError(f"{written!r} is not a time of day such as 00:00 or 20:30")
    return time.fromisoformat(written)


def _zone(written: str) -> str:
    try:
        return Calendar(written, time(0)).time_zone
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


# ---- keys and schema ----------------------------------------------------------------------------


def _keys(options: argparse.Namespace, folder: Path) -> int:
    """Make all keys in a folder that has none. Those that exist are never touched: old cards need them."""
    if options.what == "rotate":
        keyring = rotate(folder, os.urandom)
        print(
            f"The server's key is now number {keyring.current_key_id}, the next is {keyring.next_key_id}:"
            f" back up server.key and server-next.key in {folder}."
            " Running servers take them over by themselves."
        )
        return 0
    fresh = not any(folder.glob("*.key"))
    if fresh:
        Keyring.create(folder, os.urandom)
    Keyring.load(folder)
    print(
        f"Made the keys in {folder}: back them up, apart from the database."
        if fresh
        else "All keys are there."
    )
    return 0


def _migrate(url: str) -> int:
    migrate(url)
    print("The schema is up to date.")
    return 0


# ---- the books ----------------------------------------------------------------------------------


def _invariants(options: argparse.Namespace, database: Database, now: datetime) -> int:
    with database.transaction(Scope.everything()) as connection:
        broken = breaches(connection)
    for breach in broken:
        print(f"BROKEN: {breach.invariant}")
        for row in breach.rows:
            print(f"  {row}")
    print(f"{len(INVARIANTS) - len(broken)} of {len(INVARIANTS)} invariants hold.")
    return 1 if broken else 0


def _sweep(options: argparse.Namespace, database: Database, now: datetime) -> int:
    accounts = holds = points = 0
    while (swept := sweep(database, None, uuid4)).accounts:  # by the database's clock
        accounts, holds, points = accounts + swept.accounts, holds + swept.holds, points + swept.points
    print(f"Accounts changed: {accounts}. Holds ended: {holds}. Points expired: {points}.")
    return 0


# ---- the business day ---------------------------------------------------------------------------


def _day(options: argparse.Namespace, database: Database, now: datetime) -> int:
    with database.transaction(Scope.everything()) as connection:
        calendar, present = read_calendar(connection), businessday.business_date(connection)
    due = date_at(now, calendar)
    if options.what == "show":
        print("No business day is open." if present is None else f"{present} is open.")
        print(f"By the calendar it is {due}; {_turn(calendar, now)}.")
        return 0
    # What the calendar opens anyhow is not opened day by day.
    wanted = due if present is None else max(present + timedelta(days=1), due)
    try:
        with database.transaction(Scope.everything()) as connection:
            opened = businessday.advance(connection, wanted, None)
    except ClockWrong as error:
        raise ClockWrong(
            f"{wanted} cannot be opened yet; by hand a day is opened at most one ahead of the calendar's"
        ) from error
    print(f"{opened} is open." + ("" if present is None else f" Nothing is booked on {present} any more."))
    return 0


def _calendar(options: argparse.Namespace, database: Database, now: datetime) -> int:
    with database.transaction(Scope.everything()) as connection:
        calendar = read_calendar(connection)
        asked = Calendar(
            calendar.time_zone if options.time_zone is None else options.time_zone,
            calendar.cut_off if options.cut_off is None else options.cut_off,
        )
        if asked != calendar:
            businessday.set_calendar(connection, asked)
            calendar = asked
    print(f"The date turns at {calendar.cut_off:%H:%M} {calendar.time_zone}; {_turn(calendar, now)}.")
    return 0


def _turn(calendar: Calendar, now: datetime) -> str:
    """When the next date begins."""
    following = date_at(now, calendar) + timedelta(days=1)
    moment = begins_at(following, calendar).astimezone(ZoneInfo(calendar.time_zone))
    return f"{following} begins on {moment:%Y-%m-%d} at {moment:%H:%M} {calendar.time_zone}"


# ---- terminals ----------------------------------------------------------------------------------


def _terminal(options: argparse.Namespace, database: Database, now: datetime) -> int:
    revoking = options.what == "revoke"
    with database.transaction(Scope.everything()) as connection:
        act = terminals.revoke if revoking else terminals.ask_key_change
        done = act(connection, options.number)
    if not done:
        print(f"There is no terminal {options.number}, or it was revoked before.", file=sys.stderr)
        return 1
    print(
        f"Terminal {options.number} is revoked; a session that is open ends now."
        if revoking
        else f"Terminal {options.number} is asked for a new key, now or when it logs in."
    )
    return 0
