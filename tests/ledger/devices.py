"""Terminals and their keys without a server: what tests of the ledger's terminals share."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
from sqlalchemy import Connection, text

from ledger import logins, terminals
from ledger.database import Database, Scope
from ledger.events import CHANNEL
from tests.conftest import TestDatabase
from tests.desk import PATIENCE_S
from tests.factories import NOW, House, create_active_terminal, create_enrolment, create_house


def invited(connection: Connection, house: House) -> tuple[int, bytes]:
    terminal = terminals.create_terminal(connection, store=house.store, kind="pos", name="POS")
    enrolment_id = create_enrolment(connection, terminal)
    return terminal, enrolment_id


def enrol(
    connection: Connection, enrolment_id: bytes, key: bytes, *, later_s: int = 0, **fields: Any
) -> terminals.TerminalSeat | None:
    return terminals.enrol(
        connection,
        enrolment_id=enrolment_id,
        public_key=key,
        model="m",
        software="1",
        now=NOW + timedelta(seconds=later_s),
        **fields,
    )


def login(connection: Connection, key: bytes, **fields: Any) -> terminals.TerminalSeat | None:
    return logins.login(connection, **{"public_key": key, "software": "2", "now": NOW, **fields})


def seated(connection: Connection, key: bytes, **fields: Any) -> terminals.TerminalSeat:
    seat = login(connection, key, **fields)
    assert seat is not None
    return seat


def columns(connection: Connection, terminal: int, names: str) -> tuple[Any, ...]:
    row = connection.execute(text(f"SELECT {names} FROM terminal WHERE id = :id"), {"id": terminal}).one()
    return tuple(row)


def create_terminal_with_key(urls: TestDatabase) -> tuple[int, bytes]:
    database = Database(urls.site)
    key = os.urandom(32)
    with database.transaction(Scope.everything()) as connection:
        terminal = create_active_terminal(connection, create_house(connection).store, public_key=key)
    database.close()
    return terminal, key


@contextmanager
def eavesdropping(urls: TestDatabase) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(urls.server, autocommit=True) as ear:
        ear.execute(f"LISTEN {CHANNEL}")
        yield ear


def heard(ear: psycopg.Connection[Any]) -> list[str]:
    """Everything announced so far, up to a word of our own."""
    ear.execute(f"SELECT pg_notify('{CHANNEL}', 'enough')")
    payloads: list[str] = []
    for notice in ear.notifies(timeout=PATIENCE_S):
        if notice.payload == "enough":
            return payloads
        payloads.append(notice.payload)
    raise AssertionError("our own word was not heard")


def told(terminal: int, serial: int, reason: str) -> str:
    return f'{{"kind": "ended", "terminal": {terminal}, "serial": {serial}, "reason": "{reason}"}}'
