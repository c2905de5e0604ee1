"""Batches of cards: who gets one, what the work makes of it, and that nothing is done twice."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, text

from ledger import cards, jobs
from ledger.card_batch_work import ACTIVATE, ISSUE, STEPS, activate_some, issue_some, offer_codes
from ledger.card_batches import (
    Batch,
    Wanted,
    batch_cards,
    batches,
    count_wanted,
    create_batch,
    find_batch,
    known_codes,
    print_cards,
    units_of,
)
from ledger.card_details import CardDetails, CardEvent, card_history, find_card
from ledger.database import Scope
from ledger.members import create_member
from ledger.organisations import create_child
from ledger.trail import Actor, broken
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books, until_somebody_waits
from tests.factories import NOW, TODAY, create_house


@pytest.fixture(scope="module")
def shared(module_database_urls: TestDatabase) -> Iterator[Books]:
    with opened_books(module_database_urls) as opened:
        yield opened


@pytest.fixture
def books(shared: Books) -> Books:
    """The same database, with an enterprise of the test's own."""
    shared.house = shared.change(create_house)
    return shared


def people(books: Books, *codes: str, unit: int | None = None) -> list[cards.Card | None]:
    """Members with these codes; those that end in `+` have a card."""

    def act(connection: Connection) -> list[cards.Card | None]:
        made: list[cards.Card | None] = []
        for code in codes:
            account = create_member(
                connection, enterprise=books.house.enterprise, code=code.rstrip("+"), name=f"Member {code}"
            )
            if unit is not None:
                told = {"unit": unit, "account": account.id}
                connection.execute(
                    text(
                        "UPDATE member SET organisation_id = :unit FROM account a"
                        " WHERE a.member_id = member.id AND a.id = :account"
                    ),
                    told,
                )
            made.append(cards.issue_card(connection, account, now=NOW) if code.endswith("+") else None)
        return made

    return books.change(act)


def order(books: Books, *, status: str = "issued", **wanted: object) -> Batch:
    def act(connection: Connection) -> Batch:
        asked = Wanted(enterprise=books.house.enterprise, **wanted)  # type: ignore[arg-type]
        made, _lines = create_batch(connection, asked, now=NOW, status=status, expires_on=TODAY, note="May")
        found = find_batch(connection, made)
        assert found is not None
        return found

    return books.change(act)


def seen_of(connection: Connection, card: cards.Card) -> tuple[CardDetails | None, list[CardEvent]]:
    return find_card(connection, card.number), card_history(connection, card)


def branch_of(books: Books, code: str) -> int:
    def act(connection: Connection) -> int:
        top = books.house.enterprise
        return create_child(connection, parent=top, kind="branch", code=code, name=f"Branch {code}")

    return books.change(act)


def again(books: Books, batch: Batch) -> Batch:
    found = books.change(lambda connection: find_batch(connection, batch.id))
    assert found is not None
    return found


def issue(books: Books, batch: Batch, most: int = 500) -> int:
    return books.change(lambda connection: issue_some(connection, batch, now=NOW, most=most))


def test_a_batch_is_for_members_without_a_card_in_the_order_of_their_codes(books: Books) -> None:
    _, _, had = people(books, "B3", "B1", "B2+")
    batch = order(books)
    assert (batch.lines, batch.issued, batch.done) == (2, 0, False)
    assert issue(books, batch) == 2
    assert issue(books, batch) == 0
    lines = books.change(lambda connection: batch_cards(connection, batch.id, most=10))
    assert [(line.line, line.member_code, line.status) for line in lines] == [
        (1, "B1", "issued"), (2, "B3", "issued"),
    ]  # fmt: skip
    for line in lines:
        assert line.card is not None
        assert line.card.number == cards.card_number(line.card.slot, line.card.id)
        found, (event,) = books.change(partial(seen_of, card=line.card))
        assert found is not None
        assert (found.card, found.expires_on, found.status) == (line.card, TODAY, "issued")
        assert (event.what, event.to_status, event.reason) == ("issued", "issued", "May")
    after = again(books, batch)
    assert (after.issued, after.passed, after.done) == (2, 0, True)
    # A card that is closed does not count as one, any other does.
    wanted = Wanted(enterprise=books.house.enterprise)
    assert books.change(lambda connection: count_wanted(connection, wanted)) == 0
    assert had is not None
    books.change(lambda connection: cards.set_status(connection, had, "closed", now=NOW))
    assert books.change(lambda connection: count_wanted(connection, wanted)) == 1


def test_codes_and_units_choose(books: Books) -> None:
    house = books.house
    branch = branch_of(books, "BR")
    people(books, "C1", "C2")
    people(books, "C3", "C4", unit=branch)
    top, unit = books.change(lambda connection: units_of(connection, house.enterprise))
    assert (unit.id, unit.depth, set(top.below)) == (branch, 1, {house.enterprise, branch})
    for wanted, count in (
        ({"codes": ("C1", "C3", "C9")}, 2),
        ({"units": unit.below}, 2),
        ({"units": top.below}, 4),
        ({"units": unit.below, "codes": ("C1", "C3")}, 1),
    ):
        assert order(books, **wanted).lines == count
    known = books.change(lambda connection: known_codes(connection, house.enterprise, ["C1", "C9", "B1"]))
    assert known == {"C1"}


def test_who_has_got_a_card_meanwhile_is_passed_over_and_two_workers_make_one_card(books: Books) -> None:
    people(books, "D1", "D2", "D3")
    first, second = order(books), order(books, codes=("D1", "D2"))
    with books.database.transaction(Scope.everything()) as connection:
        assert issue_some(connection, first, now=NOW, most=2) == 2
        other = threading.Thread(target=issue, args=(books, second))
        other.start()
        until_somebody_waits(connection)
    other.join()
    assert issue(books, first) == 1
    assert (again(books, first).issued, again(books, first).passed) == (3, 0)
    assert (again(books, second).issued, again(books, second).passed) == (0, 2)
    ((many,),) = books.ask("SELECT count(*) FROM card WHERE enterprise_id = :e", e=books.house.enterprise)
    assert many == 3


def test_a_large_batch_is_made_by_a_job_that_goes_on_after_a_crash(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(books, *(f"E{each}" for each in range(7)))
    batch, tenant = order(books), books.house.enterprise
    monkeypatch.setattr("ledger.card_batch_work.issue_some.__kwdefaults__", {"staff": None, "most": 3})

    def begin(connection: Connection, kind: str) -> int:
        told = {"batch": batch.id}
        return jobs.start(
            connection, kind, tenant=tenant, actor=Actor(None, "Lin Wei"), told=told, total=7, now=NOW
        )

    def run() -> None:
        while jobs.run_step(books.database, STEPS, lambda: NOW):
            pass

    number = books.change(lambda connection: begin(connection, ISSUE))
    with monkeypatch.context() as broken_off:
        steps = dict(STEPS)

        def dies(connection: Connection, job: jobs.Job, now: object) -> jobs.Job:
            STEPS[ISSUE](connection, job, NOW)
            raise KeyboardInterrupt  # after its work, before the commit

        steps[ISSUE] = dies
        assert jobs.run_step(books.database, STEPS, lambda: NOW)
        with pytest.raises(KeyboardInterrupt):
            jobs.run_step(books.database, steps, lambda: NOW)
        broken_off.undo()
    assert again(books, batch).issued == 3
    run()
    done = books.change(lambda connection: jobs.read_job(connection, number))
    assert done is not None
    assert (done.state, done.done, done.result) == ("done", 7, {"issued": 7, "passed": 0})
    books.change(lambda connection: begin(connection, ACTIVATE))
    run()
    lines = books.change(lambda connection: batch_cards(connection, batch.id, most=10))
    assert [line.status for line in lines] == ["active"] * 7
    told = books.ask("SELECT what FROM trail_line WHERE tenant_id = :t ORDER BY number", t=tenant)
    assert told == [("card_batch.issued",), ("card_batch.activated",)]
    assert books.change(lambda connection: broken(connection, tenant)) is None


def test_only_cards_that_wait_become_active(books: Books) -> None:
    people(books, "F1", "F2", "F3")
    batch = order(books)
    issue(books, batch)
    lines = books.change(lambda connection: batch_cards(connection, batch.id, most=10))
    lost = lines[1].card
    assert lost is not None
    books.change(lambda connection: cards.set_status(connection, lost, "lost", now=NOW))
    assert books.change(lambda connection: activate_some(connection, batch.id, now=NOW, most=2)) == (2, 1)
    assert books.change(lambda connection: activate_some(connection, batch.id, now=NOW, after=2)) == (3, 1)
    assert books.change(lambda connection: activate_some(connection, batch.id, now=NOW, after=3)) == (0, 0)
    after = books.change(lambda connection: batch_cards(connection, batch.id, most=10))
    assert [line.status for line in after] == ["active", "lost", "active"]
    # What is lost is not printed again, nor what has expired.
    chosen = books.change(lambda connection: print_cards(connection, batch.id, after=0, upto=2))
    assert [line.line for line in chosen] == [1]


def test_codes_are_offered_to_the_cards_that_can_take_one(books: Books) -> None:
    people(books, "G1", "G2")
    batch = order(books)
    issue(books, batch)
    chosen = books.change(lambda connection: print_cards(connection, batch.id, after=0, upto=9))
    closed = chosen[0].card
    assert closed is not None
    books.change(lambda connection: cards.set_status(connection, closed, "closed", now=NOW))
    until = NOW + timedelta(days=3)
    verifiers = [bytes([each] * 32) for each in (1, 2)]
    took = books.change(
        lambda connection: offer_codes(connection, chosen, verifiers, until=until, now=NOW, reason="Letter")
    )
    assert took == 1
    rows = books.ask(
        "SELECT pin_code, pin_code_until FROM card WHERE enterprise_id = :e ORDER BY id",
        e=books.house.enterprise,
    )
    assert [(None if code is None else bytes(code), day) for code, day in rows] == [
        (None, None), (verifiers[1], until),
    ]  # fmt: skip


def test_a_batch_is_seen_by_its_enterprise_and_by_the_units_that_it_is_for(books: Books) -> None:
    house = books.house
    branch, other = branch_of(books, "B1"), branch_of(books, "B2")
    people(books, "H1", unit=branch)
    asked = Wanted(enterprise=house.enterprise)
    # Whoever looks after one unit makes it, and reads back what they made.
    with books.database.transaction(Scope.tenant(house.enterprise, frozenset({branch}))) as connection:
        made, lines = create_batch(connection, asked, now=NOW, status="active", units=[branch])
        assert lines == 1
        batch = find_batch(connection, made)
        assert batch is not None
        assert issue_some(connection, batch, now=NOW) == 1
    seen = {}
    for name, scope in (
        ("enterprise", Scope.tenant(house.enterprise)),
        ("unit", Scope.tenant(house.enterprise, frozenset({branch}))),
        ("other", Scope.tenant(house.enterprise, frozenset({other}))),
        ("merchant", Scope.tenant(house.merchant)),
    ):
        with books.database.transaction(scope) as connection:
            seen[name] = (len(batches(connection, most=9)), len(batch_cards(connection, made, most=9)))
    assert seen == {"enterprise": (1, 1), "unit": (1, 1), "other": (0, 0), "merchant": (0, 0)}


def test_a_job_makes_active_what_its_asker_may_see(books: Books) -> None:
    tenant, one, other = books.house.enterprise, branch_of(books, "B1"), branch_of(books, "B2")
    people(books, "I1", unit=one)
    people(books, "I2", unit=other)

    def ask(connection: Connection) -> int:
        wanted = Wanted(enterprise=tenant)
        batch, _lines = create_batch(connection, wanted, now=NOW, status="issued", units=[one, other])
        found = find_batch(connection, batch)
        assert found is not None
        issue_some(connection, found, now=NOW)
        told = {"batch": batch, "units": [one]}
        jobs.start(
            connection, ACTIVATE, tenant=tenant, actor=Actor(None, "Lin Wei"), told=told, total=2, now=NOW
        )
        return batch

    batch = books.change(ask)
    while jobs.run_step(books.database, STEPS, lambda: NOW):
        pass
    lines = books.change(lambda connection: batch_cards(connection, batch, most=9))
    assert [(line.member_code, line.status) for line in lines] == [("I1", "active"), ("I2", "issued")]
