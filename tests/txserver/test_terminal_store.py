"""The store of purchases: durable, private, one user at a time."""

import gc
import sqlite3
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from protocol.limits import HOLD_SECONDS
from protocol.messages import Hold, Reconciliation
from tests.txserver.test_terminal_rules import create_advice, create_request
from tests.txserver.test_terminal_rules_by_kind import create_operation
from txserver.terminal_operations import OPERATIONS
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


def test_the_latest_is_what_was_written_last_also_after_the_clock_was_set_back() -> None:
    store = PurchaseStore(None)
    first = create_purchase(1, State.OPEN)
    store.write(first, 1)
    second = create_purchase(2, State.OPEN)
    store.write(replace(second, request=replace(second.request, at=first.request.at - 1)), 2)
    store.write(replace(first, state=State.APPROVED), 2)
    assert [purchase.txid[0] for purchase in store.recent(2)] == [2, 1]
    store.close()


def test_a_finished_purchase_is_forgotten_in_time_an_unfinished_one_never() -> None:
    store = PurchaseStore(None)
    store.write(create_purchase(1, State.APPROVED), 1)
    store.write(create_purchase(2, State.REVERSING), 2)
    store.open_a_batch(2)
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


@pytest.mark.parametrize("kind", sorted(OPERATIONS))
def test_every_kind_comes_back_as_it_was(kind: str) -> None:
    store = PurchaseStore(None)
    answer = Answer(
        code=0, text="", server_at=1, business_date="2027-01-15", expires_at=5, released=2, remaining=3
    )
    purchase = Purchase(request=create_operation(kind), answer=answer, booked=5, returned=5)
    store.write(purchase, 1)
    assert store.find(purchase.txid) == purchase
    assert store.unfinished() == [purchase]
    store.close()


def test_a_kind_that_is_not_known_here_is_told() -> None:
    store = PurchaseStore(None)
    body = msgspec.msgpack.encode({"kind": "gift", "request": {}})
    store._connection.execute(
        "INSERT INTO purchase (txid, made_at, final, body) VALUES (x'01', 1, 0, ?)", (body,)
    )
    with pytest.raises(StoreError, match="a gift"):
        store.unfinished()
    store.close()


# What the program wrote before there was anything but a Redeem.

_OLD_TABLES = """
CREATE TABLE purchase (
    txid BLOB PRIMARY KEY,
    made_at INTEGER NOT NULL,
    final INTEGER NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE number (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO number VALUES ('stan', 41);
"""


def write_old_store(folder: Path, *, state: str = "reversed") -> bytes:
    """A store with one reversed purchase of 30 points, in the bytes of that time; its txid."""
    txid = bytes([7] * 16)
    request = {"id": txid, "stan": 40, "batch": 1, "at": 1000, "credential": "P1X", "service": "wash"}
    advice = {
        "id": bytes([8] * 16), "stan": 41, "batch": 1, "at": 2000, "original": txid, "credential": "P1X",
        "reason": "not_given",
    }  # fmt: skip
    answer = {"code": 0, "text": "Approved", "server_at": 1, "business_date": "2027-01-15", "points": 30}
    body = msgspec.msgpack.encode({"request": request, "state": state, "advice": advice, "answer": answer})
    connection = sqlite3.connect(folder / "purchases.sqlite3")
    connection.executescript(_OLD_TABLES)
    connection.execute("INSERT INTO purchase VALUES (?, 1000, ?, ?)", (txid, state == "reversed", body))
    connection.commit()
    connection.close()
    return txid


def test_a_store_of_before_there_were_kinds_and_batches_is_read(tmp_path: Path) -> None:
    txid = write_old_store(tmp_path)
    store = PurchaseStore(tmp_path)
    purchase = store.find(txid)
    assert purchase is not None
    assert purchase.request == replace(create_request(txid), stan=40)
    assert (purchase.kind, purchase.state, purchase.booked) == ("redeem", State.REVERSED, None)
    assert purchase.advice is not None
    assert store.of_batch(1) == [purchase]
    assert (store.open_batch(), store.last_stan(), store.closing()) == (1, 41, None)
    store.close()
    PurchaseStore(tmp_path).close()


def test_an_old_purchase_is_written_anew(tmp_path: Path) -> None:
    txid = write_old_store(tmp_path, state="reversing")
    store = PurchaseStore(tmp_path)
    (purchase,) = store.unfinished()
    store.write(replace(purchase, state=State.REVERSED), 42)
    assert store.unfinished() == []
    assert [one.txid for one in store.of_batch(1)] == [txid]
    store.close()


# Batches.


def create_closing(batch: int = 1) -> Reconciliation:
    return Reconciliation(id=bytes([3] * 16), stan=9, batch=batch, at=5, totals=[])


def test_a_purchase_is_in_the_batch_of_its_request_and_in_that_of_its_reversal() -> None:
    store = PurchaseStore(None)
    sold = create_purchase(1, State.APPROVED)
    undone = replace(create_purchase(2), state=State.REVERSING)
    undone = replace(undone, advice=replace(create_advice(undone.txid), batch=3))
    for purchase in (sold, undone):
        store.write(purchase, 1)
    assert [one.txid[0] for one in store.of_batch(1)] == [1, 2]
    assert store.of_batch(2) == []
    assert [one.txid[0] for one in store.of_batch(3)] == [2]
    store.close()


def test_the_open_batch_is_a_number_that_stays(tmp_path: Path) -> None:
    store = PurchaseStore(tmp_path)
    assert store.open_batch() == 1
    store.open_a_batch(5)
    store.close()
    again = PurchaseStore(tmp_path)
    assert again.open_batch() == 5
    again.close()


def test_closing_a_batch_opens_the_next_and_is_remembered_until_it_is_over(tmp_path: Path) -> None:
    store = PurchaseStore(tmp_path)
    store.close_batch(create_closing(4))
    store.close()
    again = PurchaseStore(tmp_path)
    assert (again.closing(), again.open_batch(), again.last_stan()) == (create_closing(4), 5, 9)
    again.forget_closing()
    assert (again.closing(), again.open_batch()) == (None, 5)
    again.close()


def test_nothing_of_a_batch_is_forgotten_before_its_end_is_over() -> None:
    store = PurchaseStore(None)
    store.write(create_purchase(1, State.APPROVED), 1)
    late = 2000 + KEEP_FINISHED_MS
    store.forget_before(late)
    assert len(store.recent(9)) == 1
    store.close_batch(create_closing())
    store.forget_before(late)
    assert len(store.recent(9)) == 1
    store.forget_closing()
    store.forget_before(late)
    assert store.recent(9) == []
    store.close()


@pytest.mark.parametrize("hold_s", [None, 604_800])
def test_a_hold_is_kept_for_as_long_as_it_can_be_captured(hold_s: int | None) -> None:
    store = PurchaseStore(None)
    request = create_operation("hold")
    assert isinstance(request, Hold)
    hold = Purchase(request=replace(request, hold_s=hold_s), state=State.APPROVED)
    store.write(hold, 1)
    store.open_a_batch(2)
    end = request.at + 1000 * (HOLD_SECONDS if hold_s is None else hold_s) + KEEP_FINISHED_MS
    store.forget_before(end)
    assert store.recent(9) == [hold]
    store.forget_before(end + 1)
    assert store.recent(9) == []
    store.close()
