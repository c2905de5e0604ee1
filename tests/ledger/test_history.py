"""What happened on an account, by pages and dates."""

from datetime import timedelta

from ledger import businessday
from ledger.database import Scope
from ledger.history import account_history
from tests.conftest import TestDatabase
from tests.desk import opened_books
from tests.factories import NOW, TODAY, create_redeem, create_reversal


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
