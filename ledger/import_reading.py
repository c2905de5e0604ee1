"""Files of members: what kind of file it is, its lines, and what is wrong with each. Pure.

CSV with commas, semicolons or tabs in UTF-8, UTF-16 or GB18030; and XLSX, its first sheet. The first line
names the columns, in English or Chinese, in any order.
"""

import codecs
import csv
import io
import re
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import openpyxl

from ledger import personal
from ledger.personal import Wrong

__all__ = [
    "COLUMNS", "ENCODINGS", "FIELDS", "LARGEST", "CODE_MOST", "LINES_MOST", "NAME_MOST", "ROWS_MOST", "Read",
    "Source", "Unreadable",
    "examined", "expected", "head_of", "read_line", "rows", "split_plates",
]  # fmt: skip

LARGEST = 20 * 1024 * 1024  # bytes of a file
UNPACKED_MOST = 250 * 1024 * 1024  # bytes of an XLSX's parts together: 100,000 lines need a tenth of it
PARTS_MOST = 1_000
LINES_MOST = 100_000
ROWS_MOST = LINES_MOST * 2  # with empty ones
CELLS_MOST = 40  # columns that are looked at
CELL_MOST = 2_000  # letters
NAME_MOST = 100
CODE_MOST = 40
PLATES_MOST = 10

ENCODINGS = ("utf-8", "gb18030", "utf-16")
FIELDS = ("code", "name", "phone", "identity", "plates", "unit")
COLUMNS: dict[str, str] = {
    heading: field
    for field, headings in {
        "code": ("code", "member code", "member no", "member number", "会员编号", "会员号", "编号"),
        "name": ("name", "full name", "姓名", "会员姓名", "名字", "名称"),
        "phone": (
            "phone", "mobile", "phone number", "mobile phone", "手机", "手机号", "手机号码", "电话",
            "联系电话",
        ),
        "identity": (
            "identity number", "identity", "id number", "身份证", "身份证号", "身份证号码", "证件号",
            "证件号码",
        ),
        "plates": ("plate", "plates", "plate number", "number plate", "车牌", "车牌号", "车牌号码"),
        "unit": (
            "unit", "unit code", "department", "branch", "单位", "单位编号", "部门",
            "部门编号", "机构", "机构编号",
        ),
    }.items()
    for heading in headings
}  # fmt: skip
"""What a column may be called, in small letters, and what it holds."""


class Unreadable(Exception):
    """The file as a whole cannot be taken; `word` says why, `detail` where or what.

    empty, encoding, text, quotes, header, twice, unknown, spreadsheet, packed, too_many.
    """

    def __init__(self, word: str, detail: str = "") -> None:
        super().__init__(word, detail)
        self.word = word
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Source:
    """What a file was found to be: `csv` in an encoding with a delimiter, or `xlsx`."""

    kind: str
    encoding: str = ""
    delimiter: str = ""

    def __str__(self) -> str:
        return self.kind if self.kind == "xlsx" else f"csv {self.encoding} {ord(self.delimiter)}"

    @classmethod
    def parse(cls, text: str) -> "Source":
        """From what str() gave."""
        kind, *rest = text.split(" ")
        return cls(kind, rest[0], chr(int(rest[1]))) if rest else cls(kind)


@dataclass(frozen=True, slots=True)
class Read:
    """A line: its values in their normal forms where they have one, as typed where not; and its faults.

    A fault is `field.why`, such as `phone.digits`, `name.missing` or `identity.twice`.
    """

    values: Mapping[str, str]
    plates: tuple[str, ...]
    faults: tuple[str, ...]


def examined(content: bytes, encoding: str | None = None) -> Source:
    """What the file is. `encoding`: what its sender says that it is in. Raises Unreadable."""
    if not content.strip(b"\0 \r\n\t"):
        raise Unreadable("empty")
    if content.startswith(b"PK\x03\x04"):
        _require_sane_archive(content)
        return Source("xlsx")
    if content.startswith((b"\xd0\xcf\x11\xe0", b"%PDF", b"{\\rtf", b"\x1f\x8b", b"Rar!", b"7z")):
        raise Unreadable("spreadsheet")
    found, text = _decoded(content, encoding)
    head = next(io.StringIO(text.lstrip("\ufeff\r\n"), newline=""), "")
    return Source("csv", found, max(",;\t", key=lambda sign: (_headings_by(sign, head), head.count(sign))))


def rows(content: bytes, source: Source) -> Iterator[tuple[int, list[str]]]:
    """Every line that is not empty, the first one too: its number in the file, counted from 1, and its cells.

    Raises Unreadable, at the latest when it comes to what cannot be read.
    """
    lines = _sheet_rows(content) if source.kind == "xlsx" else _text_rows(content, source)
    count = 0
    for number, cells in lines:
        if number > ROWS_MOST:
            raise Unreadable("too_many")
        if any(cells):
            count += 1
            if count > LINES_MOST + 1:
                raise Unreadable("too_many")
            yield number, cells


def expected(content: bytes, source: Source) -> int:
    """About how many lines there are, at least one: for a progress bar."""
    if source.kind == "csv":
        return max(1, content.count(b"\n"), content.count(b"\r"))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            sheet = min(name for name in archive.namelist() if name.startswith("xl/worksheets/sheet"))
            with archive.open(sheet) as part:
                return max(1, sum(piece.count(b"<row ") for piece in iter(lambda: part.read(1 << 20), b"")))
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, zlib.error):
        return 1


def head_of(cells: Sequence[str]) -> list[str]:
    """The field of each column, "" where it says nothing. Raises Unreadable without a code and a name."""
    fields = []
    for cell in cells:
        heading = _heading(cell)
        if heading and heading not in COLUMNS:
            raise Unreadable("unknown", cell[:40])
        fields.append(COLUMNS[heading] if heading else "")
    for field in ("code", "name"):
        if field not in fields:
            raise Unreadable("header", field)
    twice = next((field for field in FIELDS if fields.count(field) > 1), None)
    if twice is not None:
        raise Unreadable("twice", twice)
    return fields


def read_line(fields: Sequence[str], cells: Sequence[str]) -> Read:
    """What a line says, and all that is wrong with it by itself."""
    typed = dict.fromkeys(FIELDS, "")
    faults = []
    for place, cell in enumerate(cells):
        field = fields[place] if place < len(fields) else ""
        if field:
            # Spreadsheets and our own downloads put an apostrophe before what would be a formula.
            typed[field] = " ".join(re.sub(r"^'(?=[=+\-@＝＋－＠])", "", cell).split())
        elif cell:
            faults.append("line.wide")
    values: dict[str, str] = {}
    for field, text in typed.items():
        values[field], why = _value(field, text)
        if why is not None:
            faults.append(f"{field}.{why}")
    plates: tuple[str, ...] = ()
    try:
        plates = split_plates(typed["plates"])
    except Wrong as wrong:
        faults.append(f"plates.{wrong}")
    return Read(values, plates, tuple(dict.fromkeys(faults)))


def _value(field: str, text: str) -> tuple[str, str | None]:
    """The value in its normal form, or as it was typed with a word for what is wrong."""
    most = {"code": CODE_MOST, "name": NAME_MOST}.get(field, CELL_MOST)
    if not text:
        return "", "missing" if field in {"code", "name"} else None
    if len(text) > most:
        return text[:CELL_MOST], "long"
    if any(unicodedata.category(sign) in {"Cc", "Cs", "Co", "Cn"} or sign == "\ufffd" for sign in text):
        return "".join(sign if sign.isprintable() else "?" for sign in text), "signs"
    if field in {"phone", "identity"}:
        try:
            if field == "identity" and re.fullmatch(r"\d\.\d+E\+\d+", text):
                raise Wrong("rounded")
            return (personal.phone_number if field == "phone" else personal.identity_number)(text), None
        except Wrong as wrong:
            return text, str(wrong)
    return text, None


def split_plates(text: str) -> tuple[str, ...]:
    """The plates of a cell or a field, with commas and the like between them. Raises Wrong."""
    parts = [part for part in re.split(r"[,;/、，；|]|\s{1,}(?=\S{5,})", text) if part and part.strip()]
    if len(parts) > PLATES_MOST:
        raise Wrong("many")
    return tuple(dict.fromkeys(personal.plate(part) for part in parts))


def _heading(cell: str) -> str:
    return " ".join(cell.strip("\ufeff").replace("*", "").replace("_", " ").replace(".", "").lower().split())


def _headings_by(delimiter: str, head: str) -> int:
    """How many columns are known when the first line is cut at this sign."""
    try:
        cells = next(csv.reader([head], delimiter=delimiter), [])
    except csv.Error:  # a cell without end: no delimiter is better than another
        return 0
    return sum(_heading(cell) in COLUMNS for cell in cells)


def _decoded(content: bytes, encoding: str | None) -> tuple[str, str]:
    """The encoding and the text. A byte order mark decides; else what was said; else what fits strictly."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        order: tuple[str, ...] = ("utf-16",)
    elif content.startswith(codecs.BOM_UTF8):
        order = ("utf-8",)
    elif encoding == "utf-16" or (encoding is None and b"\0" in content[:200]):
        sample = content[:2000]
        order = ("utf-16-le" if sample[1::2].count(0) >= sample[0::2].count(0) else "utf-16-be",)
    else:
        order = ("utf-8", "gb18030") if encoding is None else (encoding,)
    for name in order:
        try:
            text = content.decode("utf-8-sig" if name == "utf-8" else name)
        except UnicodeDecodeError:
            continue
        # What no encoding of text means to say: the bytes of another one, read as this.
        if any(unicodedata.category(sign) in {"Cn", "Co", "Cs"} for sign in set(text)):
            continue
        if "\0" in text:
            raise Unreadable("text")
        return name, text
    raise Unreadable("encoding", ", ".join(order))


def _text_rows(content: bytes, source: Source) -> Iterator[tuple[int, list[str]]]:
    text = content.decode("utf-8-sig" if source.encoding == "utf-8" else source.encoding)
    reader = csv.reader(
        io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=source.delimiter, strict=True
    )
    number = 0
    try:
        for number, cells in enumerate(reader, 1):
            yield number, [cell.strip()[:CELL_MOST] for cell in cells[:CELLS_MOST]]
    except csv.Error as error:
        raise Unreadable("quotes", str(number + 1)) from error


def _require_sane_archive(content: bytes) -> None:
    """Raise Unreadable for what is no XLSX, or unpacks to more than any list of members needs."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            names = {part.filename for part in parts}
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise Unreadable("spreadsheet") from error
    if "[Content_Types].xml" not in names or not any(name.startswith("xl/worksheets/") for name in names):
        raise Unreadable("spreadsheet")
    if len(parts) > PARTS_MOST or sum(part.file_size for part in parts) > UNPACKED_MOST:
        raise Unreadable("packed")
    if any(part.flag_bits & 1 for part in parts):
        raise Unreadable("spreadsheet")


def _sheet_rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    # openpyxl parses with defusedxml, which refuses entities, and reads row by row. zipfile stops at the
    # sizes that the archive names, so a part that lies about its own is cut off and fails.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(
                io.BytesIO(content), read_only=True, data_only=True, keep_links=False
            )
        sheet = book.worksheets[0]
        sheet.reset_dimensions()
        lines = sheet.iter_rows(max_col=CELLS_MOST, values_only=True)
    except Exception as error:  # whatever a parser says of a file that is none
        raise Unreadable("spreadsheet") from error
    number = 0
    while True:
        try:
            cells = next(lines, None)
        except Exception as error:
            raise Unreadable("spreadsheet") from error
        if cells is None:
            return
        number += 1
        yield number, _trimmed([_cell(value) for value in cells])


def _trimmed(cells: list[str]) -> list[str]:
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _cell(value: Any) -> str:
    """What a cell shows: numbers without the .0 that spreadsheets give them."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        # Beyond 15 digits a spreadsheet has rounded the number, and shows it so.
        return str(int(value)) if value.is_integer() and abs(value) < 10**15 else f"{value:.9E}"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**15 else f"{value:.9E}"
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return str(value).strip()[:CELL_MOST]
