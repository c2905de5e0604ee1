"""Members and grants: one, many, and a list that is repeated."""

import pytest

from ledger import members
from ledger.database import Scope
from tests.desk import Books
from tests.factories import NOW, create_holder, new_txid


def test_an_account_gets_a_slot_for_ever(books: Books) -> None:
    accounts = [books.holder(points=0).account for _ in range(3)]
    assert len({account.id for account in accounts}) == 3
    assert all(account.slot == account.id % 256 for account in accounts)


def test_a_long_list_is_granted_in_parts_and_a_repeat_grants_only_what_is_missing(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "GRANT_BATCH", 4)
    house = books.house
    with books.database.transaction(Scope.everything()) as connection:
        holders = [create_holder(connection, house, points=0) for _ in range(10)]
    grantings = [
        members.Granting(account=holder.account, txid=new_txid(), points=70, funder=house.enterprise)
        for holder in holders
    ]
    scope = Scope.tenant(house.enterprise)
    interrupted = members.grant_many(books.database, scope, grantings, NOW)
    assert len(next(interrupted)) == 4
    interrupted.close()
    parts = list(members.grant_many(books.database, scope, grantings, NOW))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert [outcome.recorded for part in parts for outcome in part] == [True] * 4 + [False] * 6
    assert {books.posted(holder) for holder in holders} == {70}
