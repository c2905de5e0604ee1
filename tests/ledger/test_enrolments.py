"""Invitations of a terminal's device."""

import os
from datetime import timedelta

from sqlalchemy import Connection

from ledger import terminals
from ledger.database import Scope
from ledger.enrolments import invite, open_until
from tests.desk import Books, interleaved
from tests.factories import NOW

UNTIL = NOW + timedelta(days=7)


def create_place(books: Books) -> int:
    """A terminal that waits for its device."""
    return books.change(
        lambda connection: terminals.create_terminal(
            connection, store=books.house.store, kind="pos", name="New"
        )
    )


def enrols(books: Books, enrolment_id: bytes) -> bool:
    def act(connection: Connection) -> bool:
        seat = terminals.enrol(
            connection,
            enrolment_id=enrolment_id,
            public_key=os.urandom(32),
            model="test",
            software="1",
            now=NOW,
        )
        return seat is not None

    return books.change(act)


def invited(
    books: Books, terminal: int, enrolment_id: bytes, *, tenant: int | None = None, days: int = 7
) -> bool:
    scope = Scope.everything() if tenant is None else Scope.tenant(tenant)
    with books.database.transaction(scope) as connection:
        until = NOW + timedelta(days=days)
        return invite(connection, terminal, enrolment_id=enrolment_id, until=until, now=NOW)


def waits_until(books: Books, terminal: int) -> object:
    return books.change(lambda connection: open_until(connection, terminal, NOW))


def test_a_device_enrols_on_an_invitation_and_then_nobody_is_invited(books: Books) -> None:
    terminal, enrolment_id = create_place(books), os.urandom(16)
    assert waits_until(books, terminal) is None
    assert invited(books, terminal, enrolment_id)
    assert waits_until(books, terminal) == UNTIL
    assert enrols(books, enrolment_id)
    assert waits_until(books, terminal) is None


def test_a_new_invitation_makes_earlier_ones_worthless(books: Books) -> None:
    terminal, first, second = create_place(books), os.urandom(16), os.urandom(16)
    assert invited(books, terminal, first)
    assert invited(books, terminal, second, days=2)
    assert waits_until(books, terminal) == NOW + timedelta(days=2)
    assert not enrols(books, first)
    assert enrols(books, second)


def test_the_same_invitation_is_not_made_twice(books: Books) -> None:
    terminal, other, enrolment_id = create_place(books), create_place(books), os.urandom(16)
    assert invited(books, terminal, enrolment_id)
    assert not invited(books, terminal, enrolment_id)
    assert not invited(books, other, enrolment_id)
    assert waits_until(books, other) is None
    assert enrols(books, enrolment_id)


def test_of_two_invitations_at_once_the_later_one_counts(books: Books) -> None:
    terminal, first, second = create_place(books), os.urandom(16), os.urandom(16)
    made = interleaved(
        books,
        lambda connection: invite(connection, terminal, enrolment_id=first, until=UNTIL, now=NOW),
        lambda connection: invite(connection, terminal, enrolment_id=second, until=UNTIL, now=NOW),
    )
    assert made == [True, True]
    assert [enrols(books, first), enrols(books, second)] == [False, True]


def test_nobody_is_invited_to_a_terminal_that_is_revoked_or_anothers(books: Books) -> None:
    terminal = create_place(books)
    assert not invited(books, terminal, os.urandom(16), tenant=books.house.enterprise)
    assert invited(books, terminal, os.urandom(16), tenant=books.house.merchant)
    books.change(lambda connection: terminals.revoke(connection, terminal))
    assert not invited(books, terminal, os.urandom(16))
    assert waits_until(books, terminal) is None
    assert not invited(books, 0, os.urandom(16))  # the office has no device
    assert not invited(books, 10**9, os.urandom(16))
