"""Keys of terminals: the next one, when it becomes the present one, and what can be none."""

import os
import threading
from datetime import timedelta

import nacl.bindings
import nacl.exceptions
import pytest
from sqlalchemy import Connection

from ledger import terminals
from ledger.database import Database, Scope
from tests.conftest import TestDatabase
from tests.desk import until_somebody_waits
from tests.factories import NOW, create_active_terminal, create_house
from tests.ledger.devices import (
    columns,
    create_terminal_with_key,
    eavesdropping,
    enrol,
    heard,
    invited,
    login,
    seated,
)


def test_the_first_login_with_a_next_key_makes_it_the_present_one(connection: Connection) -> None:
    house, old, new = create_house(connection), os.urandom(32), os.urandom(32)
    terminal = create_active_terminal(connection, house.store, public_key=old)
    assert terminals.ask_key_change(connection, terminal)
    assert seated(connection, old).change_key
    assert terminals.change_key(connection, terminal, new)
    assert terminals.is_active(connection, new)
    # Until then the old one works, and the terminal is still asked.
    assert seated(connection, old).change_key
    assert columns(connection, terminal, "public_key, next_public_key, key_since") == (old, new, NOW)
    later = NOW + timedelta(hours=1)
    seat = seated(connection, new, now=later)
    assert (seat.id, seat.change_key) == (terminal, False)
    assert columns(connection, terminal, "public_key, next_public_key, key_since, key_change_asked") == (
        new, None, later, False,
    )  # fmt: skip
    assert login(connection, old) is None
    assert not terminals.is_active(connection, old)
    assert seated(connection, new).id == terminal


def test_a_key_that_is_old_is_to_be_changed(connection: Connection) -> None:
    house, old, new = create_house(connection), os.urandom(32), os.urandom(32)
    terminal = create_active_terminal(connection, house.store, public_key=old)
    days = timedelta(days=30)
    assert not seated(connection, old, now=NOW + days, key_days=30).change_key
    later = NOW + days + timedelta(seconds=1)
    assert seated(connection, old, now=later, key_days=30).change_key
    assert not seated(connection, old, now=later).change_key
    assert terminals.change_key(connection, terminal, new)
    assert not seated(connection, new, now=later, key_days=30).change_key


def test_a_next_key_may_be_told_again_and_be_replaced_by_another(connection: Connection) -> None:
    house, old, new, newer = create_house(connection), *(os.urandom(32) for _ in range(3))
    terminal = create_active_terminal(connection, house.store, public_key=old)
    assert terminals.change_key(connection, terminal, new)
    assert terminals.change_key(connection, terminal, new)
    assert terminals.change_key(connection, terminal, newer)
    assert login(connection, new) is None
    assert seated(connection, newer).id == terminal


def test_a_key_that_some_terminal_has_or_will_have_is_refused(connection: Connection) -> None:
    house, mine, others, others_next = create_house(connection), *(os.urandom(32) for _ in range(3))
    terminal = create_active_terminal(connection, house.store, public_key=mine)
    other = create_active_terminal(connection, house.store, public_key=others)
    assert terminals.change_key(connection, other, others_next)
    for taken in (mine, others, others_next):
        assert not terminals.change_key(connection, terminal, taken)
    for taken in (others, others_next):
        _, enrolment_id = invited(connection, house)
        assert enrol(connection, enrolment_id, taken) is None
    assert columns(connection, terminal, "next_public_key") == (None,)


def test_a_terminal_that_is_revoked_or_was_never_there_changes_no_key(connection: Connection) -> None:
    house = create_house(connection)
    terminals.revoke(connection, house.terminal)
    assert not terminals.change_key(connection, house.terminal, os.urandom(32))
    assert not terminals.ask_key_change(connection, house.terminal)
    assert not terminals.change_key(connection, 10**9, os.urandom(32))
    assert not terminals.change_key(connection, 0, os.urandom(32))
    assert not terminals.ask_key_change(connection, 10**9)


def test_points_of_small_order_are_exactly_those_that_share_no_secret() -> None:
    """libsodium refuses to compute with them, whatever the scalar."""
    assert len(terminals.SMALL_ORDER) == 7
    for point in terminals.SMALL_ORDER:
        for high_bit in (0, 0x80):
            shown = point[:-1] + bytes([point[-1] | high_bit])
            with pytest.raises(nacl.exceptions.RuntimeError):
                nacl.bindings.crypto_scalarmult(os.urandom(32), shown)


def test_a_key_that_keeps_no_secret_is_refused(connection: Connection) -> None:
    house = create_house(connection)
    unfit = [point[:-1] + bytes([point[-1] | high]) for point in terminals.SMALL_ORDER for high in (0, 0x80)]
    for key in (*unfit, b"", bytes([9] * 31), bytes([9] * 33)):
        assert not terminals.change_key(connection, house.terminal, key)
    assert columns(connection, house.terminal, "next_public_key") == (None,)
    assert terminals.change_key(connection, house.terminal, bytes([9, *bytes(31)]))


def test_two_terminals_that_show_one_key_at_once_do_not_both_get_it(
    database_urls: TestDatabase, server: Database, connection: Connection
) -> None:
    """One as its next key, one as its first: no constraint of the table covers both."""
    house = create_house(connection)
    _, enrolment_id = invited(connection, house)
    connection.commit()
    key = os.urandom(32)
    found: list[terminals.TerminalSeat | None] = []

    def second() -> None:
        with server.transaction(Scope.everything()) as other:
            found.append(enrol(other, enrolment_id, key))

    with server.transaction(Scope.everything()) as first:
        assert terminals.change_key(first, house.terminal, key)
        thread = threading.Thread(target=second)
        thread.start()
        until_somebody_waits(first)
    thread.join()
    assert found == [None]


def test_who_is_to_change_its_key_is_told_now(database_urls: TestDatabase, server: Database) -> None:
    terminal, _ = create_terminal_with_key(database_urls)
    with eavesdropping(database_urls) as ear:
        with server.transaction(Scope.everything()) as connection:
            assert terminals.ask_key_change(connection, terminal)
        assert heard(ear) == [f'{{"kind": "key", "terminal": {terminal}}}']


def test_which_of_those_that_are_here_are_still_to_change_their_keys(connection: Connection) -> None:
    house, old, new = create_house(connection), os.urandom(32), os.urandom(32)
    asked = create_active_terminal(connection, house.store, public_key=old)
    away, other = (create_active_terminal(connection, house.store) for _ in range(2))
    for terminal in (asked, away):
        assert terminals.ask_key_change(connection, terminal)
    assert terminals.key_changes_asked(connection, [asked, other]) == {asked}
    assert terminals.key_changes_asked(connection, []) == set()
    assert terminals.change_key(connection, asked, new)
    seated(connection, new)
    assert terminals.key_changes_asked(connection, {asked: 1, away: 2}) == {away}
