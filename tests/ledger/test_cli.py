"""`python -m ledger`: what an operator runs by hand."""

from pathlib import Path

import psycopg
import pytest

from ledger.cli import main
from tests.conftest import TestDatabase
from tests.desk import opened_books


def test_migrate_and_invariants(
    empty_database_urls: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = empty_database_urls
    assert main(["migrate"], {"DATABASE_OWNER_URL": urls.owner}) == 0
    assert main(["invariants"], {"DATABASE_URL": urls.server}) == 0
    assert "12 of 12 invariants hold." in capsys.readouterr().out


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


@pytest.mark.parametrize("command", ["migrate", "invariants"])
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
