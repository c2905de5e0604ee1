"""The store of purchases: durable, private, one user at a time."""

import gc
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.txserver.test_terminal_rules import create_advice, create_request
from txserver.terminal_rules import Answer, Purchase, State, begin
from txserver.terminal_store import KEEP_FINISHED_MS, PurchaseStore, StoreError


def create_purchase(number: int = 7, state: State = State.OPEN) -> Purchase:
    return replace(begin(create_request(bytes([number] * 16)), 3.0), state=state, sent=True)


def test_what_is_written_is_there_after_a_restart(tmp_path: Path) -> None:
    answer = Answer(code=0, text="Approved", server_at=1, business_date="2027-01-15", receipt=["a"])
    purchase = replace(create_purchase(), state=State.REVERSING, advice=create_advice(), answer=answer)
    store = PurchaseStore(tmp_path)
    store.write(purchase, 41)
    store.close()
    again = PurchaseStore(tmp_path)
    assert again.find(purchase.txid) == replace(purchase, started=None, sent=False)
    assert again.last_stan() == 41
    again.close()


def test_it_is_on_the_disk_without_a_close(tmp_path: Path) -> None:
    """As after a kill: the files alone, copied while the store is open, hold the purchase."""
    store = PurchaseStore(tmp_path / "pos")
    store.write(create_purchase(), 1)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in (tmp_path / "pos").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    survivor = PurchaseStore(copy)
    assert [purchase.txid for purchase in survivor.unfinished()] == [create_purchase().txid]
    survivor.close()
    store.close()


def test_every_commit_waits_for_the_disk(tmp_path: Path) -> None:
    store = PurchaseStore(tmp_path)
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


def test_unfinished_and_recent() -> None:
    store = PurchaseStore(None)
    for number, state in enumerate(State, start=1):
        store.write(create_purchase(number, state), number)
    assert [purchase.state for purchase in store.unfinished()] == [
        State.OPEN, State.ASKING, State.UNDECIDED, State.REVERSING,
    ]  # fmt: skip
    assert [purchase.txid[0] for purchase in store.recent(2)] == [9, 8]
    assert store.find(bytes(16)) is None
    store.close()


def test_a_finished_purchase_is_forgotten_in_time_an_unfinished_one_never() -> None:
    store = PurchaseStore(None)
    store.write(create_purchase(1, State.APPROVED), 1)
    store.write(create_purchase(2, State.REVERSING), 2)
    store.forget_before(1000 + KEEP_FINISHED_MS)
    assert len(store.recent(9)) == 2
    store.forget_before(1001 + KEEP_FINISHED_MS)
    assert [purchase.txid[0] for purchase in store.recent(9)] == [2]
    store.close()


def test_files_are_private(tmp_path: Path) -> None:
    store = PurchaseStore(tmp_path / "a" / "pos")
    store.write(create_purchase(), 1)
    assert stat.S_IMODE((tmp_path / "a" / "pos").stat().st_mode) == 0o700
    for file in (tmp_path / "a" / "pos").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    store.close()


def test_a_second_user_is_told(tmp_path: Path) -> None:
    store = PurchaseStore(tmp_path)
    with pytest.raises(StoreError, match="another POS"):
        PurchaseStore(tmp_path)
    store.close()
    PurchaseStore(tmp_path).close()


def test_a_dropped_store_gives_its_files_back(tmp_path: Path) -> None:
    store = PurchaseStore(tmp_path)
    connection = store._connection
    del store
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_store_that_cannot_be_opened_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def remembering(*arguments: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", remembering)
    store = PurchaseStore(tmp_path)
    with pytest.raises(StoreError) as refused:
        PurchaseStore(tmp_path)
    # Closed at once, and not when the error with its traceback is forgotten.
    assert "another POS" in str(refused.value)
    assert len(opened) == 2
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[1].execute("SELECT 1")
    store.close()


def test_the_newest_is_the_one_made_last_whatever_its_txid() -> None:
    """A shop may name its own txid, which does not begin with the time."""
    store = PurchaseStore(None)
    for number, made_at in ((9, 1000), (3, 2000)):
        purchase = create_purchase(number)
        store.write(replace(purchase, request=replace(purchase.request, at=made_at)), number)
    assert [purchase.txid[0] for purchase in store.recent(9)] == [3, 9]
    store.close()


def test_faults_of_the_disk_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="file"):
        PurchaseStore(tmp_path / "file")
    (tmp_path / "purchases.sqlite3").write_bytes(b"not a database, but long enough to look at" * 99)
    with pytest.raises(StoreError, match=r"purchases\.sqlite3"):
        PurchaseStore(tmp_path)


def test_a_damaged_row_is_told() -> None:
    store = PurchaseStore(None)
    store.write(create_purchase(), 1)
    store._connection.execute("UPDATE purchase SET body = x'c1'")
    with pytest.raises(StoreError, match="cannot be read"):
        store.unfinished()
    store.close()
