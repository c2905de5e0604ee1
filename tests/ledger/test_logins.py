"""Many terminals that log in together get what they would get one after the other."""

import os
from datetime import timedelta

from sqlalchemy import text

from ledger import logins, terminals
from ledger.database import Database, Scope, run_stages
from ledger.logins import LoggedIn, Login
from ledger.merchants import catalogue_version
from tests.conftest import TestDatabase
from tests.desk import Books
from tests.factories import NOW, create_active_terminal, create_price
from tests.ledger.devices import eavesdropping, heard, told


def enter(database: Database, *asked: Login) -> list[LoggedIn]:
    with database.transaction(Scope.everything()) as connection:
        answers: list[LoggedIn] = run_stages(connection, logins.stages(asked, NOW, 365))
        return answers


def create_terminal(books: Books, **values: object) -> tuple[int, bytes]:
    """A terminal that has never logged in, and its key."""
    values = {"serial": 0, "software": None, **values}
    key = os.urandom(32)
    with books.database.transaction(Scope.everything()) as connection:
        number = create_active_terminal(connection, books.house.store, public_key=key)
        for column, value in values.items():
            connection.execute(
                text(f"UPDATE terminal SET {column} = :value WHERE id = {number}"), {"value": value}
            )
    return number, key


def serials(answers: list[LoggedIn]) -> list[tuple[int, int] | None]:
    return [None if each.seat is None else (each.seat.id, each.seat.serial) for each in answers]


def row(books: Books, terminal: int) -> tuple[object, ...]:
    columns = "serial, worker, software, public_key, next_public_key, clock_off_s, last_login_at = key_since"
    (found,) = books.ask(f"SELECT {columns} FROM terminal WHERE id = {terminal}")
    return tuple(found)


def test_each_is_seated_in_its_place_and_who_is_unknown_is_not(books: Books, server: Database) -> None:
    (one, key), (other, other_key) = create_terminal(books), create_terminal(books)
    revoked, revoked_key = create_terminal(books)
    with server.transaction(Scope.everything()) as connection:
        terminals.revoke(connection, revoked)
    answers = enter(
        server,
        Login(other_key, "5.1", "w", NOW + timedelta(seconds=90)),
        Login(os.urandom(32), "5.2", "w"),
        Login(revoked_key, "5.3", "w"),
        Login(key, "5.4", "w"),
    )
    assert serials(answers) == [(other, 1), None, None, (one, 1)]
    seat = answers[0].seat
    assert seat is not None
    assert (seat.merchant_id, seat.store_id) == (books.house.merchant, books.house.store)
    assert row(books, other)[:3] == (1, "w", "5.1")
    assert row(books, other)[5] == 90
    assert row(books, one)[:3] == (1, "w", "5.4")
    assert row(books, revoked)[2] is None


def test_the_catalogue_s_version_comes_with_it(books: Books, server: Database) -> None:
    _, key = create_terminal(books)
    (before,) = enter(server, Login(key, "5"))
    with books.database.transaction(Scope.everything()) as connection:
        create_price(connection, books.house, "polish", points=5)
        version = catalogue_version(connection)
    (after,) = enter(server, Login(os.urandom(32), "5"))
    assert before.catalogue < after.catalogue == version


def test_a_terminal_that_comes_twice_at_once_has_two_serials_and_the_last_one_s_facts(
    database_urls: TestDatabase, books: Books, server: Database
) -> None:
    terminal, key = create_terminal(books)
    with eavesdropping(database_urls) as ear:
        answers = enter(server, Login(key, "5.1", "a"), Login(key, "5.2", "b"))
        assert serials(answers) == [(terminal, 1), (terminal, 2)]
        assert row(books, terminal)[:3] == (2, "b", "5.2")
        assert heard(ear) == []
        enter(server, Login(key, "5.3", "c"))
        assert heard(ear) == [told(terminal, 3, "replaced")]


def test_a_next_key_takes_over_in_the_order_of_the_logins(books: Books, server: Database) -> None:
    coming = os.urandom(32)
    terminal, key = create_terminal(books, next_public_key=coming, key_since=NOW - timedelta(days=9))
    answers = enter(server, Login(key, "5"), Login(coming, "5"), Login(key, "5"), Login(coming, "5"))
    assert serials(answers) == [(terminal, 1), (terminal, 2), None, (terminal, 3)]
    assert row(books, terminal)[3:5] == (coming, None)
    assert row(books, terminal)[6] is True


def test_who_has_given_up_leaves_no_trace(books: Books, server: Database) -> None:
    (one, key), (other, other_key) = create_terminal(books), create_terminal(books)
    before = row(books, one)
    answers = enter(server, Login(key, "5", "w", given_up=True), Login(other_key, "5", "w"))
    assert serials(answers) == [None, (other, 1)]
    assert row(books, one) == before
    assert serials(enter(server, Login(key, "5", given_up=True))) == [None]


def test_one_round_trip_to_lock_and_one_to_write(books: Books) -> None:
    keys = [create_terminal(books)[1] for _ in range(3)]
    asked = [Login(key, "5") for key in (*keys, keys[0])]
    described = logins.stages(asked, NOW, 365)
    stage = next(described)
    assert not stage.final
    known = [(number, key, None, "active", 0, None) for number, key in enumerate(keys, 1)]
    final = described.send([known, [(7,)]])
    assert final.final
    ((_, columns),) = final.calls
    assert columns[0] == [1, 2, 3]
    assert columns[2] == [2, 1, 1]


def test_keys_that_are_old_are_to_be_changed(books: Books, server: Database) -> None:
    _, old = create_terminal(books, key_since=NOW - timedelta(days=366))
    _, young = create_terminal(books, key_since=NOW - timedelta(days=364))
    answers = enter(server, Login(old, "5"), Login(young, "5"))
    assert [each.seat is not None and each.seat.change_key for each in answers] == [True, False]
