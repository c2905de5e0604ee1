"""The demonstration's waiting terminal: a code that has been used makes room for the next one."""

import os
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

from msgspec.structs import replace
from sqlalchemy import Connection

from ledger import enrolments, terminals
from scripts.demonstration_record import Demonstration
from txserver.terminal_identity import IdentityError, TerminalIdentity

__all__ = ["ENROLMENT_DAYS", "NAME", "Device", "device_state", "invite", "renewed"]

ENROLMENT_DAYS = 365  # a demonstration should still enrol its terminal when somebody comes back to it
NAME = "POS emulator"


class Device(Enum):
    """What a folder of the POS emulator is: no terminal yet, one of this database, or one of another."""

    NEW = "new"
    ENROLLED = "enrolled"
    STRANGE = "strange"


def invite(connection: Connection, terminal: int, now: datetime) -> bytes:
    """A new enrolment of a terminal; its id, 16 bytes."""
    enrolment_id = os.urandom(16)
    until = now + timedelta(days=ENROLMENT_DAYS)
    if not enrolments.invite(connection, terminal, enrolment_id=enrolment_id, until=until, now=now):
        raise ValueError(f"nobody can be invited to terminal {terminal}")
    return enrolment_id


def renewed(connection: Connection, shown: Demonstration, now: datetime) -> Demonstration:
    """`shown` while its enrolment is open; otherwise with that of a further terminal in the same store."""
    invitation = terminals.invitation(connection, bytes.fromhex(shown.enrolment), now)
    if invitation is None or invitation.open:  # None: a record of another database
        return shown
    made = terminals.count_named(connection, invitation.store_id, NAME)
    name = f"{NAME} {made + 1}"
    terminal = terminals.create_terminal(connection, store=invitation.store_id, kind="pos", name=name)
    return replace(shown, enrolment=invite(connection, terminal, now).hex())


def device_state(connection: Connection, folder: Path) -> Device:
    """Whether the device in this folder can spend at this database's terminals."""
    try:
        key = TerminalIdentity.load(folder).key.public
    except (IdentityError, ValueError):
        return Device.NEW
    return Device.ENROLLED if terminals.is_active(connection, key) else Device.STRANGE
