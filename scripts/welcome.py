"""What `scripts/run` prints when everything answers: addresses, logins, and a command to try."""

import shlex
from itertools import count
from pathlib import Path

from scripts.demonstration_record import Demonstration
from scripts.demonstration_terminal import Device
from scripts.opening import House, reachable
from scripts.shop_world import FILE, code_text

__all__ = ["enrolment_text", "welcome"]


def enrolment_text(house: House, demonstration: Demonstration) -> str:
    """The code that enrols the demonstration's terminal at this house's address."""
    plan = house.plan
    return code_text(house.keyring, bytes.fromhex(demonstration.enrolment), reachable(plan.host), plan.port)


def welcome(house: House) -> str:
    """The text, ready to print."""
    plan = house.plan
    lines = [
        "",
        "Tessera is open.",
        f"  Site               http://{_shown(reachable(plan.site_host))}:{plan.site_port}/",
        f"  Terminals          {_shown(reachable(plan.host))}:{plan.port}",
        f"  Health, metrics    http://{_shown(reachable(plan.health_host))}:{plan.health_port}/health",
        f"  Data and logs      {plan.folder}",
        f"  Keys               {plan.secrets}",
    ]
    if house.demonstration is not None:
        lines += _demonstration(house, house.demonstration)
    lines += ["", "Ctrl-C stops everything."]
    return "\n".join(lines)


def _demonstration(house: House, shown: Demonstration) -> list[str]:
    lines = ["", "Demonstration logins:"]
    lines += [f"  {login.who:<18} {login.name}   password {login.password}" for login in shown.logins]
    lines += [f"  {'member':<18} {card.member}   PIN {card.pin}" for card in shown.cards]
    if shown.cards:
        card = shown.cards[0]
        lines += ["", f"Spend points of {card.member} at an emulated POS, in another terminal window:"]
        redeem = _pos("redeem", "--card", card.payload, "--pin", card.pin, "--service", card.service)
        code = enrolment_text(house, shown)
        if house.device is Device.ENROLLED:
            lines += [redeem, "", "It is enrolled already; another device:"]
            lines.append(_pos("enrol", code, "--device", f"var/{_free_device(house.plan.folder)}"))
        elif house.device is Device.STRANGE:
            lines += [_pos("enrol", "--replace", code), redeem]
        else:
            lines += [_pos("enrol", code), redeem]
    if (house.plan.folder / FILE).exists():
        lines += ["", "Play a shop of eight terminals for a minute:"]
        lines.append(_pos("shop", "--world", f"var/{FILE}", "--terminals", "8", "--seconds", "60"))
    return lines


def _pos(*arguments: str) -> str:
    return "  .venv/bin/python -m txserver pos " + shlex.join(arguments)


def _free_device(folder: Path) -> str:
    """The name of a device folder in `folder` that nothing uses yet: pos-2, or the next."""
    return next(name for number in count(2) if not (folder / (name := f"pos-{number}")).exists())


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
