"""The books on a real PostgreSQL: what is written, what is refused, what is never doubled."""

import dataclasses
from datetime import date, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from msgspec import Struct
from msgspec.structs import fields, replace

from ledger import cards, members, merchants, organisations, terminals
from ledger.books import NoOpenDay, post
from ledger.database import Scope
from ledger.postings import (
    AccountState,
    CardState,
    Code,
    EntryRow,
    HoldLotRow,
    HoldRow,
    LotState,
    MisuseRow,
    PriceState,
    TerminalState,
    TransactionRow,
)
from ledger.statements import (
    ENTRY_COLUMNS,
    HOLD_COLUMNS,
    HOLD_LOT_COLUMNS,
    LOT_COLUMNS,
    MISUSE_COLUMNS,
    STATEMENTS,
    TRANSACTION_COLUMNS,
)
from tests.conftest import TestDatabase
from tests.desk import Books
from tests.factories import (
    NOW,
    TODAY,
    Holder,
    create_grant,
    create_inquiry,
    create_price,
    create_redeem,
    create_reversal,
    create_status,
    grant_points,
)


def test_a_debit_moves_points_once_however_often_it_comes(books: Books) -> None:
    holder = books.holder()
    redeem = create_redeem(books.house, holder)
    for turn in range(3):
        outcome = books.one(redeem)
        assert (outcome.code, outcome.points, outcome.balance) == (Code.APPROVED, 120, 880)
        assert outcome.recorded == (turn > 0)
    assert books.posted(holder) == 880


def test_a_debit_writes_its_transaction_and_an_entry_per_lot(books: Books) -> None:
    holder = books.holder(points=100, expires_on=TODAY)
    with books.database.transaction(Scope.everything()) as connection:
        grant_points(connection, books.house, holder.account, 500)
    redeem = create_redeem(books.house, holder, quantity=2)
    outcome = books.one(replace(redeem, reference="order 7", stan=3, batch=4, terminal_at=NOW))
    rows = books.ask(
        "SELECT kind, code, points, quantity, settlement_minor, currency, balance, merchant_id,"
        " store_id, card_tail, business_date, reference, stan, batch, terminal_at"
        " FROM transaction WHERE kind = 'redeem'"
    )
    house = books.house
    tail = holder.card.number[-4:]
    assert rows == [
        (
            "redeem",
            0,
            240,
            2,
            4_000,
            "CNY",
            360,
            house.merchant,
            house.store,
            tail,
            TODAY,
            "order 7",
            3,
            4,
            NOW,
        )
    ]
    assert outcome.transaction is not None
    entries = books.ask(
        "SELECT from_side, to_side, points, funder_id, merchant_id FROM entry WHERE transaction_id = :id"
        " ORDER BY lot_id",
        id=outcome.transaction.id,
    )
    assert entries == [
        ("member", "merchant", 100, house.enterprise, house.merchant),
        ("member", "merchant", 140, house.enterprise, house.merchant),
    ]


def test_a_recorded_answer_is_the_first_answer_word_for_word(books: Books) -> None:
    holder = books.holder()
    redeem = create_redeem(books.house, holder)
    first = books.one(redeem)
    books.one(create_redeem(books.house, holder))
    again = books.one(redeem)
    assert first.transaction is not None
    assert again == replace(first, recorded=True, transaction=again.transaction)
    assert again.transaction == first.transaction


def test_another_meaning_under_the_same_txid_is_noted_and_moves_nothing(books: Books) -> None:
    holder = books.holder()
    redeem = create_redeem(books.house, holder)
    books.one(redeem)
    assert books.one(replace(redeem, quantity=2)).code is Code.TXID_REUSED
    assert books.ask("SELECT txid, kind, code FROM misuse") == [(redeem.txid, "redeem", Code.TXID_REUSED)]
    assert books.posted(holder) == 880


def test_a_reversal_returns_points_to_lots_that_were_used_up(books: Books) -> None:
    holder = books.holder(points=120)
    redeem = create_redeem(books.house, holder)
    assert books.one(redeem).balance == 0
    outcome = books.one(create_reversal(redeem))
    assert (outcome.detail, outcome.points, outcome.balance) == ("reversed", 120, 120)
    assert books.one(create_reversal(redeem)).detail == "already_reversed"
    status = books.one(create_status(redeem))
    assert status.transaction is not None
    assert (status.code, status.points, status.transaction.reversed) == (Code.APPROVED, 120, True)


def test_a_reversal_that_came_first_declines_its_original(books: Books) -> None:
    holder = books.holder()
    redeem = create_redeem(books.house, holder)
    assert books.one(create_reversal(redeem)).detail == "never_seen"
    assert books.one(redeem).code is Code.UNDONE_BEFORE
    assert books.posted(holder) == 1_000


def test_a_fence_declines_what_comes_later(books: Books) -> None:
    redeem = create_redeem(books.house, books.holder())
    assert books.one(create_status(redeem, fence=True)).code is Code.NOT_FOUND
    assert books.one(redeem).code is Code.UNDONE_BEFORE


def test_wrong_pins_are_counted_across_postings(books: Books) -> None:
    holder = books.holder()
    for _ in range(3):
        assert books.one(create_redeem(books.house, holder, pin="000000")).code is Code.PIN_WRONG
    assert books.one(create_redeem(books.house, holder)).code is Code.PIN_BLOCKED
    assert books.ask("SELECT pin_tries FROM card") == [(3,)]


def test_blocks_closures_and_prices_hold_from_the_next_message_on(books: Books) -> None:
    house, holder = books.house, books.holder()

    def change(function: Any, *arguments: Any) -> Code:
        with books.database.transaction(Scope.everything()) as connection:
            function(connection, *arguments)
        return books.one(create_redeem(house, holder)).code

    status, renew = partial(cards.set_status, now=NOW), partial(cards.replace_card, now=NOW)
    assert change(status, holder.card, "suspended") is Code.CARD_BLOCKED
    assert change(status, holder.card, "active") is Code.APPROVED
    assert change(status, holder.card, "lost") is Code.CARD_LOST
    assert change(renew, holder.card) is Code.CARD_REPLACED
    holder = Holder(holder.account, dataclasses.replace(holder.card, issue=2))
    assert change(merchants.set_service_status, house.services["wash"], "closed") is Code.SERVICE_UNKNOWN
    assert change(merchants.set_service_status, house.services["wash"], "open") is Code.APPROVED
    assert change(organisations.set_status, house.store, "closed") is Code.MERCHANT_CLOSED
    assert change(organisations.set_status, house.store, "open") is Code.APPROVED
    assert change(organisations.set_status, house.merchant, "closed") is Code.MERCHANT_CLOSED
    assert change(organisations.set_status, house.merchant, "open") is Code.APPROVED
    assert change(terminals.revoke, house.terminal) is Code.TERMINAL_NOT_PERMITTED


def test_the_price_of_the_business_date_counts(books: Books) -> None:
    with books.database.transaction(Scope.everything()) as connection:
        create_price(connection, books.house, "old", points=5, until=TODAY - timedelta(days=1))
        create_price(connection, books.house, "turn", points=5, until=TODAY)
        create_price(connection, books.house, "turn", points=9, since=TODAY + timedelta(days=1))
    holder = books.holder()
    assert books.one(create_redeem(books.house, holder, "old")).code is Code.SERVICE_UNKNOWN
    assert books.one(create_redeem(books.house, holder, "turn")).points == 5


def test_grants_one_and_many_and_a_repeat_of_the_list_grants_nothing_again(books: Books) -> None:
    holders = [books.holder(points=0) for _ in range(5)]
    grants = [create_grant(books.house, holder, 100 + n) for n, holder in enumerate(holders)]
    assert [outcome.balance for outcome in books.post(*grants)] == [100, 101, 102, 103, 104]
    assert all(outcome.recorded for outcome in books.post(*grants))
    assert [books.posted(holder) for holder in holders] == [100, 101, 102, 103, 104]


@pytest.mark.parametrize("points", [0, -5, 10**12 + 1, 2**63])
def test_a_grant_of_no_sense_is_refused(books: Books, points: int) -> None:
    holder = books.holder(points=0)
    assert books.one(create_grant(books.house, holder, points)).code is Code.AMOUNT_INVALID
    assert books.posted(holder) == 0


def test_a_grant_that_is_already_expired_is_refused(books: Books) -> None:
    grant = replace(create_grant(books.house, books.holder(), 5), expires_on=TODAY - timedelta(days=1))
    assert books.one(grant).code is Code.AMOUNT_INVALID


def test_an_inquiry_writes_nothing_but_tries(books: Books) -> None:
    holder = books.holder(expires_on=TODAY + timedelta(days=3))
    outcome = books.one(create_inquiry(books.house, holder))
    assert (outcome.balance, outcome.expiring) == (1_000, ((1_000, TODAY + timedelta(days=3)),))
    before = books.ask("SELECT count(*) FROM transaction")
    assert books.one(create_inquiry(books.house, holder, pin="123123")).code is Code.PIN_WRONG
    assert books.ask("SELECT count(*) FROM transaction") == before
    assert books.ask("SELECT pin_tries FROM card") == [(1,)]


def test_nothing_is_posted_without_an_open_day(books: Books, database_urls: TestDatabase) -> None:
    holder = books.holder()
    with psycopg.connect(database_urls.server) as connection:
        connection.execute("UPDATE business_day SET status = 'closed', closed_at = now()")
    with pytest.raises(NoOpenDay):
        books.one(create_redeem(books.house, holder))
    with psycopg.connect(database_urls.server) as connection:
        connection.execute("UPDATE business_day SET status = 'open', closed_at = NULL")


def test_members_can_be_granted_through_their_room(books: Books) -> None:
    holder = books.holder(points=0)
    granting = members.Granting(
        account=holder.account,
        txid=create_grant(books.house, holder, 1).txid,
        points=40,
        funder=books.house.enterprise,
        lot_kind="promotional",
        expires_on=date(2027, 1, 1),
        detail="spring",
    )
    with books.database.transaction(Scope.tenant(books.house.enterprise)) as connection:
        (outcome,) = members.grant(connection, [granting], NOW)
    assert outcome.balance == 40
    assert books.ask("SELECT kind, granted, expires_on FROM lot") == [("promotional", 40, date(2027, 1, 1))]


def test_structs_become_rows_by_position_so_their_names_must_agree() -> None:
    structs: dict[type[Struct], dict[str, str]] = {
        TransactionRow: TRANSACTION_COLUMNS,
        EntryRow: ENTRY_COLUMNS,
        HoldRow: HOLD_COLUMNS,
        HoldLotRow: HOLD_LOT_COLUMNS,
        MisuseRow: MISUSE_COLUMNS,
        LotState: LOT_COLUMNS,
    }
    for struct, columns in structs.items():
        assert [each.name for each in fields(struct)][: len(columns)] == list(columns)


def test_postings_keep_the_day_open_without_a_word_in_its_row(books: Books) -> None:
    """Batches overlap, and all of them keep the same day."""
    lines = "SELECT xmax::text, ctid::text FROM business_day WHERE status = 'open'"
    before = books.ask(lines)
    with books.database.transaction(Scope.everything()) as connection:
        post(connection, [create_redeem(books.house, books.holder())], NOW)
        assert books.ask(lines) == before
        books.one(create_redeem(books.house, books.holder()))
    assert books.ask(lines) == before


def test_rows_become_states_by_position_so_their_names_must_agree(books: Books) -> None:
    """A swapped pair of columns would not be seen by types."""
    states: dict[str, type[Struct]] = {
        "lock_accounts": AccountState,
        "read_cards": CardState,
        "read_lots": LotState,
        "read_transactions": TransactionRow,
        "read_terminals": TerminalState,
    }
    with books.database.transaction(Scope.everything()) as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        for statement in STATEMENTS:
            state = states.pop(statement.name, None)
            if state is not None:
                cursor = psycopg.RawCursor(driver)
                nothing: list[list[Any] | None] = [
                    [] if kind.endswith("[]") else None for kind in statement.types
                ]
                cursor.execute(statement.sql, nothing)
                assert cursor.description is not None
                columns = [column.name for column in cursor.description]
                wanted = [each.name for each in fields(state)]
                if state is TerminalState:
                    wanted += [each.name for each in fields(PriceState)]
                assert columns == wanted, statement.name
    assert states == {}
