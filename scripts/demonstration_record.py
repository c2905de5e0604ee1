"""What the demonstration data tells people: who may log in, which card to show, how a terminal enrols.

`scripts.demonstration.load` makes it, the house keeps it as `var/demonstration.json` (mode 0600) beside
the data, and prints it. It holds passwords and PINs of invented people; real ones are kept nowhere.
"""

from pathlib import Path

import msgspec

from ledger.embedded_files import write_private

__all__ = ["Card", "Demonstration", "Login", "read_demonstration", "write_demonstration"]

ENROLMENT_ID_BYTES = 16


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who can log in at the site. `who` says it in words: "operator's staff"."""

    who: str
    name: str
    password: str


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A card with points. `payload` is what its QR code says; `service` is one that its points buy."""

    member: str
    payload: str
    pin: str
    service: str


class Demonstration(msgspec.Struct, frozen=True, kw_only=True):
    """`enrolment` is the 16-byte id of a terminal's open enrolment, in hex; its secret is derived."""

    logins: list[Login]
    cards: list[Card]
    enrolment: str


def write_demonstration(path: Path, record: Demonstration) -> None:
    """Write the record, whole or not at all."""
    write_private(path, msgspec.json.format(msgspec.json.encode(record)).decode() + "\n")


def read_demonstration(path: Path) -> Demonstration | None:
    """The record, None when there is none or it cannot be read: it is only for showing."""
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Demonstration)
        return record if len(bytes.fromhex(record.enrolment)) == ENROLMENT_ID_BYTES else None
    except (OSError, ValueError, msgspec.MsgspecError):
        return None
