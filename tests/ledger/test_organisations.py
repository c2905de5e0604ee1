"""Trees stay trees, whatever is done to them and however many do it at once."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from ledger import organisations, staff
from ledger.database import Scope
from ledger.organisation_tree import (
    Node,
    Tree,
    find_node,
    places_for,
    read_tree,
    roots_of,
    search_nodes,
    ways,
)
from ledger.organisations import OrganisationRefused
from tests.conftest import TestDatabase
from tests.desk import Act, Books, interleaved, opened_books
from tests.factories import create_house


@pytest.fixture(scope="module")
def shared_books(module_database_urls: TestDatabase) -> Iterator[Books]:
    """The invariants are asked at the end: every tree hangs on its tenant."""
    with opened_books(module_database_urls) as books:
        yield books


def unit(books: Books, parent: int, code: str) -> int:
    return books.change(
        lambda connection: organisations.create_unit(
            connection, parent=parent, kind="branch", code=code, name=f"Unit {code}"
        )
    )


def new_enterprise(books: Books) -> int:
    return books.change(create_house).enterprise


def refused(books: Books, act: Callable[[Connection], object]) -> str:
    with pytest.raises(OrganisationRefused) as error:
        books.change(act)
    return error.value.why


def test_two_moves_at_once_make_no_circle(shared_books: Books) -> None:
    top = new_enterprise(shared_books)
    left, right = unit(shared_books, top, "L"), unit(shared_books, top, "R")

    def move(what: int, below: int) -> Act:
        def act(connection: Connection) -> str:
            try:
                organisations.move(connection, what, parent=below)
            except OrganisationRefused as error:
                return error.why
            return "moved"

        return act

    outcomes = interleaved(shared_books, move(left, right), move(right, left))
    assert outcomes == ["moved", "circular"]


def test_a_unit_made_while_the_one_above_is_closed_finds_it_closed(shared_books: Books) -> None:
    place = unit(shared_books, new_enterprise(shared_books), "P")

    def make(connection: Connection) -> str:
        try:
            organisations.create_unit(connection, parent=place, kind="branch", code="B", name="B")
        except OrganisationRefused as error:
            return error.why
        return "made"

    def close(connection: Connection) -> None:
        organisations.close(connection, place)

    assert interleaved(shared_books, close, make)[1] == "closed_above"


def test_members_and_staff_need_not_wait_for_whoever_changes_the_tree(shared_books: Books) -> None:
    top = new_enterprise(shared_books)
    with shared_books.database.transaction(Scope.everything()) as one:
        organisations.lock_tree(one, top)
        with shared_books.database.transaction(Scope.everything()) as other:
            assert staff.create_staff(
                other, organisation_id=top, login=f"free-{top}", name="Free", password="x" * 8
            )


STEPS = st.lists(
    st.tuples(st.sampled_from(["move", "close", "reopen"]), st.integers(0, 7), st.integers(0, 8))
)


@given(steps=STEPS)
@settings(max_examples=10)
def test_whatever_is_done_the_tree_stays_one_and_nothing_open_is_below_what_is_closed(
    shared_books: Books, steps: list[tuple[str, int, int]]
) -> None:
    class _Undo(Exception):
        pass

    def act(connection: Connection) -> None:
        top = create_house(connection).enterprise
        made = [top]
        for number in range(8):
            made.append(
                organisations.create_unit(
                    connection, parent=made[number // 2], kind="branch", code=f"U{number}", name="U"
                )
            )
        for step, what, where in steps:
            try:
                if step == "move":
                    organisations.move(connection, made[what + 1], parent=made[where])
                elif step == "close":
                    organisations.close(connection, made[what + 1])
                else:
                    organisations.reopen(connection, made[what + 1])
            except OrganisationRefused:
                continue
        rows = connection.execute(
            text("SELECT id, parent_id, status FROM organisation WHERE tenant_id = :top"), {"top": top}
        ).all()
        above, status = {row.id: row.parent_id for row in rows}, {row.id: row.status for row in rows}
        for node, parent in above.items():
            assert top in _way_up(above, node)
            assert parent is None or status[node] == "closed" or status[parent] == "open"
        tree = read_tree(connection, _found(connection, top), most=50, level=50, each=50)
        assert _ids(tree) == set(above)
        raise _Undo

    with pytest.raises(_Undo):
        shared_books.change(act)


def _way_up(above: dict[int, int | None], node: int) -> list[int]:
    way = [node]
    while (up := above[way[-1]]) is not None and len(way) <= len(above):
        way.append(up)
    return way


def _found(connection: Connection, organisation: int) -> Node:
    node = find_node(connection, organisation)
    assert node is not None
    return node


def _ids(tree: Tree) -> set[int]:
    return {tree.node.id}.union(*(_ids(each) for each in tree.below))


def test_what_cannot_be_is_refused_by_its_name(shared_books: Books) -> None:
    top, other = new_enterprise(shared_books), new_enterprise(shared_books)
    place = unit(shared_books, top, "A")
    below = unit(shared_books, place, "AA")
    assert refused(shared_books, lambda c: organisations.move(c, top, parent=place)) == "top"
    assert refused(shared_books, lambda c: organisations.move(c, place, parent=other)) == "foreign"
    assert refused(shared_books, lambda c: organisations.move(c, place, parent=10**12)) == "foreign"
    assert refused(shared_books, lambda c: organisations.move(c, place, parent=below)) == "circular"
    assert refused(shared_books, lambda c: organisations.move(c, below, parent=place)) == "no_change"
    assert refused(shared_books, lambda c: organisations.close(c, place)) == "open_below"
    assert refused(shared_books, lambda c: organisations.close(c, below, by_staff_of=below)) == "own_unit"
    assert refused(shared_books, lambda c: organisations.close(c, shared_books.house.operator)) == "top"
    assert refused(shared_books, lambda c: organisations.reopen(c, below)) == "no_change"
    assert refused(shared_books, lambda c: organisations.rename(c, below, name="N", code="A")) == "code_taken"

    def twin(connection: Connection) -> int:
        (code,) = connection.execute(text("SELECT code FROM organisation WHERE id = :id"), {"id": top}).one()
        return organisations.create_tenant(connection, kind="enterprise", code=code, name="Twin")

    def shop(connection: Connection) -> int:
        return organisations.create_unit(connection, parent=top, kind="store", code="S", name="S")

    assert refused(shared_books, twin) == "code_taken"
    assert refused(shared_books, shop) == "kind"


def test_a_scope_of_units_sees_their_part_of_the_tree(shared_books: Books) -> None:
    top = new_enterprise(shared_books)
    mine = unit(shared_books, top, "MINE")
    below, other = unit(shared_books, mine, "LOW"), unit(shared_books, top, "OTHER")
    units = frozenset({mine, below})
    with shared_books.database.transaction(Scope.everything()) as connection:
        assert [node.id for node in roots_of(connection, units)] == [mine]
        alone = _found(connection, mine)
        tree = read_tree(connection, alone, units=frozenset({mine}), most=9, level=9, each=9)
        assert _ids(tree) == {mine}
        assert [node.id for node in search_nodes(connection, top, "unit", units=units, most=9)] == [
            below,
            mine,
        ]
        low = _found(connection, below)
        assert [node.id for node in places_for(connection, low, "", units=units, most=9)] == [mine]
        assert {node.id for node in places_for(connection, alone, "", most=9)} == {top, other}
        assert [id_ for id_, _name in ways(connection, [below])[below]] == [top, mine]


def test_a_page_shows_no_half_of_a_family(shared_books: Books) -> None:
    top = new_enterprise(shared_books)
    first, second = unit(shared_books, top, "F1"), unit(shared_books, top, "F2")
    for parent in (first, second):
        for number in range(5):
            unit(shared_books, parent, f"{parent}-{number}")
    with shared_books.database.transaction(Scope.everything()) as connection:
        root = _found(connection, top)
        tree = read_tree(connection, root, most=9, level=9, each=9)
        assert [len(each.below) for each in tree.below] == [5, 0]
        assert [each.hidden for each in tree.below] == [0, 5]
        capped = read_tree(connection, root, most=50, level=9, each=3)
        assert [each.hidden for each in capped.below] == [2, 2]
        later = read_tree(connection, root, most=9, level=1, each=9, skip=1)
        assert [each.node.id for each in later.below] == [second]
