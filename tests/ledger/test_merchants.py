"""Services and prices: dated, without overlap, sellable at once."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from ledger import businessday, merchants
from ledger.database import Scope
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books
from tests.factories import NOW, TODAY, create_price


@pytest.fixture
def books(database_urls: TestDatabase) -> Iterator[Books]:
    with opened_books(database_urls) as opened:
        yield opened


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
