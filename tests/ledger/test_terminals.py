"""Terminals: invited once, known by their key."""

import os
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import NoResultFound

from ledger import terminals
from ledger.database import Database, Scope
from tests.conftest import TestDatabase
from tests.factories import NOW, House, create_house


@pytest.fixture
def connection(database_urls: TestDatabase) -> Iterator[Connection]:
    database = Database(database_urls.site)
    with database.transaction(Scope.everything()) as opened:
        yield opened
    database.close()


def invited(connection: Connection, house: House) -> tuple[int, bytes]:
    terminal = terminals.create_terminal(connection, store=house.store, kind="pos", name="POS")
    enrolment_id = os.urandom(16)
    terminals.create_enrolment(
        connection, terminal, enrolment_id=enrolment_id, expires_at=NOW + timedelta(hours=1)
    )
    return terminal, enrolment_id


def enrol(
    connection: Connection, enrolment_id: bytes, key: bytes, *, later_s: int = 0
) -> terminals.TerminalSeat | None:
    return terminals.enrol(
        connection,
        enrolment_id=enrolment_id,
        public_key=key,
        model="m",
        software="1",
        now=NOW + timedelta(seconds=later_s),
    )


def login(connection: Connection, key: bytes) -> terminals.TerminalSeat | None:
    return terminals.login(connection, public_key=key, software="2", now=NOW)


def test_an_invitation_is_good_once_and_for_the_same_key_again(connection: Connection) -> None:
    house = create_house(connection)
    terminal, enrolment_id = invited(connection, house)
    key = os.urandom(32)
    seat = enrol(connection, enrolment_id, key)
    assert seat is not None
    assert (seat.id, seat.status, seat.merchant_id, seat.store_id) == (
        terminal, "active", house.merchant, house.store,
    )  # fmt: skip
    assert enrol(connection, enrolment_id, key, later_s=9_999) == seat
    assert enrol(connection, enrolment_id, os.urandom(32)) is None


def test_an_invitation_expires(connection: Connection) -> None:
    _, enrolment_id = invited(connection, create_house(connection))
    assert enrol(connection, enrolment_id, os.urandom(32), later_s=3_600) is None
    assert enrol(connection, enrolment_id, os.urandom(32), later_s=3_599) is not None


def test_nobody_enrols_without_an_invitation_or_with_anothers_key(connection: Connection) -> None:
    house = create_house(connection)
    key = os.urandom(32)
    assert enrol(connection, os.urandom(16), key) is None
    _, first = invited(connection, house)
    _, second = invited(connection, house)
    assert enrol(connection, first, key) is not None
    assert enrol(connection, second, key) is None


def test_only_active_keys_log_in(connection: Connection) -> None:
    house = create_house(connection)
    terminal, enrolment_id = invited(connection, house)
    key = os.urandom(32)
    assert login(connection, key) is None
    enrol(connection, enrolment_id, key)
    seat = login(connection, key)
    assert seat is not None
    assert seat.id == terminal
    terminals.revoke(connection, terminal)
    assert login(connection, key) is None
    assert enrol(connection, enrolment_id, key) is None


def test_a_terminal_stands_in_a_store(connection: Connection) -> None:
    house = create_house(connection)
    with pytest.raises(NoResultFound):
        terminals.create_terminal(connection, store=house.merchant, kind="pos", name="POS")


def test_an_invitation_tells_whether_it_is_still_open(connection: Connection) -> None:
    house = create_house(connection)
    _, enrolment_id = invited(connection, house)
    key = os.urandom(32)
    assert terminals.invitation(connection, os.urandom(16), NOW) is None
    assert terminals.invitation(connection, enrolment_id, NOW) == terminals.Invitation(house.store, True)
    late = terminals.invitation(connection, enrolment_id, NOW + timedelta(hours=1))
    assert late == terminals.Invitation(house.store, False)
    assert not terminals.is_active(connection, key)
    enrol(connection, enrolment_id, key)
    assert terminals.is_active(connection, key)
    assert terminals.invitation(connection, enrolment_id, NOW) == terminals.Invitation(house.store, False)
    assert terminals.count_named(connection, house.store, "POS") == 2
