"""What happened on an account, by pages and dates."""

from datetime import timedelta

from ledger import businessday
from ledger.database import Scope
from ledger.history import account_history
from tests.conftest import TestDatabase
from tests.desk import opened_books
from tests.factories import (
    NOW,
    TODAY,
    create_capture,
    create_expire,
    create_hold,
    create_pin_change,
    create_redeem,
    create_refund,
    create_release,
    create_reversal,
)


def test_history_is_signed_newest_first_and_leaves_out_what_moved_nothing(
    database_urls: TestDatabase,
) -> None:
    with opened_books(database_urls) as books:
        holder = books.holder()
        undone = create_redeem(books.house, holder)
        books.post(undone, create_redeem(books.house, holder, pin="000000"), create_reversal(undone))
        with books.database.transaction(Scope.everything()) as connection:
            businessday.advance(connection, TODAY + timedelta(days=1), NOW)
        books.one(create_redeem(books.house, holder, "cinema", amount=50))
        other = books.holder()
        account = holder.account

        def ask(**limits: object) -> list[tuple[str, int, str | None, bool]]:
            with books.database.transaction(Scope.everything()) as connection:
                found = account_history(connection, account.slot, account.id, **{"most": 10, **limits})  # type: ignore[arg-type]
            return [(each.kind, each.points, each.service, each.reversed) for each in found]

        everything = [
            ("redeem", -50, "cinema", False),
            ("reversal", 120, "wash", False),
            ("redeem", -120, "wash", True),
            ("grant", 1_000, None, False),
        ]
        assert ask() == everything
        assert ask(most=2) == everything[:2]
        assert ask(since=TODAY + timedelta(days=1)) == everything[:1]
        assert ask(until=TODAY) == everything[1:]
        assert other.account.id != account.id


def test_history_has_what_moved_points_and_not_what_only_reserved_them(database_urls: TestDatabase) -> None:
    with opened_books(database_urls) as books:
        house, holder = books.house, books.holder(expires_on=TODAY)
        taken, freed, undone, lapsing = (create_hold(house, holder, amount=each) for each in (90, 80, 70, 60))
        books.post(taken, freed, undone, lapsing)
        capture = create_capture(taken, 50)
        books.post(capture, create_release(freed), create_reversal(undone))
        books.post(create_refund(capture, 20), create_pin_change(house, holder))
        bought = create_redeem(house, holder, "cinema", amount=40, pin="271828")
        books.post(bought, create_reversal(bought))
        with books.database.transaction(Scope.everything()) as connection:
            businessday.advance(connection, TODAY + timedelta(days=1), NOW)
        books.one(create_expire(holder), now=NOW + timedelta(hours=2))
        ended = "SELECT kind FROM transaction WHERE ends IS NOT NULL ORDER BY id"
        assert books.ask(ended) == [("capture",), ("release",), ("reversal",), ("lapse",)]
        with books.database.transaction(Scope.everything()) as connection:
            found = account_history(connection, holder.account.slot, holder.account.id, most=20)
        assert [(each.kind, each.points, each.service, each.reversed) for each in found] == [
            ("expiry", -970, None, False),
            ("reversal", 40, "cinema", False),
            ("redeem", -40, "cinema", True),
            ("refund", 20, "cinema", False),
            ("capture", -50, "cinema", False),
            ("grant", 1_000, None, False),
        ]
        assert sum(each.points for each in found) == books.posted(holder) == 0
