"""What `scripts/run` prints when everything answers: addresses, logins, and a command to try."""

import shlex

from protocol.credentials import enrolment_code
from protocol.noise import KeyPair
from protocol.session import Enrolment
from scripts.demonstration_record import Demonstration
from scripts.opening import House, reachable

__all__ = ["enrolment_text", "welcome"]


def enrolment_text(house: House, demonstration: Demonstration) -> str:
    """The code that enrols the demonstration's terminal at this house's address."""
    enrolment_id = bytes.fromhex(demonstration.enrolment)
    enrolment = Enrolment(id=enrolment_id, secret=house.keyring.enrolment_secret(enrolment_id))
    key_id, private = min(house.keyring.server_keys.items())
    server_key = KeyPair.from_private(private).public
    plan = house.plan
    return enrolment_code(enrolment, server_key, key_id, reachable(plan.host), plan.port)


def welcome(house: House) -> str:
    """The text, ready to print."""
    plan = house.plan
    lines = [
        "",
        "Tessera is open.",
        f"  Site               http://{_shown(reachable(plan.site_host))}:{plan.site_port}/",
        f"  Terminals          {_shown(reachable(plan.host))}:{plan.port}",
        f"  Health, metrics    http://127.0.0.1:{plan.health_port}/health",
        f"  Data and logs      {plan.folder}",
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
        for arguments in (
            ("enrol", enrolment_text(house, shown)),
            ("redeem", "--card", card.payload, "--pin", card.pin, "--service", card.service),
        ):
            lines.append("  .venv/bin/python -m txserver pos " + shlex.join(arguments))
    return lines


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
