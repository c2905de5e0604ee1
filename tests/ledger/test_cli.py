"""`python -m ledger`: what an operator runs by hand."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import psycopg
import pytest

from ledger.audit import INVARIANTS
from ledger.businessday import Calendar, date_at
from ledger.cli import main
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books
from tests.factories import NOW, TODAY, create_active_terminal, create_hold


def test_migrate_and_invariants(
    empty_database_urls: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = empty_database_urls
    assert main(["migrate"], {"DATABASE_OWNER_URL": urls.owner}) == 0
    assert main(["invariants"], {"DATABASE_URL": urls.server}) == 0
    assert f"{len(INVARIANTS)} of {len(INVARIANTS)} invariants hold." in capsys.readouterr().out


def test_a_breach_is_told_and_is_a_failure(
    database_urls: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened_books(database_urls) as books:
        holder = books.holder()
        with psycopg.connect(database_urls.server) as connection:
            connection.execute("UPDATE account SET posted = posted + 1")
        assert main(["invariants"], {"DATABASE_URL": database_urls.server}) == 1
        out = capsys.readouterr().out
        assert "BROKEN: an account's points are the points that remain in its lots" in out
        assert f"{holder.account.id}, 1001, " in out
        with psycopg.connect(database_urls.server) as connection:
            connection.execute("UPDATE account SET posted = posted - 1")


@pytest.mark.parametrize("command", ["migrate", "invariants", "day", "calendar", "sweep", "verify-trail"])
def test_a_missing_setting_is_one_sentence(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command], {}) == 2
    assert capsys.readouterr().err.count("is not set") == 1


def test_a_database_that_is_away_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    url = "postgresql://tessera_server:x@127.0.0.1:1/tessera"
    assert main(["invariants"], {"DATABASE_URL": url}) == 2
    assert capsys.readouterr().err.startswith("The database cannot be reached: ")


def test_keys_are_made_once_and_a_missing_one_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "secrets"
    environment = {"TESSERA_SECRETS": str(folder)}
    assert main(["keys"], environment) == 0
    assert "Made the keys" in capsys.readouterr().out
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert main(["keys"], environment) == 0
    assert capsys.readouterr().out == "All keys are there.\n"
    (folder / "card.key").unlink()
    assert main(["keys"], environment) == 2
    assert "card.key is missing. Restore it" in capsys.readouterr().err
    del made["card.key"]
    assert {path.name: path.read_text() for path in folder.iterdir()} == made


@pytest.mark.parametrize("url", ["nonsense", "mysql://a:geheim@c/d", "postgresql://u:geheim@127.0.0.1:abc/x"])
@pytest.mark.parametrize(
    ("command", "name"), [("migrate", "DATABASE_OWNER_URL"), ("invariants", "DATABASE_URL")]
)
def test_an_address_of_no_sense_is_one_sentence_without_the_password(
    command: str, name: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command], {name: url}) == 2
    error = capsys.readouterr().err
    assert error.startswith("The address of the database is not one of PostgreSQL")
    assert "geheim" not in error


# ---- what an operator does with the books -------------------------------------------------------


def run(urls: TestDatabase, *arguments: str, now: datetime = NOW) -> int:
    return main(arguments, {"DATABASE_URL": urls.server}, lambda: now)


def test_the_day_is_shown_with_the_moment_at_which_it_turns(
    books: Books, database_urls: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(database_urls, "day") == 0
    assert capsys.readouterr().out == (
        "2026-11-22 is open.\n"
        "By the calendar it is 2026-11-22; 2026-11-23 begins on 2026-11-23 at 00:00 Asia/Shanghai.\n"
    )
    books.ask("UPDATE business_day SET status = 'closed', closed_at = now() RETURNING 1")
    assert run(database_urls, "day") == 0
    assert capsys.readouterr().out.startswith("No business day is open.\n")


def test_the_next_day_is_opened_by_hand(
    books: Books, database_urls: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(database_urls, "day", "next") == 0
    assert capsys.readouterr().out == ("2026-11-23 is open. Nothing is booked on 2026-11-22 any more.\n")
    assert books.ask("SELECT date FROM business_day WHERE status = 'open'") == [(TODAY + timedelta(days=1),)]


def test_the_first_day_of_all_is_opened_by_hand_as_the_calendar_says(
    books: Books, database_urls: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    books.ask("UPDATE business_day SET status = 'closed', closed_at = now() RETURNING 1")
    assert run(database_urls, "day", "next", now=NOW + timedelta(hours=8)) == 0
    assert capsys.readouterr().out == "2026-11-23 is open.\n"


def test_two_days_ahead_is_refused_with_a_sentence(
    books: Books, database_urls: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = datetime.now(UTC)
    ahead = date_at(clock, Calendar("Asia/Shanghai", time(0))) + timedelta(days=1)
    books.open_day(ahead)
    assert run(database_urls, "day", "next", now=clock) == 1
    assert capsys.readouterr().err == (
        f"Not now: {ahead + timedelta(days=1)} cannot be opened yet;"
        " by hand a day is opened at most one ahead of the calendar's.\n"
    )
    assert books.ask("SELECT date FROM business_day WHERE status = 'open'") == [(ahead,)]


def test_a_day_that_somebody_holds_is_not_closed_now(
    books: Books, database_urls: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(database_urls.server) as other:
        other.execute("SELECT date FROM business_day WHERE status = 'open' FOR SHARE")
        assert run(database_urls, "day", "next") == 1
    assert capsys.readouterr().err.startswith("Not now: a transaction holds the business day;")


def test_the_calendar_is_shown_and_changed_by_who_may(
    books: Books, database_urls: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(database_urls, "calendar") == 0
    assert capsys.readouterr().out == (
        "The date turns at 00:00 Asia/Shanghai; 2026-11-23 begins on 2026-11-23 at 00:00 Asia/Shanghai.\n"
    )
    assert run(database_urls, "calendar", "--cut-off", "20:30") == 2
    assert "logs in as tessera_site" in capsys.readouterr().err
    both = {"DATABASE_URL": database_urls.server, "DATABASE_SITE_URL": database_urls.site}
    assert main(["calendar", "--cut-off", "20:30"], both, lambda: NOW) == 0
    assert capsys.readouterr().out == (
        "The date turns at 20:30 Asia/Shanghai; 2026-11-23 begins on 2026-11-22 at 20:30 Asia/Shanghai.\n"
    )
    site = {"DATABASE_URL": database_urls.site}
    assert main(["calendar", "--time-zone", "Europe/London"], site, lambda: NOW) == 0
    assert books.ask("SELECT time_zone, cut_off FROM calendar") == [("Europe/London", time(20, 30))]


@pytest.mark.parametrize(
    "arguments",
    [
        ["calendar", "--cut-off", "24:00"], ["calendar", "--cut-off", "8:30"], ["calendar", "--cut-off", ""],
        ["calendar", "--time-zone", "Nowhere"], ["calendar", "--time-zone", ""], ["day", "before"],
        ["terminal", "revoke"], ["terminal", "revoke", "x"], ["terminal", "shout", "1"], ["keys", "lose"], [],
    ],
)  # fmt: skip
def test_arguments_of_no_sense_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments, {})
    assert caught.value.code == 2
    assert "usage: python -m ledger" in capsys.readouterr().err


def test_a_sweep_goes_on_until_nothing_is_left(
    books: Books, database_urls: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        books.holder(points=10, expires_on=TODAY)
    books.one(create_hold(books.house, books.holder(), seconds=60))
    books.open_day(TODAY + timedelta(days=1))
    assert run(database_urls, "sweep", now=NOW + timedelta(days=1)) == 0
    assert run(database_urls, "sweep", now=NOW + timedelta(days=1)) == 0
    assert capsys.readouterr().out == (
        "Accounts changed: 4. Holds ended: 1. Points expired: 30.\n"
        "Accounts changed: 0. Holds ended: 0. Points expired: 0.\n"
    )


def test_a_sweep_without_a_day_to_book_on_is_one_sentence(
    books: Books, database_urls: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    books.one(create_hold(books.house, books.holder(), seconds=60))
    books.ask("UPDATE business_day SET status = 'closed', closed_at = now() RETURNING 1")
    assert run(database_urls, "sweep", now=NOW + timedelta(days=1)) == 1
    assert capsys.readouterr().err == "Not now: no business day is open.\n"


def test_a_terminal_is_asked_for_a_new_key_and_revoked(
    books: Books, database_urls: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = str(books.change(lambda connection: create_active_terminal(connection, books.house.store)))
    assert run(database_urls, "terminal", "change-key", terminal) == 0
    assert run(database_urls, "terminal", "revoke", terminal) == 0
    assert capsys.readouterr().out == (
        f"Terminal {terminal} is asked for a new key, now or when it logs in.\n"
        f"Terminal {terminal} is revoked; a session that is open ends now.\n"
    )
    assert books.ask("SELECT status, key_change_asked FROM terminal WHERE id = :id", id=int(terminal)) == [
        ("revoked", True)
    ]
    for arguments in (("revoke", terminal), ("change-key", terminal), ("revoke", "0"), ("revoke", "999999")):
        assert run(database_urls, "terminal", *arguments) == 1
        assert capsys.readouterr().err == (
            f"There is no terminal {arguments[1]}, or it was revoked before.\n"
        )


def test_the_servers_key_is_rotated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"TESSERA_SECRETS": str(tmp_path / "secrets")}
    assert main(["keys", "rotate"], environment) == 2
    assert "Cannot rotate the keys in" in capsys.readouterr().err
    assert main(["keys", "make"], environment) == 0
    assert main(["keys", "rotate"], environment) == 0
    assert "The server's key is now number 2, the next is 3: back up" in capsys.readouterr().out
    assert main(["keys"], environment) == 0
