"""What the bench makes of what it measured, and that it finds what was lost."""

import json
import os
import resource
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from scripts import bench
from scripts.bench import is_right, main, table
from scripts.bench_ground import Options, breaches_since, lost_and_doubled
from scripts.bench_scenes import median_ratio
from scripts.bench_scenes_sockets import raised_limit
from scripts.bench_server import database_cpu_s
from scripts.bench_terminals import BenchFailed, percentile
from tests.conftest import TestDatabase
from tests.desk import opened_books
from tests.factories import Holder, create_redeem


def test_the_last_look_finds_debits_that_are_lost_refused_doubled_or_too_old(
    database_urls: TestDatabase,
) -> None:
    with opened_books(database_urls) as books:
        rich, poor = books.holder(), books.holder(points=1)
        before, after, refused = (create_redeem(books.house, holder) for holder in (rich, rich, poor))
        assert [each.code == 0 for each in books.post(before)] == [True]
        ((since,),) = books.ask("SELECT max(id) FROM transaction")
        assert [each.code == 0 for each in books.post(after, refused)] == [True, False]
        old, new, not_booked = (each.txid.bytes for each in (before, after, refused))
        assert lost_and_doubled(database_urls.server, since, [new]) == (0, 0)
        assert lost_and_doubled(database_urls.server, since, [new, new]) == (0, 1)
        assert lost_and_doubled(database_urls.server, since, [new, old, not_booked, os.urandom(16)]) == (3, 0)


PLANT = text("UPDATE account SET posted = posted + :more WHERE id = :account")


def test_the_look_at_a_run_finds_what_is_broken_in_accounts_that_it_touched_and_only_there(
    database_urls: TestDatabase,
) -> None:
    with opened_books(database_urls) as books:
        touched, idle = books.holder(), books.holder()
        books.post(*(create_redeem(books.house, each) for each in (touched, idle)))
        ((since,),) = books.ask("SELECT max(id) FROM transaction")
        books.post(create_redeem(books.house, touched))

        def look() -> tuple[int, list[str]]:
            def act(connection: Connection) -> tuple[int, list[str]]:
                count, found = breaches_since(connection, since)
                return count, [each.invariant for each in found]

            return books.change(act)

        def add(more: int, holder: Holder) -> None:
            told = {"more": more, "account": holder.account.id}
            books.change(lambda connection: connection.execute(PLANT, told))

        assert look() == (1, [])
        add(1, idle)
        assert look() == (1, [])
        add(1, touched)
        assert look() == (1, ["an account's points are the points that remain in its lots"])
        add(-1, idle)
        add(-1, touched)
        assert look() == (1, [])


@pytest.mark.parametrize(
    "fault", [{"lost": 1}, {"doubled": 2}, {"broken_invariants": ["one"]}, {"wrong_balance": -12}]
)
def test_a_bench_that_finds_a_fault_fails(fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    good = {"lost": 0, "doubled": 0, "broken_invariants": [], "wrong_balance": 0}
    assert is_right(good)
    monkeypatch.setitem(bench.SCENES, "idle", lambda folder, options: {**good, **fault})
    assert main(["idle", "--json"]) == 1


def test_the_result_is_one_json_object_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Options] = []

    def scene(folder: Path, options: Options) -> dict[str, Any]:
        asked.append(options)
        return {"lost": 0}

    monkeypatch.setitem(bench.SCENES, "main", scene)
    assert main(["--quick", "--json", "--terminals", "3"]) == 0
    assert json.loads(capsys.readouterr().out) == {"lost": 0}
    assert asked[0].quick
    assert asked[0].terminals == 3


def test_a_scene_that_cannot_go_on_says_why_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def scene(folder: Path, options: Options) -> dict[str, Any]:
        raise BenchFailed("It rains.")

    monkeypatch.setitem(bench.SCENES, "grown", scene)
    assert main(["grown"]) == 1
    assert capsys.readouterr() == ("", "It rains.\n")


def test_a_number_that_makes_no_sense_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--terminals", "0"])
    assert "must be 1 or more" in capsys.readouterr().err


def test_the_table_has_a_line_for_each_number() -> None:
    shown = table({"debits_per_second": 12345, "round_trips_per_batch": None, "broken_invariants": []})
    assert shown.split() == [
        "debits_per_second", "12,345", "round_trips_per_batch", "–", "broken_invariants", "none",
    ]  # fmt: skip


def test_percentiles_and_ratios() -> None:
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(range(1, 101), 0.99) == 100
    assert percentile([7], 0.99) == 7
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)
    assert median_ratio([10, 30, 8], [5, 10, 8]) == 2


def test_the_processor_time_of_a_database_holds_that_of_its_processes_alive_and_ended() -> None:
    """A shell stands for the postmaster: one child has worked and ended, one works until it is ended."""
    work = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"
    script = f"({work}); echo ended; sh -c 'while :; do :; done' & echo $!; read _; kill $!"
    with subprocess.Popen(
        ["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as shell:
        try:
            assert shell.stdout is not None
            assert shell.stdout.readline() == "ended\n"
            shell.stdout.readline()
            first = database_cpu_s(shell.pid)
            assert first > 0.01
            while database_cpu_s(shell.pid) < first + 0.05:
                pass
        finally:
            shell.communicate("\n")


def test_the_limit_of_open_files_is_what_it_is_when_it_is_enough() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError):
        assert raised_limit(64) >= 64
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
