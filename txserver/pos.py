"""`python -m txserver pos`: an emulated POS terminal, for scripts (subcommands) and for people (without one).

Only the words of the command line are here, so that the server, which shares it, does not carry a
screen and a picture reader around. The work is in pos_commands and pos_screen.
"""

import argparse
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

__all__ = ["add_arguments", "main"]

DEVICE = Path("var/pos")
PIN_VARIABLE = "TESSERA_PIN"
_NOTHING: Mapping[str, str] = MappingProxyType({})


def add_arguments(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the `pos` command and its subcommands to a command line."""
    pos = subparsers.add_parser(
        "pos",
        help="an emulated POS terminal; without a subcommand, a screen",
        description="An emulated POS terminal. Without a subcommand it opens a screen. "
        "Exit code: 0 approved, 1 refused, 2 a fault or wrong usage.",
    )
    pos.add_argument("--device", type=Path, default=DEVICE, help=f"the device's folder (default: {DEVICE})")
    pos.add_argument("--language", choices=("en", "zh"), default="en", help="of screen and receipts")
    commands = pos.add_subparsers(dest="pos_command", metavar="SUBCOMMAND")
    everywhere = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    everywhere.add_argument("--device", type=Path, help="the device's folder")
    everywhere.add_argument("--language", choices=("en", "zh"), help="of the receipt")
    everywhere.add_argument("--json", action="store_true", help="print one line of JSON, not a receipt")
    card = argparse.ArgumentParser(add_help=False)
    shown = card.add_mutually_exclusive_group(required=True)
    shown.add_argument("--card", metavar="PAYLOAD", help="what the card's QR code says")
    shown.add_argument("--card-image", metavar="FILE", help="a PNG or JPEG with the card's QR code")
    card.add_argument("--chip", metavar="HEX", help="UID of the chip that the card was read from")
    card.add_argument(
        "--pin", help=f"others can see it in the list of processes; better: {PIN_VARIABLE} or the prompt"
    )

    enrol = commands.add_parser("enrol", parents=[everywhere], help="become a terminal with a one-time code")
    enrol.add_argument("code", metavar="CODE", help="the code from the site, or the path of its picture")
    enrol.add_argument("--replace", action="store_true", help="also when this device is a terminal already")
    redeem = commands.add_parser("redeem", parents=[everywhere, card], help="spend points for a service")
    redeem.add_argument("--service", required=True, metavar="CODE", help="see `pos catalogue`")
    much = redeem.add_mutually_exclusive_group()
    much.add_argument("--quantity", type=int, metavar="N", help="units at the agreed price (default: 1)")
    much.add_argument("--amount", type=int, metavar="POINTS", help="for a service with an open amount")
    redeem.add_argument("--reference", help="the shop's own order number")
    redeem.add_argument("--txid", help="use this one; a known one repeats that purchase")
    commands.add_parser("balance", parents=[everywhere, card], help="what the card can spend")
    history = commands.add_parser("history", parents=[everywhere, card], help="what happened on the account")
    history.add_argument("--since", metavar="YYYY-MM-DD", help="first business date")
    history.add_argument("--until", metavar="YYYY-MM-DD", help="last business date")
    history.add_argument("--cursor", help="the next page, as the page before names it")
    reverse = commands.add_parser("reverse", parents=[everywhere], help="take a purchase back")
    reverse.add_argument("txid", metavar="TXID|last")
    status = commands.add_parser("status", parents=[everywhere], help="what the server has recorded")
    status.add_argument("txid", metavar="TXID|last", nargs="?", default="last")
    commands.add_parser("catalogue", parents=[everywhere], help="the services sold here")
    commands.add_parser("journal", parents=[everywhere], help="this terminal's own record; needs no server")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main(
    args: argparse.Namespace,
    environment: Mapping[str, str] = _NOTHING,
    *,
    random: Callable[[int], bytes] = os.urandom,
    now_ms: Callable[[], int] = _now_ms,
) -> int:
    """Run the POS; returns the exit code. `environment` may hold the PIN, as TESSERA_PIN."""
    from txserver.pos_commands import run

    return run(args, environment.get(PIN_VARIABLE), random=random, now_ms=now_ms)
