"""Lists as files: what spreadsheets read from them, and that no cell runs."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from flask import Flask
from flask_babel import Babel
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook
from werkzeug.exceptions import NotFound

from admin.downloads import FORMULA, answer, csv_bytes, xlsx_bytes

HEAD = ["Name", "Points"]


@pytest.fixture(scope="module", autouse=True)
def in_request() -> Iterator[None]:
    app = Flask(__name__)
    Babel(app, default_timezone="Asia/Shanghai")
    with app.test_request_context():
        yield


def csv_rows(head: list[str], rows: list[list[object]]) -> list[list[str]]:
    text = b"".join(csv_bytes(head, rows)).decode("utf-8-sig")  # type: ignore[arg-type]
    return list(csv.reader(io.StringIO(text, newline="")))


def sheets(content: bytes) -> list[list[tuple[object, ...]]]:
    book = load_workbook(io.BytesIO(content))
    return [list(sheet.iter_rows(values_only=True)) for sheet in book]


ANY_CELL = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(2**63), 2**63), st.none()
)


@given(st.lists(st.lists(ANY_CELL, min_size=2, max_size=2), max_size=8))
def test_no_text_begins_as_a_formula_and_numbers_stay_numbers(rows: list[list[object]]) -> None:
    for row, read in zip(rows, csv_rows(HEAD, rows)[1:], strict=True):
        for cell, written in zip(row, read, strict=True):
            if isinstance(cell, str):
                assert not written.startswith(FORMULA)
                assert written in (cell, f"'{cell}")
            else:
                assert written == ("" if cell is None else str(cell))


def test_a_workbook_has_text_numbers_days_and_local_times() -> None:
    moment = datetime(2026, 11, 22, 20, 3, 9, tzinfo=UTC)
    rows: list[list[object]] = [
        ["=1+1", 12345], ["老城面馆 <&> \x00", -7], [date(2026, 11, 22), moment], [None, 10**17],
    ]  # fmt: skip
    (sheet,) = sheets(b"".join(xlsx_bytes("Lines", HEAD, rows)))  # type: ignore[arg-type]
    assert sheet == [
        ("Name", "Points"),
        ("'=1+1", 12345),
        ("老城面馆 <&> �", -7),
        (datetime.fromisoformat("2026-11-22"), datetime.fromisoformat("2026-11-23 04:03:09")),
        (None, str(10**17)),
    ]


def test_rows_beyond_a_sheet_go_on_on_the_next() -> None:
    def read(count: int) -> list[list[tuple[object, ...]]]:
        return sheets(b"".join(xlsx_bytes("List", HEAD, ([n, n] for n in range(count)), sheet_rows=3)))

    assert [len(sheet) for sheet in read(0)] == [1]
    assert [len(sheet) for sheet in read(3)] == [4]
    assert [len(sheet) for sheet in read(7)] == [4, 4, 2]


def test_a_file_has_its_name_and_is_read_while_it_is_sent() -> None:
    taken = []

    def rows() -> Iterator[list[str | int]]:
        for number in range(50_000):
            taken.append(number)
            yield ["x" * 20, number]

    sent = answer("csv", "交易 2026", HEAD, rows())
    assert "filename*=UTF-8''%E4%BA%A4%E6%98%93%202026.csv" in sent.headers["Content-Disposition"]
    assert len(taken) == 1
    parts = sent.iter_encoded()
    assert next(parts).startswith(b"\xef\xbb\xbfName,Points\r\n")
    assert len(taken) < 10_000
    with pytest.raises(NotFound):
        answer("pdf", "x", HEAD, [])
