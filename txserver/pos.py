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
from typing import TypeAlias

__all__ = ["NEW_PIN_VARIABLE", "PIN_VARIABLE", "RESET_CODE_VARIABLE", "add_arguments", "main"]

DEVICE = Path("var/pos")
PIN_VARIABLE = "TESSERA_PIN"
NEW_PIN_VARIABLE = "TESSERA_NEW_PIN"
RESET_CODE_VARIABLE = "TESSERA_RESET_CODE"
_NOTHING: Mapping[str, str] = MappingProxyType({})

# argparse has no public name for it.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def add_arguments(subparsers: Commands) -> None:
    """Add the `pos` command and its subcommands to a command line."""
    pos = subparsers.add_parser(
        "pos",
        help="an emulated POS terminal; without a subcommand, a screen",
        description="An emulated POS terminal. Without a subcommand it opens a screen. "
        "Exit code: 0 approved or balanced, 1 refused or out of balance, 2 a fault or wrong usage.",
    )
    pos.add_argument("--device", type=Path, default=DEVICE, help=f"the device's folder (default: {DEVICE})")
    pos.add_argument("--language", choices=("en", "zh"), default="en", help="of screen and receipts")
    commands = pos.add_subparsers(dest="pos_command", metavar="SUBCOMMAND")
    everywhere = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    everywhere.add_argument("--device", type=Path, help="the device's folder")
    everywhere.add_argument("--language", choices=("en", "zh"), help="of the receipt")
    everywhere.add_argument("--json", action="store_true", help="print one line of JSON, not a receipt")
    _add_sales(commands, everywhere)
    _add_holds(commands, everywhere)
    _add_givings_back(commands, everywhere)
    _add_inquiries(commands, everywhere)
    _add_day(commands, everywhere)


def _card() -> argparse.ArgumentParser:
    """What names a card."""
    card = argparse.ArgumentParser(add_help=False)
    shown = card.add_mutually_exclusive_group(required=True)
    shown.add_argument("--card", metavar="PAYLOAD", help="what the card's QR code says")
    shown.add_argument("--card-image", metavar="FILE", help="a PNG or JPEG with the card's QR code")
    card.add_argument("--chip", metavar="HEX", help="UID of the chip that the card was read from")
    return card


def _card_and_pin() -> argparse.ArgumentParser:
    card = argparse.ArgumentParser(add_help=False, parents=[_card()])
    card.add_argument(
        "--pin", help=f"others can see it in the list of processes; better: {PIN_VARIABLE} or the prompt"
    )
    return card


def _what() -> argparse.ArgumentParser:
    """What is bought or held."""
    what = argparse.ArgumentParser(add_help=False)
    what.add_argument("--service", required=True, metavar="CODE", help="see `pos catalogue`")
    much = what.add_mutually_exclusive_group()
    much.add_argument("--quantity", type=int, metavar="N", help="units at the agreed price (default: 1)")
    much.add_argument("--amount", type=int, metavar="POINTS", help="for a service with an open amount")
    what.add_argument("--reference", help="the shop's own order number")
    what.add_argument("--txid", help="use this one; a known one repeats that transaction")
    return what


def _add_sales(commands: Commands, everywhere: argparse.ArgumentParser) -> None:
    enrol = commands.add_parser("enrol", parents=[everywhere], help="become a terminal with a one-time code")
    enrol.add_argument("code", metavar="CODE", help="the code from the site, or the path of its picture")
    enrol.add_argument("--replace", action="store_true", help="also when this device is a terminal already")
    commands.add_parser(
        "redeem", parents=[everywhere, _card_and_pin(), _what()], help="spend points for a service"
    )


def _add_holds(commands: Commands, everywhere: argparse.ArgumentParser) -> None:
    hold = commands.add_parser(
        "hold", parents=[everywhere, _card_and_pin(), _what()], help="reserve points for a job"
    )
    long = hold.add_mutually_exclusive_group()
    long.add_argument("--hours", type=int, metavar="N", help="until the hold ends by itself (default: 24)")
    long.add_argument("--minutes", type=int, metavar="N", help="the same, for a short job")
    capture = commands.add_parser(
        "capture", parents=[everywhere], help="take points of a hold; the rest is released"
    )
    capture.add_argument("txid", metavar="TXID|last", help="of the hold")
    capture.add_argument("points", metavar="POINTS", type=int, help="how many the job came to")
    capture.add_argument("--reference", help="the shop's own order number")
    release = commands.add_parser("release", parents=[everywhere], help="give back all points of a hold")
    release.add_argument("txid", metavar="TXID|last", help="of the hold")


def _add_givings_back(commands: Commands, everywhere: argparse.ArgumentParser) -> None:
    reverse = commands.add_parser(
        "reverse", parents=[everywhere], help="take a purchase back: its service was not given"
    )
    reverse.add_argument("txid", metavar="TXID|last")
    refund = commands.add_parser(
        "refund", parents=[everywhere, _card()], help="give points of a purchase back, all or some"
    )
    refund.add_argument("original", metavar="TXID|last", help="of the purchase or the capture")
    refund.add_argument("--amount", type=int, metavar="POINTS", help="default: all that remain")
    refund.add_argument(
        "--terminal", type=int, metavar="N", help="that sold it, if another one of the same merchant did"
    )
    refund.add_argument("--reference", help="the shop's own order number")
    refund.add_argument("--txid", help="of the refund: use this one; a known one repeats that refund")


def _add_inquiries(commands: Commands, everywhere: argparse.ArgumentParser) -> None:
    commands.add_parser("balance", parents=[everywhere, _card_and_pin()], help="what the card can spend")
    history = commands.add_parser(
        "history", parents=[everywhere, _card_and_pin()], help="what happened on the account"
    )
    history.add_argument("--since", metavar="YYYY-MM-DD", help="first business date")
    history.add_argument("--until", metavar="YYYY-MM-DD", help="last business date")
    history.add_argument("--cursor", help="the next page, as the page before names it")
    status = commands.add_parser("status", parents=[everywhere], help="what the server has recorded")
    status.add_argument("txid", metavar="TXID|last", nargs="?", default="last")
    pin = commands.add_parser(
        "pin",
        parents=[everywhere, _card_and_pin()],
        help="change a card's PIN",
        description="Change a card's PIN, on the word of the present one or of a one-time code. The new PIN "
        f"is asked twice, or comes from {NEW_PIN_VARIABLE}; it is no argument, which others could see.",
    )
    pin.add_argument(
        "--reset-code",
        metavar="CODE",
        nargs="?",
        const="",
        help=f"a one-time code instead of the present PIN; without a value: {RESET_CODE_VARIABLE} or asked",
    )
    commands.add_parser("catalogue", parents=[everywhere], help="the services sold here")
    commands.add_parser("journal", parents=[everywhere], help="this terminal's own record; needs no server")


def _add_day(commands: Commands, everywhere: argparse.ArgumentParser) -> None:
    commands.add_parser(
        "day-end", parents=[everywhere], help="close the batch and compare its totals with the server's"
    )
    shop = commands.add_parser(
        "shop",
        parents=[everywhere],
        help="play a shop: many terminals, many customers, a live table",
        description="Play a shop. Its terminals live in folders beside the device's, and enrol with codes of "
        "the file when they are not yet. Exit code: 0 when all is settled and balanced, 1 when it is not, 2 "
        "when a terminal could not work. Ctrl-C ends the day early, with its settling and its summary.",
    )
    shop.add_argument(
        "--world", type=Path, required=True, metavar="FILE", help="codes and cards; ./scripts/run writes one"
    )
    shop.add_argument("--terminals", type=int, default=8, metavar="N", help="how many (default: 8)")
    shop.add_argument("--seconds", type=int, default=60, metavar="S", help="how long (default: 60)")
    shop.add_argument("--seed", type=int, metavar="N", help="the same one makes the same customers come")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main(
    args: argparse.Namespace,
    environment: Mapping[str, str] = _NOTHING,
    *,
    random: Callable[[int], bytes] = os.urandom,
    now_ms: Callable[[], int] = _now_ms,
) -> int:
    """Run the POS; returns the exit code. `environment` may hold PINs: see the variables above."""
    from txserver.pos_commands import Secrets, run

    secrets = Secrets(
        pin=environment.get(PIN_VARIABLE),
        new_pin=environment.get(NEW_PIN_VARIABLE),
        reset_code=environment.get(RESET_CODE_VARIABLE),
    )
    return run(args, secrets, random=random, now_ms=now_ms)
