"""Services and prices: dated, without overlap, sellable at once."""

import threading
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from ledger import businessday, merchants
from ledger.database import Scope, psycopg_url
from ledger.merchants import Offer, PriceRefused
from ledger.postings import Code
from tests.conftest import TestDatabase
from tests.desk import Books, interleaved, until_somebody_waits
from tests.factories import NOW, TODAY, create_price, create_redeem

TOMORROW = TODAY + timedelta(days=1)


def agree(books: Books, code: str, **fields: Any) -> int:
    with books.database.transaction(Scope.everything()) as connection:
        return create_price(connection, books.house, code, **fields)


def sold(books: Books) -> tuple[int, dict[str, int]]:
    with books.database.transaction(Scope.everything()) as connection:
        version = merchants.catalogue_version(connection)
        offers = merchants.catalogue(connection, books.house.terminal, most=100)
    return version, {offer.code: offer.points for offer in offers}


@pytest.mark.parametrize(
    ("since", "until"),
    [(date(2026, 6, 30), None), (date(2026, 1, 1), date(2026, 6, 1)), (date(2026, 2, 2), date(2026, 2, 2))],
)
def test_two_agreements_never_hold_on_one_day(books: Books, since: date, until: date | None) -> None:
    agree(books, "spa", points=5, since=date(2026, 2, 1), until=date(2026, 6, 30))
    with pytest.raises(IntegrityError, match="price_overlap"):
        agree(books, "spa", points=6, since=since, until=until)


def test_agreements_may_follow_each_other(books: Books) -> None:
    agree(books, "spa", points=5, until=TODAY)
    agree(books, "spa", points=6, since=TODAY + timedelta(days=1))
    assert sold(books)[1]["spa"] == 5
    with books.database.transaction(Scope.everything()) as connection:
        businessday.advance(connection, TODAY + timedelta(days=1), NOW)
    assert sold(books)[1]["spa"] == 6


@pytest.mark.parametrize(
    "fields",
    [
        {"points": 0}, {"points": -1}, {"settlement_minor": -1}, {"open_range": (0, 5)},
        {"open_range": (6, 5)}, {"open_range": (1, 5), "points": 2},
    ],
)  # fmt: skip
def test_an_agreement_of_no_sense_is_refused(books: Books, fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="price_"):
        agree(books, "spa", **fields)


def test_the_catalogues_version_changes_with_what_is_sold(books: Books) -> None:
    versions = [sold(books)[0]]
    agree(books, "spa", points=5)
    versions.append(sold(books)[0])
    with books.database.transaction(Scope.everything()) as connection:
        merchants.set_service_status(connection, books.house.services["spa"], "closed")
    versions.append(sold(books)[0])
    assert "spa" not in sold(books)[1]
    with books.database.transaction(Scope.everything()) as connection:
        businessday.advance(connection, TODAY + timedelta(days=1), NOW)
    versions.append(sold(books)[0])
    assert len(set(versions)) == 4


def days(count: int) -> date:
    return TODAY + timedelta(days=count)


def offers(books: Books, *, after: str = "", most: int = 100) -> list[Offer]:
    with books.database.transaction(Scope.everything()) as connection:
        return merchants.catalogue(connection, books.house.terminal, after=after, most=most)


def offer(books: Books, code: str) -> Offer:
    (found,) = (each for each in offers(books) if each.code == code)
    return found


def change_price(books: Books, code: str, since: date, **fields: Any) -> int:
    with books.database.transaction(Scope.everything()) as connection:
        return merchants.change_price(
            connection,
            merchant=books.house.merchant,
            service=books.house.services[code],
            since=since,
            settlement_minor=100,
            **fields,
        )


def turn_day(books: Books, to: date) -> None:
    with books.database.transaction(Scope.everything()) as connection:
        businessday.advance(connection, to, NOW)


# ---- what a catalogue tells of days to come ----------------------------------------------------------


def test_an_offer_tells_its_last_day_and_the_price_that_follows(books: Books) -> None:
    agree(books, "spa", points=4, until=days(-1))
    agree(books, "spa", points=5, since=TODAY, until=days(4))
    agree(books, "spa", since=days(9), until=days(20), open_range=(2, 8))
    agree(books, "spa", points=7, since=days(21))
    first = Offer(
        code="spa", name="Spa", name_zh="服务 spa", unit="time", points=5, open=False, min_points=None,
        max_points=None, since=None, until=days(4), next_since=days(9), next_points=1, next_open=True,
        next_min_points=2, next_max_points=8,
    )  # fmt: skip
    assert offer(books, "spa") == first
    turn_day(books, TOMORROW)
    assert offer(books, "spa") == first


def test_a_price_to_come_is_told_with_its_first_day(books: Books) -> None:
    agree(books, "spa", points=5, since=TOMORROW, until=days(3))
    agree(books, "spa", points=6, since=days(4))
    told = offer(books, "spa")
    assert (told.points, told.since, told.until, told.next_since, told.next_points) == (
        5, TOMORROW, days(3), days(4), 6,
    )  # fmt: skip
    assert books.one(create_redeem(books.house, books.holder(), "spa")).code is Code.SERVICE_UNKNOWN


def test_a_price_without_an_end_or_a_successor_says_so(books: Books) -> None:
    told = offer(books, "wash")
    assert (told.since, told.until, told.next_since, told.next_points, told.next_open) == (
        None, None, None, None, False,
    )  # fmt: skip


def test_what_has_ended_is_not_offered(books: Books) -> None:
    agree(books, "spa", points=5, until=days(-1))
    assert [each.code for each in offers(books)] == ["cinema", "wash"]


def test_a_service_is_one_line_on_one_page(books: Books) -> None:
    for code in ("a", "b", "c"):
        agree(books, code, points=5, until=TODAY)
        agree(books, code, points=6, since=TOMORROW)
    pages, after = [], ""
    while page := offers(books, after=after, most=2):
        pages.append([each.code for each in page])
        after = page[-1].code
    assert pages == [["a", "b"], ["c", "cinema"], ["wash"]]


def test_a_new_service_is_sold_by_the_next_message(books: Books) -> None:
    holder = books.holder()
    assert books.one(create_redeem(books.house, holder, "spa")).code is Code.SERVICE_UNKNOWN
    agree(books, "spa", points=30)
    assert books.one(create_redeem(books.house, holder, "spa")).points == 30


# ---- a change of price -----------------------------------------------------------------------------


def test_a_price_changes_on_its_day_and_each_sale_keeps_its_version(books: Books) -> None:
    holder, old = books.holder(), books.house.prices["wash"]
    new = change_price(books, "wash", TOMORROW, points=150)
    told = offer(books, "wash")
    assert (told.points, told.until, told.next_since, told.next_points) == (120, TODAY, TOMORROW, 150)
    today = books.one(create_redeem(books.house, holder))
    turn_day(books, TOMORROW)
    tomorrow = books.one(create_redeem(books.house, holder))
    assert (today.points, tomorrow.points) == (120, 150)
    assert books.ask("SELECT price_id FROM transaction WHERE kind = 'redeem' ORDER BY id") == [(old,), (new,)]


def test_a_new_price_ends_when_the_old_one_would_have_unless_told_otherwise(books: Books) -> None:
    agree(books, "spa", points=5, until=days(9))
    change_price(books, "spa", TOMORROW, points=6)
    change_price(books, "spa", days(3), points=7, until=days(5))
    spans = (
        "SELECT points, lower(during), upper(during) - 1 FROM price WHERE service_id = :id ORDER BY during"
    )
    assert books.ask(spans, id=books.house.services["spa"]) == [
        (5, date(2020, 1, 1), TODAY),
        (6, TOMORROW, days(2)),
        (7, days(3), days(5)),
    ]


def test_a_price_to_come_is_withdrawn_by_another_for_its_first_day(books: Books) -> None:
    change_price(books, "wash", TOMORROW, points=1_500)
    change_price(books, "wash", TOMORROW, points=150)
    told = offer(books, "wash")
    assert (told.points, told.next_since, told.next_points) == (120, TOMORROW, 150)
    withdrawn = "SELECT points FROM price WHERE isempty(during)"
    assert books.ask(withdrawn) == [(1_500,)]
    turn_day(books, TOMORROW)
    assert offer(books, "wash").points == 150


@pytest.mark.parametrize(
    ("since", "why"),
    [
        (days(-1), "2026-11-21 has passed: the open business date is 2026-11-22"),
        (TODAY, "the price of 2026-11-22 is in force; it can change from the day after on"),
    ],
)
def test_a_price_that_was_or_is_in_force_stays(books: Books, since: date, why: str) -> None:
    before = books.ask("SELECT id, during::text FROM price ORDER BY id")
    with pytest.raises(PriceRefused, match=why):
        change_price(books, "wash", since, points=1)
    assert books.ask("SELECT id, during::text FROM price ORDER BY id") == before


def test_a_service_without_a_price_may_get_one_today(books: Books) -> None:
    agree(books, "spa", points=5, until=days(-1))
    change_price(books, "spa", TODAY, points=6)
    assert books.one(create_redeem(books.house, books.holder(), "spa")).points == 6


def test_a_new_price_does_not_run_into_the_next_agreement(books: Books) -> None:
    agree(books, "spa", points=5, until=days(4))
    agree(books, "spa", points=9, since=days(5))
    with pytest.raises(PriceRefused, match="another agreement holds"):
        change_price(books, "spa", TOMORROW, points=6, until=days(5))
    assert offer(books, "spa").until == days(4), "nothing was changed"
    change_price(books, "spa", TOMORROW, points=6)
    assert [offer(books, "spa").next_points, sold(books)[1]["spa"]] == [6, 5]


def test_an_amount_of_no_sense_is_a_fault_and_no_overlap(books: Books) -> None:
    with pytest.raises(IntegrityError, match="price_amounts"):
        change_price(books, "wash", TOMORROW, points=0)


def test_the_day_does_not_turn_while_a_price_is_being_changed(books: Books) -> None:
    with books.database.transaction(Scope.everything()) as connection:
        merchants.change_price(
            connection,
            merchant=books.house.merchant,
            service=books.house.services["wash"],
            since=TOMORROW,
            points=150,
            settlement_minor=100,
        )
        with pytest.raises(businessday.DayBusy):
            turn_day(books, TOMORROW)
    turn_day(books, TOMORROW)
    assert books.one(create_redeem(books.house, books.holder())).points == 150


def change_at_once(books: Books, first: date, second: date) -> list[str]:
    """Two change a price for other days, one while the other has not committed; why the second may not."""
    refused: list[str] = []

    def change_second() -> None:
        try:
            change_price(books, "wash", second, points=160)
        except PriceRefused as error:
            refused.append(str(error))

    with books.database.transaction(Scope.everything()) as connection:
        merchants.change_price(
            connection,
            merchant=books.house.merchant,
            service=books.house.services["wash"],
            since=first,
            points=150,
            settlement_minor=100,
        )
        thread = threading.Thread(target=change_second)
        thread.start()
        until_somebody_waits(connection)
    thread.join()
    return refused


def test_of_two_who_change_a_price_at_once_the_second_is_as_if_it_came_later(books: Books) -> None:
    assert change_at_once(books, TOMORROW, TOMORROW) == []
    assert offer(books, "wash").next_points == 160
    assert books.ask("SELECT points FROM price WHERE isempty(during)") == [(150,)]


def test_a_change_of_price_and_an_agreement_do_not_wait_for_each_other(books: Books) -> None:
    """Both queue for the catalogue, the agreement first; it runs into the price that is to be changed."""
    refused: list[str] = []

    def first(connection: Connection) -> None:
        merchants.create_service(connection, code="golf", name="Golf", name_zh="高尔夫", unit="time")

    def agreed(connection: Connection) -> None:
        with pytest.raises(IntegrityError, match="price_overlap"):
            create_price(connection, books.house, "wash", points=130, since=days(5))
        refused.append("price_overlap")

    def changed(connection: Connection) -> int:
        return merchants.change_price(
            connection,
            merchant=books.house.merchant,
            service=books.house.services["wash"],
            since=TOMORROW,
            points=150,
            settlement_minor=100,
        )

    interleaved(books, first, agreed, changed)
    assert refused == ["price_overlap"]
    assert offer(books, "wash").next_points == 150


def test_an_earlier_change_of_price_lasts_until_the_one_that_was_made_meanwhile(books: Books) -> None:
    assert change_at_once(books, days(5), days(3)) == []
    spans = (
        "SELECT points, lower(during), upper(during) - 1 FROM price WHERE service_id = :id ORDER BY during"
    )
    assert books.ask(spans, id=books.house.services["wash"]) == [
        (120, date(2020, 1, 1), days(2)),
        (160, days(3), days(4)),
        (150, days(5), None),
    ]


def test_every_edit_is_announced_when_it_is_committed(books: Books, database_urls: TestDatabase) -> None:
    url = psycopg_url(database_urls.site).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as listener:
        listener.execute("LISTEN tessera")

        def heard() -> list[str]:
            with books.database.transaction(Scope.everything()) as connection:
                connection.execute(text("SELECT pg_notify('tessera', 'that was all')"))
            told: list[str] = []
            for notice in listener.notifies(timeout=20):
                if notice.payload == "that was all":
                    break
                told.append(notice.payload)
            return told

        edit = '{"kind": "catalogue"}'
        agree(books, "spa", points=5)
        assert heard() == [edit]
        change_price(books, "spa", TOMORROW, points=6)
        assert heard() == [edit]
        with books.database.transaction(Scope.everything()) as connection:
            merchants.set_service_status(connection, books.house.services["spa"], "closed")
        assert heard() == [edit]
        with pytest.raises(PriceRefused):
            change_price(books, "spa", TODAY, points=6)
        assert heard() == []
