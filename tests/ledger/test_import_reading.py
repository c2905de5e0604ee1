"""Files of members: encodings, delimiters, and what is wrong with a line."""

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger import import_reading
from ledger.import_reading import Source, Unreadable, examined, expected, head_of, read_line, rows

NAMES = st.text(st.characters(codec="gb18030", categories=["L", "N"]), min_size=1, max_size=8)
HEAD = ["会员编号", "姓名", "手机号"]


def lines_of(content: bytes, encoding: str | None = None) -> list[list[str]]:
    source = examined(content, encoding)
    assert Source.parse(str(source)) == source
    return [cells for _, cells in rows(content, source)]


@settings(max_examples=40)
@given(
    names=st.lists(NAMES, min_size=1, max_size=5),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le"]),
    delimiter=st.sampled_from(",;\t"),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_every_encoding_and_delimiter_gives_the_same_lines(
    names: list[str], encoding: str, delimiter: str, ending: str
) -> None:
    told = io.StringIO()
    writer = csv.writer(told, delimiter=delimiter, lineterminator=ending)
    table = [HEAD, *([str(number), name, "138,0000;0000"] for number, name in enumerate(names))]
    writer.writerows(table)
    chosen = "utf-8" if encoding == "utf-8-sig" else "utf-16" if encoding.startswith("utf-16") else encoding
    assert lines_of(told.getvalue().encode(encoding), chosen) == table


def test_the_encoding_is_found_out() -> None:
    text = "会员编号,姓名\n1,王小明\n2,李雷\n"
    for encoding in ("utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"):
        assert lines_of(text.encode(encoding))[1:] == [["1", "王小明"], ["2", "李雷"]]
    with pytest.raises(Unreadable, match="encoding"):
        lines_of(text.encode("gb18030"), "utf-8")
    with pytest.raises(Unreadable, match="encoding"):
        lines_of("code,name\n1,\ue000\n".encode())


def test_lines_that_end_as_an_old_spreadsheet_ends_them_are_lines() -> None:
    assert lines_of(b"code;name\r1;A\r2;B\r") == [["code", "name"], ["1", "A"], ["2", "B"]]
    assert expected(b"code;name\r1;A\r2;B\r", Source("csv", "utf-8", ";")) == 3


def test_a_cell_without_end_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="quotes"):
        lines_of(b"code,name," + b"x" * 200_000)


@example(b"0\r0")
@given(st.binary(max_size=300))
def test_any_bytes_are_lines_or_unreadable(content: bytes) -> None:
    try:
        lines = lines_of(content)
    except Unreadable:
        return
    assert all(any(cells) for cells in lines)


@given(st.lists(st.text(max_size=20), max_size=8))
def test_any_cells_are_read_and_a_line_without_faults_has_code_and_name(cells: list[str]) -> None:
    line = read_line(import_reading.FIELDS, cells)
    if not line.faults:
        assert line.values["code"]
        assert line.values["name"]
    assert all("." in fault for fault in line.faults)


def test_too_many_lines_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_reading, "LINES_MOST", 3)
    content = b"code,name\n" + b"1,A\n" * 3
    assert len(lines_of(content)) == 4
    with pytest.raises(Unreadable, match="too_many"):
        lines_of(content + b"1,A\n")


@pytest.mark.parametrize(
    ("heading", "word"),
    [("code,phone", "header"), ("code,name,name", "twice"), ("code,name,colour", "unknown"), ("", "empty")],
)
def test_a_first_line_that_does_not_name_the_columns_is_refused(heading: str, word: str) -> None:
    with pytest.raises(Unreadable, match=word):
        head_of(lines_of(heading.encode())[0])
    assert head_of(["*Member_Code", " 姓名 ", "", "车牌号"]) == ["code", "name", "", "plates"]
