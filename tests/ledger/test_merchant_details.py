"""What is kept of merchants and stores: sealed where it must be, seen by its own alone."""

import os
from datetime import date

from ledger.database import Database, Scope
from ledger.merchant_details import (
    Contact,
    Details,
    StorePlace,
    account_number,
    create_merchant,
    find_store,
    list_merchants,
    read_contacts,
    read_details,
    save_account,
    save_details,
    save_place,
)
from tests.conftest import TestDatabase
from tests.factories import create_house, create_keyring

NUMBER = "6222020200012345678"


def test_details_are_seen_by_their_merchant_alone_and_the_account_by_who_has_the_key(
    module_database_urls: TestDatabase,
) -> None:
    database, keyring = Database(module_database_urls.site, pool_size=1), create_keyring()
    with database.transaction(Scope.everything()) as connection:
        ours, theirs = create_house(connection), create_house(connection)
        details = Details(contract_until=date(2027, 1, 1), bank="ICBC", note="Ring twice")
        people = [Contact("Wang Fang", "Manager", "13800000000"), Contact("Li Na")]
        place = StorePlace(
            "1 Long Street", None, 39_904_200, 116_407_396, {1: (540, 1_260), 7: (1_080, 1_560)}
        )
        for house in (ours, theirs):
            save_details(connection, house.merchant, details, people)
            save_account(connection, house.merchant, NUMBER, keyring, os.urandom)
            save_place(connection, house.store, place)
        save_details(connection, ours.merchant, details, people[:1])
        save_place(connection, ours.store, place)
        assert account_number(connection, ours.merchant, keyring) == NUMBER
        (row,) = connection.exec_driver_sql(
            "SELECT account_sealed FROM merchant_detail WHERE merchant_id = %s", (ours.merchant,)
        )
        assert NUMBER.encode() not in bytes(row[0])
        # Sealed for one merchant, it opens for no other.
        connection.exec_driver_sql(
            "UPDATE merchant_detail SET account_sealed = %s WHERE merchant_id = %s", (row[0], theirs.merchant)
        )
        assert account_number(connection, theirs.merchant, keyring) is None
    with database.transaction(Scope.tenant(ours.merchant)) as connection:
        assert read_details(connection, ours.merchant).account_tail == "5678"
        assert read_contacts(connection, ours.merchant) == people[:1]
        found = find_store(connection, ours.store)
        assert found is not None
        assert (found[0].latitude, found[1]) == (39_904_200, {1: (540, 1_260), 7: (1_080, 1_560)})
        assert read_details(connection, theirs.merchant) == Details()
        assert read_contacts(connection, theirs.merchant) == []
        foreign = find_store(connection, theirs.store)  # its name is public, and nothing else
        assert foreign is not None
        assert (foreign[0].address, foreign[1]) == (None, {})
    for scope in (Scope.tenant(ours.merchant, frozenset({ours.store})), Scope.tenant(ours.enterprise)):
        with database.transaction(scope) as connection:
            assert read_details(connection, ours.merchant) == Details()
            assert read_contacts(connection, ours.merchant) == []
    database.close()


def test_a_code_is_one_merchants_and_lists_are_read_page_by_page(module_database_urls: TestDatabase) -> None:
    database = Database(module_database_urls.site, pool_size=1)
    names = ["Zebra", "Apple", "apple", "Apple"]
    with database.transaction(Scope.everything()) as connection:
        for number, name in enumerate(names):
            store = {"store_code": "S", "store_name": "S"}
            assert create_merchant(connection, code=f"PAGE{number}", name=name, **store) is not None
        assert create_merchant(connection, code="PAGE0", name="Other", **store) is None
        seen, after = [], None
        while page := list_merchants(connection, words="page", after=after, most=3):
            seen += [line.code for line in page]
            after = page[-1].id
        assert seen == ["PAGE1", "PAGE3", "PAGE0", "PAGE2"]
        assert list_merchants(connection, words="\x00") == []
    database.close()
