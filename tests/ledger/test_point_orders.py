"""Orders of points: drafted, confirmed, approved by another, carried out once, within the budget."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, ProgrammingError

from ledger import books as ledger_books
from ledger import budgets, jobs, point_orders, point_steps
from ledger.database import Scope
from ledger.point_lines import (
    Fault,
    Line,
    MemberFilter,
    Wanted,
    find_accounts,
)
from ledger.point_orders import NewOrder, PointOrder
from ledger.point_steps import Refused
from ledger.postings import Code
from ledger.trail import Actor, broken
from tests.conftest import TestDatabase
from tests.desk import Books, interleaved, opened_books
from tests.factories import NOW, TODAY, Holder, create_hold, create_house
from tests.ordering import create_order, create_staff_row


@pytest.fixture(scope="module")
def shared(module_database_urls: TestDatabase) -> Iterator[Books]:
    """One database for all; each test has an enterprise of its own. The books must be right at the end."""
    with opened_books(module_database_urls) as opened:
        yield opened


@pytest.fixture
def books(shared: Books) -> Books:
    shared.house = shared.change(create_house)
    return shared


@pytest.fixture
def maker(books: Books) -> Actor:
    return books.change(lambda connection: create_staff_row(connection, books.house.enterprise))


@pytest.fixture
def other(books: Books) -> Actor:
    return books.change(lambda connection: create_staff_row(connection, books.house.enterprise))


def drafted(books: Books, maker: Actor, lines: list[tuple[Holder, int]], **fields: Any) -> int:
    return books.change(lambda connection: create_order(connection, books.house, maker, lines, **fields))


def confirmed(books: Books, order: int, by: Actor) -> PointOrder | Refused:
    return books.change(lambda c: point_steps.confirm(c, order, by=by, now=NOW))


def approved(books: Books, order: int, by: Actor, needs: str = "approval") -> PointOrder | Refused:
    return books.change(lambda c: point_steps.approve(c, order, needs, by=by, now=NOW))


def state(found: PointOrder | Refused) -> str:
    return found.state if isinstance(found, PointOrder) else f"refused: {found.why}"


def work(books: Books) -> None:
    while jobs.run_step(books.database, point_steps.STEPS, lambda: NOW):
        pass


# ---- carried out --------------------------------------------------------------------------------


def test_a_small_order_is_carried_out_when_it_is_confirmed_and_only_then(books: Books, maker: Actor) -> None:
    one, two = books.holder(points=0), books.holder(points=0)
    order = drafted(books, maker, [(one, 70), (two, 30)], expires_on=TODAY + timedelta(days=9))
    assert [books.posted(holder) for holder in (one, two)] == [0, 0]
    found = confirmed(books, order, maker)
    assert state(found) == "done"
    assert [books.posted(holder) for holder in (one, two)] == [70, 30]
    assert state(confirmed(books, order, maker)) == "refused: changed"
    lines = books.change(lambda c: point_orders.order_lines(c, order, most=10))
    assert [(line.number, line.points, line.code) for line in lines] == [(1, 70, 0), (2, 30, 0)]
    ((detail, staff),) = books.ask(
        "SELECT detail, staff_id FROM transaction WHERE id = :id", id=lines[0].transaction_id
    )
    assert (detail, staff) == ("Welcome", maker.staff_id)


def test_a_long_order_goes_on_after_a_crash_and_grants_nothing_twice(
    books: Books, maker: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(point_steps, "STEP_LINES", 2)
    holders = [books.holder(points=0) for _ in range(5)]
    order = drafted(books, maker, [(holder, 10) for holder in holders])
    assert state(confirmed(books, order, maker)) == "approved"
    assert jobs.run_step(books.database, point_steps.STEPS, lambda: NOW)
    real = ledger_books.post

    def crash(connection: Connection, requests: object, now: object) -> object:
        real(connection, requests, now)  # type: ignore[arg-type]
        raise RuntimeError("the power went out")

    monkeypatch.setattr(ledger_books, "post", crash)
    with pytest.raises(RuntimeError):
        jobs.run_step(books.database, point_steps.STEPS, lambda: NOW)
    monkeypatch.setattr(ledger_books, "post", real)
    assert [books.posted(holder) for holder in holders] == [10, 10, 0, 0, 0]
    # And even when the lines forget what they were answered, the books do not.
    books.change(
        lambda c: c.exec_driver_sql(
            f"UPDATE point_order_line SET code = NULL, transaction_id = NULL WHERE order_id = {order};"
            f"UPDATE point_order SET asked = 0, approved = 0, approved_points = 0 WHERE id = {order}"
        )
    )
    assert state(books.change(lambda c: point_steps.resume(c, order, by=maker, now=NOW))) == "approved"
    work(books)
    assert [books.posted(holder) for holder in holders] == [10] * 5
    found = books.change(lambda c: point_orders.read_order(c, order))
    assert found is not None
    assert found.state == "done"
    assert (found.asked, found.approved, found.approved_points) == (5, 5, 50)
    assert books.ask("SELECT count(*) FROM trail_line WHERE what = 'point_order.done'") == [(1,)]
    assert books.change(lambda c: broken(c, books.house.enterprise)) is None


def test_points_are_taken_back_but_never_what_is_held_or_is_not_there(books: Books, maker: Actor) -> None:
    rich, poor = books.holder(points=500), books.holder(points=500)
    books.one(create_hold(books.house, poor, amount=300))
    order = drafted(books, maker, [(rich, 201), (poor, 201)], kind="adjust", lot_kind=None)
    assert state(confirmed(books, order, maker)) == "done"
    assert [books.posted(holder) for holder in (rich, poor)] == [299, 500]
    lines = books.change(lambda c: point_orders.order_lines(c, order, most=10))
    assert [line.code for line in lines] == [0, Code.POINTS_INSUFFICIENT]
    refused = books.change(lambda c: point_orders.order_lines(c, order, refused=True, most=10))
    assert [line.number for line in refused] == [2]
    sides = books.ask(
        "SELECT from_side, to_side, points FROM entry WHERE transaction_id = :id", id=lines[0].transaction_id
    )
    assert sides == [("member", "funder", 201)]


@given(order=st.integers(1, 2**40), number=st.integers(1, 100_000))
def test_a_line_has_one_txid_for_ever_and_shares_it_with_no_other(order: int, number: int) -> None:
    txid = point_steps.line_txid(order, NOW, number)
    assert (txid.version, txid.variant) == (8, UUID(int=0x80 << 56).variant)
    assert txid == point_steps.line_txid(order, NOW, number)
    assert txid not in {
        point_steps.line_txid(order + 1, NOW, number),
        point_steps.line_txid(order, NOW, number + 1),
    }


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE point_order_line SET points = points + 1",
        "UPDATE point_order SET points = points + 1",
        "UPDATE point_order SET staff_id = 1",
        "DELETE FROM point_order_line",
    ],
)
def test_what_was_ordered_for_whom_no_program_changes(books: Books, sql: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        books.change(lambda connection: connection.exec_driver_sql(sql))


# ---- a second person ----------------------------------------------------------------------------


def test_above_the_limit_another_person_approves_once(books: Books, maker: Actor, other: Actor) -> None:
    holder = books.holder(points=0)
    books.change(lambda c: budgets.set_approval_points(c, books.house.enterprise, 100))
    assert state(confirmed(books, drafted(books, maker, [(holder, 100)]), maker)) == "done"
    order = drafted(books, maker, [(holder, 101)])
    assert state(confirmed(books, order, maker)) == "waiting"
    assert state(approved(books, order, maker)) == "refused: own"
    assert state(approved(books, order, other, "payment")) == "refused: changed"
    may = frozenset({"points.approve"})
    with books.database.transaction(Scope.tenant(books.house.enterprise)) as connection:
        counted = [
            point_orders.waiting_for(connection, staff=who.staff_id or 0, permissions=may)
            for who in (maker, other)
        ]
    assert counted == [0, 1]
    answers = interleaved(
        books,
        lambda c: point_steps.approve(c, order, "approval", by=other, now=NOW),
        lambda c: point_steps.approve(c, order, "approval", by=other, now=NOW),
    )
    assert [state(answer) for answer in answers] == ["done", "refused: changed"]
    assert books.posted(holder) == 201


def test_the_database_itself_lets_nobody_approve_their_own(books: Books, maker: Actor) -> None:
    order = drafted(books, maker, [(books.holder(points=0), 20_000)])
    assert state(confirmed(books, order, maker)) == "waiting"
    with pytest.raises(IntegrityError, match="second_person"):
        books.change(
            lambda c: c.exec_driver_sql(
                "UPDATE point_order SET state = 'approved', decided_at = now(), decided_by = staff_id"
                f" WHERE id = {order}"
            )
        )


def test_what_is_refused_or_withdrawn_never_happens(books: Books, maker: Actor, other: Actor) -> None:
    holder = books.holder(points=0)
    refused, withdrawn = (drafted(books, maker, [(holder, 20_000)]) for _ in range(2))
    for order in (refused, withdrawn):
        assert state(confirmed(books, order, maker)) == "waiting"
    no = books.change(lambda c: point_steps.refuse(c, refused, "approval", by=other, now=NOW, note="No"))
    assert (state(no), no.note if isinstance(no, PointOrder) else None) == ("refused", "No")
    assert (
        state(books.change(lambda c: point_steps.withdraw(c, withdrawn, by=other, now=NOW)))
        == "refused: gone"
    )
    assert state(books.change(lambda c: point_steps.withdraw(c, withdrawn, by=maker, now=NOW))) == "withdrawn"
    for order in (refused, withdrawn):
        assert state(approved(books, order, other)) == "refused: changed"
    assert books.posted(holder) == 0


def test_a_bank_transfer_waits_for_the_money_and_costs_no_budget(
    books: Books, maker: Actor, other: Actor
) -> None:
    holder = books.holder(points=0)
    budget(books, 10)
    paid = {"kind": "topup", "lot_kind": "purchased", "paid_minor": 5_000, "currency": "CNY"}
    order = drafted(books, maker, [(holder, 500)], payment="transfer", **paid)
    assert state(confirmed(books, order, maker)) == "waiting"
    assert state(approved(books, order, other)) == "refused: changed"
    assert state(approved(books, order, other, "payment")) == "done"
    assert (
        state(confirmed(books, drafted(books, maker, [(holder, 70)], payment="cash", **paid), maker))
        == "done"
    )
    lots = books.ask("SELECT kind, granted, expires_on FROM lot WHERE account_id = :id", id=holder.account.id)
    assert sorted(lots) == [("purchased", 70, None), ("purchased", 500, None)]
    assert used(books) == 0


# ---- the budget ---------------------------------------------------------------------------------


def budget(books: Books, points: int) -> int:
    return books.change(
        lambda c: budgets.create_budget(
            c, enterprise=books.house.enterprise, since=TODAY, last=TODAY, points=points
        )
    )


def used(books: Books) -> int:
    (found,) = books.change(lambda c: budgets.budgets(c, books.house.enterprise))
    return found.used


def test_of_two_grants_at_once_only_one_fits_the_budget(books: Books, maker: Actor) -> None:
    holders = [books.holder(points=0) for _ in range(2)]
    budget(books, 100)
    orders = [drafted(books, maker, [(holder, 60)]) for holder in holders]
    answers = interleaved(
        books,
        *((lambda c, order=order: point_steps.confirm(c, order, by=maker, now=NOW)) for order in orders),
    )
    assert [state(answer) for answer in answers] == ["done", "refused: budget"]
    assert answers[1] == Refused("budget", 40)
    assert sorted(books.posted(holder) for holder in holders) == [0, 60]
    assert used(books) == 60


def test_what_was_not_granted_goes_back_to_the_budget(books: Books, maker: Actor) -> None:
    fine, closed = books.holder(points=0), books.holder(points=0)
    budget(books, 100)
    order = drafted(books, maker, [(fine, 30), (closed, 70)])
    books.ask("UPDATE account SET status = 'closed' WHERE id = :id RETURNING 1", id=closed.account.id)
    assert state(confirmed(books, order, maker)) == "done"
    assert used(books) == 30


def test_a_budget_overlaps_no_other_and_never_falls_below_what_is_used(books: Books, maker: Actor) -> None:
    number = budget(books, 100)
    assert state(confirmed(books, drafted(books, maker, [(books.holder(points=0), 60)]), maker)) == "done"
    with pytest.raises(budgets.BudgetRefused, match="overlap"):
        budget(books, 5)

    def change(connection: Connection, points: int) -> None:
        found = budgets.lock_budget(connection, books.house.enterprise, number)
        assert found is not None
        budgets.change_budget(connection, found, points)

    with pytest.raises(budgets.BudgetRefused, match="used"):
        books.change(lambda c: change(c, 59))
    books.change(lambda c: change(c, 60))
    tomorrow = TODAY + timedelta(days=1)
    books.change(
        lambda c: budgets.create_budget(
            c, enterprise=books.house.enterprise, since=tomorrow, last=None, points=5
        )
    )
    found = books.change(lambda c: budgets.budgets(c, books.house.enterprise))
    assert [(each.since, each.last, each.left) for each in found] == [(tomorrow, None, 5), (TODAY, TODAY, 0)]


# ---- for whom -----------------------------------------------------------------------------------


def test_codes_are_of_the_enterprise_and_in_the_scope(books: Books) -> None:
    holder = books.holder(points=0)
    ((code,),) = books.ask(
        "SELECT m.code FROM member m JOIN account a ON a.member_id = m.id WHERE a.id = :id",
        id=holder.account.id,
    )
    asked = [Wanted(1, "nobody", 5), Wanted(2, str(code), 6)]
    lines, faults = books.change(lambda c: find_accounts(c, books.house.enterprise, asked))
    assert lines == [Line(holder.account.slot, holder.account.id, 6)]
    assert faults == [Fault(1, "nobody", "unknown")]
    elsewhere = books.change(create_house)
    assert books.change(lambda c: find_accounts(c, elsewhere.enterprise, asked))[0] == []
    with books.database.transaction(Scope.tenant(books.house.enterprise, frozenset({-1}))) as connection:
        assert find_accounts(connection, books.house.enterprise, asked)[0] == []


def test_a_filter_finds_units_with_all_below_and_products_and_days(books: Books, maker: Actor) -> None:
    house = books.house
    north, south, below = books.holder(points=0), books.holder(points=0), books.holder(points=0)

    def place(connection: Connection) -> tuple[int, int]:
        from ledger import limits, organisations

        unit = organisations.create_child(
            connection, parent=house.enterprise, kind="branch", code="N", name="North"
        )
        office = organisations.create_child(connection, parent=unit, kind="branch", code="N1", name="One")
        product = limits.create_product(connection, enterprise=house.enterprise, code="P", name="Gold")
        for holder, where in ((north, unit), (below, office)):
            connection.exec_driver_sql(
                f"UPDATE member SET organisation_id = {where} WHERE id ="
                f" (SELECT member_id FROM account WHERE id = {holder.account.id})"
            )
        connection.exec_driver_sql(f"UPDATE card SET product_id = {product} WHERE id = {below.card.id}")
        return unit, product

    unit, product = books.change(place)

    def found(which: MemberFilter, **days: object) -> set[int]:
        def ask(connection: Connection) -> set[int]:
            told = NewOrder(
                tenant=house.enterprise, unit=house.enterprise, kind="grant", reason="All",
                funder=house.enterprise, staff=maker.staff_id or 0, staff_name=maker.name,
            )  # fmt: skip
            try:
                order = point_orders.draft_by_filter(connection, told, which, 5, NOW, **days)  # type: ignore[arg-type]
            except point_orders.Nobody:
                return set()
            return {line.account_id for line in point_orders.order_lines(connection, order, most=9)}

        return books.change(ask)

    assert found(MemberFilter()) == {holder.account.id for holder in (north, south, below)}
    assert found(MemberFilter(unit=unit)) == {north.account.id, below.account.id}
    assert found(MemberFilter(product=product)) == {below.account.id}
    assert found(MemberFilter(), until=NOW - timedelta(days=30_000)) == set()
