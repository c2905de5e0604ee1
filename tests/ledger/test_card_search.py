"""Cards are found by what people know of their member."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from ledger import cards
from ledger.card_search import FoundCard, find_holder, issuer, search_cards, search_holders
from ledger.database import Scope
from ledger.members import create_member
from tests.desk import Books
from tests.factories import NOW, TODAY, create_house


def create_named(books: Books, code: str, name: str, **fields: object) -> cards.Card:
    """A member of the house with a card."""
    with books.database.transaction(Scope.everything()) as connection:
        account = create_member(connection, enterprise=books.house.enterprise, code=code, name=name)
        return cards.issue_card(connection, account, now=NOW, **fields)  # type: ignore[arg-type]


def found(books: Books, words: str, *, tenant: int | None = None, most: int = 50) -> list[str]:
    scope = Scope.everything() if tenant is None else Scope.tenant(tenant)
    with books.database.transaction(scope) as connection:
        return [line.number for line in search_cards(connection, words, most=most)]


def test_a_card_is_found_with_what_a_list_shows_of_it(books: Books) -> None:
    card = create_named(
        books, "V-17", "Wang Fang 王芳", status="issued", expires_on=TODAY - timedelta(days=1)
    )
    with books.database.transaction(Scope.everything()) as connection:
        connection.execute(text("UPDATE card SET pin_tries = 3"))
        name = issuer(connection, books.house.enterprise)
        (line,) = search_cards(connection, "v-17")
    assert line == FoundCard(
        number=card.number,
        status="issued",
        expires_on=TODAY - timedelta(days=1),
        expired=True,
        pin_blocked=True,
        member_code="V-17",
        member="Wang Fang 王芳",
        enterprise=name,
    )


def test_a_code_is_found_by_its_beginning_and_a_name_by_that_of_a_word(books: Books) -> None:
    one = create_named(books, "12", "Ann Lee").number
    two = create_named(books, "123", "Bo 李娜").number
    create_named(books, "9123", "Cy")
    assert found(books, "12") == [one, two]
    assert found(books, " 123 ") == [two]
    assert found(books, "LEE") == [one]
    assert found(books, "李") == [two]
    assert found(books, "娜") == [two]
    assert found(books, "nn") == []
    assert found(books, "nobody") == []


def test_who_has_exactly_this_code_comes_first(books: Books) -> None:
    create_named(books, "77-2", "Abel")
    exact = create_named(books, "77", "Zoe").number
    assert found(books, "77")[0] == exact


@pytest.mark.parametrize("words", ["", "  ", "%", "_", "\x00", "a\x00b", "' OR 1=1 --", "\\"])
def test_no_words_and_odd_ones_find_nothing(books: Books, words: str) -> None:
    create_named(books, "77", "Zoe a")
    assert found(books, words) == []


def test_every_card_of_a_member_is_found_but_no_more_than_were_asked_for(books: Books) -> None:
    with books.database.transaction(Scope.everything()) as connection:
        account = create_member(connection, enterprise=books.house.enterprise, code="5", name="Eve")
        numbers = [cards.issue_card(connection, account, now=NOW).number for _ in range(3)]
    assert found(books, "eve") == sorted(numbers)
    assert found(books, "eve", most=2) == sorted(numbers)[:2]


def test_an_enterprise_finds_its_own_and_a_merchant_none(books: Books) -> None:
    ours = create_named(books, "1001", "Same Name").number
    with books.database.transaction(Scope.everything()) as connection:
        other = create_house(connection)
        theirs = create_member(connection, enterprise=other.enterprise, code="1001", name="Same Name")
        cards.issue_card(connection, theirs, now=NOW)
    assert len(found(books, "same name")) == 2
    assert found(books, "same name", tenant=books.house.enterprise) == [ours]
    assert found(books, "same name", tenant=books.house.merchant) == []
    with books.database.transaction(Scope.tenant(other.enterprise)) as connection:
        assert issuer(connection, books.house.enterprise) is None


def test_a_card_is_found_by_its_last_four_digits(books: Books) -> None:
    numbers = [create_named(books, f"A{each}", "Ann").number for each in range(5)]
    assert found(books, numbers[3][-4:]) == [numbers[3]]
    assert found(books, numbers[3][-3:]) == []
    assert found(books, numbers[3][-4:], tenant=books.house.merchant) == []
    # Digits may be a code as well: then both are found.
    coded = create_named(books, numbers[0][-4:], "Bo").number
    assert set(found(books, numbers[0][-4:])) == {numbers[0], coded}


def test_members_are_found_with_how_many_cards_they_have(books: Books) -> None:
    create_named(books, "H1", "Ann Lee")
    closed = create_named(books, "H2", "Ann Wu")
    with books.database.transaction(Scope.everything()) as connection:
        cards.set_status(connection, closed, "closed", now=NOW)
        lines = search_holders(connection, "ann", enterprise=books.house.enterprise)
        holder = find_holder(connection, lines[0].id)
    assert [(line.code, line.cards) for line in lines] == [("H1", 1), ("H2", 0)]
    assert holder is not None
    assert (holder.code, holder.cards, holder.open) == ("H1", 1, True)
    with books.database.transaction(Scope.tenant(books.house.merchant)) as connection:
        assert find_holder(connection, lines[0].id) is None
        assert search_holders(connection, "ann") == []
