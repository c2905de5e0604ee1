"""Terminals: invited once, known by their key, one session at a time, revoked everywhere."""

import os
import threading
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import NoResultFound

from ledger import terminals
from ledger.database import Database, Scope
from tests.conftest import TestDatabase
from tests.desk import until_somebody_waits
from tests.factories import NOW, create_active_terminal, create_enrolment, create_house
from tests.ledger.devices import (
    columns,
    create_terminal_with_key,
    eavesdropping,
    enrol,
    heard,
    invited,
    login,
    seated,
    told,
)


def test_an_invitation_is_good_once_and_for_the_same_key_again(connection: Connection) -> None:
    house = create_house(connection)
    terminal, enrolment_id = invited(connection, house)
    key = os.urandom(32)
    seat = enrol(connection, enrolment_id, key)
    assert seat is not None
    assert (seat.id, seat.status, seat.merchant_id, seat.store_id) == (
        terminal, "active", house.merchant, house.store,
    )  # fmt: skip
    assert seat.serial == 1
    assert enrol(connection, enrolment_id, key, later_s=9_999) == replace(seat, serial=2)
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


def test_the_log_is_told_why_nobody_may_enrol(connection: Connection) -> None:
    house = create_house(connection)
    key = os.urandom(32)
    terminal, used = invited(connection, house)
    other, fresh = invited(connection, house)
    enrol(connection, used, key)

    def why(enrolment_id: bytes, now: datetime = NOW) -> tuple[str, int | None]:
        return terminals.refused_invitation(connection, enrolment_id, now)

    assert why(os.urandom(16)) == ("unknown", None)
    assert why(used) == ("used", terminal)
    assert why(fresh) == ("key_taken", other)
    assert why(fresh, NOW + timedelta(days=400)) == ("expired", other)
    terminals.revoke(connection, other)
    assert why(fresh) == ("revoked", other)


def test_only_active_keys_log_in(connection: Connection) -> None:
    house = create_house(connection)
    terminal, enrolment_id = invited(connection, house)
    key = os.urandom(32)
    assert login(connection, key) is None
    enrol(connection, enrolment_id, key)
    seat = login(connection, key)
    assert seat is not None
    assert seat.id == terminal
    assert terminals.revoke(connection, terminal)
    assert not terminals.revoke(connection, terminal)
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


def test_a_session_elsewhere_hears_that_it_was_replaced_and_one_here_is_not_told(
    database_urls: TestDatabase, server: Database
) -> None:
    terminal, key = create_terminal_with_key(database_urls)
    serials = []
    expected = []
    with eavesdropping(database_urls) as ear:
        for worker in ("a", "a", "b", "b", "", "c", "a"):
            with server.transaction(Scope.everything()) as connection:
                serials.append(seated(connection, key, worker=worker).serial)
            expected.append(heard(ear))
    assert serials == [2, 3, 4, 5, 6, 7, 8]
    assert expected == [
        [],
        [],
        [told(terminal, 4, "replaced")],
        [],
        [told(terminal, 6, "replaced")],
        [],  # a session of nobody in particular cannot be told
        [told(terminal, 8, "replaced")],
    ]


def test_a_device_that_takes_a_place_over_ends_the_session_of_the_one_before(
    database_urls: TestDatabase, connection: Connection, server: Database
) -> None:
    terminal, old_key = create_terminal_with_key(database_urls)
    new_key = os.urandom(32)
    with server.transaction(Scope.everything()) as other:
        seated(other, old_key, worker="a")
        assert terminals.change_key(other, terminal, os.urandom(32))
    enrolment_id = create_enrolment(connection, terminal)
    terminals.ask_key_change(connection, terminal)
    connection.commit()
    with eavesdropping(database_urls) as ear:
        with server.transaction(Scope.everything()) as other:
            later = NOW + timedelta(minutes=1)
            seat = enrol(other, enrolment_id, new_key, later_s=60, worker="b", terminal_at=later)
            assert seat is not None
            assert (seat.id, seat.serial, seat.change_key) == (terminal, 3, False)
            assert login(other, old_key) is None
            # The next key of the device before is as worthless as its present one.
            assert columns(
                other, terminal, "public_key, next_public_key, key_since, worker, clock_off_s"
            ) == (new_key, None, later, "b", 0)
        assert heard(ear) == [told(terminal, 3, "replaced")]


def test_a_revoked_terminal_is_announced_once_and_its_session_is_outdated(
    database_urls: TestDatabase, server: Database
) -> None:
    terminal, key = create_terminal_with_key(database_urls)
    with server.transaction(Scope.everything()) as connection:
        serial = seated(connection, key, worker="a").serial
        assert terminals.outdated(connection, {terminal: serial}) == {}
    with eavesdropping(database_urls) as ear:
        for first in (True, False):
            with server.transaction(Scope.everything()) as connection:
                assert terminals.revoke(connection, terminal) is first
        assert heard(ear) == [told(terminal, serial + 1, "revoked")]
    with server.transaction(Scope.everything()) as connection:
        assert terminals.outdated(connection, {terminal: serial}) == {terminal: "revoked"}


def test_sessions_that_are_over_are_told_apart_from_those_that_go_on(
    database_urls: TestDatabase, server: Database
) -> None:
    seats = [create_terminal_with_key(database_urls) for _ in range(3)]
    with server.transaction(Scope.everything()) as connection:
        serials = {terminal: seated(connection, key, worker="a").serial for terminal, key in seats}
        goes_on, replaced, revoked = serials
        seated(connection, seats[1][1], worker="b")
        terminals.revoke(connection, revoked)
        assert terminals.outdated(connection, serials | {10**9: 1}) == {
            replaced: "replaced", revoked: "revoked",
        }  # fmt: skip
        assert terminals.outdated(connection, {goes_on: serials[goes_on]}) == {}
        assert terminals.outdated(connection, {}) == {}


def test_the_office_is_not_revoked(connection: Connection) -> None:
    create_house(connection)
    assert not terminals.revoke(connection, 0)
    assert not terminals.ask_key_change(connection, 0)
    assert columns(connection, 0, "status, serial") == ("active", 0)


@pytest.mark.parametrize(
    ("off", "seconds"),
    [
        (timedelta(0), 0),
        (timedelta(days=2, milliseconds=400), 172_800),
        (timedelta(days=-2, milliseconds=-400), -172_800),
        (timedelta(milliseconds=-600), -1),
        (None, None),
    ],
)
def test_how_far_off_a_terminals_clock_is_is_noted(
    connection: Connection, off: timedelta | None, seconds: int | None
) -> None:
    house, key = create_house(connection), os.urandom(32)
    terminal = create_active_terminal(connection, house.store, public_key=key)
    seated(connection, key, terminal_at=NOW)
    seated(connection, key, terminal_at=None if off is None else NOW + off)
    assert columns(connection, terminal, "clock_off_s") == (seconds,)


def test_a_clock_of_the_year_9999_does_not_keep_a_terminal_out(connection: Connection) -> None:
    house, key = create_house(connection), os.urandom(32)
    terminal = create_active_terminal(connection, house.store, public_key=key)
    seated(connection, key, terminal_at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=NOW.tzinfo))
    assert columns(connection, terminal, "clock_off_s > 250000000000") == (True,)


def test_two_logins_at_once_get_two_serials(database_urls: TestDatabase, server: Database) -> None:
    terminal, key = create_terminal_with_key(database_urls)
    found: list[terminals.TerminalSeat] = []

    def second() -> None:
        with server.transaction(Scope.everything()) as connection:
            found.append(seated(connection, key, worker="b"))

    with eavesdropping(database_urls) as ear:
        with server.transaction(Scope.everything()) as connection:
            first = seated(connection, key, worker="a")
            thread = threading.Thread(target=second)
            thread.start()
            until_somebody_waits(connection)
        thread.join()
        assert (first.serial, found[0].serial) == (2, 3)
        # The second saw whom it replaced, although that one was not committed when it asked.
        assert heard(ear) == [told(terminal, 3, "replaced")]


def test_two_devices_that_use_one_invitation_at_once_are_one(
    database_urls: TestDatabase, server: Database, connection: Connection
) -> None:
    house = create_house(connection)
    terminal, enrolment_id = invited(connection, house)
    connection.commit()
    found: list[terminals.TerminalSeat | None] = []

    def second() -> None:
        with server.transaction(Scope.everything()) as other:
            found.append(enrol(other, enrolment_id, os.urandom(32)))

    with server.transaction(Scope.everything()) as first:
        seat = enrol(first, enrolment_id, os.urandom(32))
        thread = threading.Thread(target=second)
        thread.start()
        until_somebody_waits(first)
    thread.join()
    assert seat is not None
    assert seat.id == terminal
    assert found == [None]


def test_a_login_that_waits_for_a_revocation_is_refused(
    database_urls: TestDatabase, server: Database
) -> None:
    terminal, key = create_terminal_with_key(database_urls)
    found: list[terminals.TerminalSeat | None] = []

    def second() -> None:
        with server.transaction(Scope.everything()) as connection:
            found.append(login(connection, key))

    with server.transaction(Scope.everything()) as connection:
        terminals.revoke(connection, terminal)
        thread = threading.Thread(target=second)
        thread.start()
        until_somebody_waits(connection)
    thread.join()
    assert found == [None]
