"""Lists as files: CSV and XLSX, sent while they are read, so that a list of any length needs little memory.

No cell of text begins as a formula does, in either form: who opens the file runs nothing.
"""

import csv
import io
import re
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import chain, islice
from typing import IO, Any, TypeAlias, TypeVar, cast
from urllib.parse import quote
from xml.sax.saxutils import escape

from flask import Response, abort, stream_with_context
from flask_babel import to_user_timezone

from admin import current
from ledger.database import Connection

__all__ = ["FORMATS", "Cell", "answer", "csv_bytes", "in_pages", "xlsx_bytes"]

FORMATS = ("csv", "xlsx")
Cell: TypeAlias = str | int | date | datetime | None
Row = TypeVar("Row")

CSV_TYPE = "text/csv; charset=utf-8"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"  # by it Excel knows UTF-8
CHUNK = 64 * 1024  # bytes, about, between two that are sent

# What programs take for a formula; the wide signs too, which those of East Asia take for the narrow ones.
FORMULA = tuple("=+-@\t\r\n＝＋－＠")
SHEET_ROWS = 1_048_575  # Excel's most, less the line of names
SHEET_BYTES = 1_500_000_000  # beyond 2 GiB a member of an archive needs what not every program reads
CELL_LETTERS = 32_767  # Excel's most
EXACT = 10**15  # a spreadsheet's numbers are floats: from here on they lose digits, so it gets text
BEFORE_MARCH_1900 = date(1900, 3, 1)  # spreadsheets believe in a 29 February of that year
DAY_ZERO = date(1899, 12, 30).toordinal()
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def answer(fmt: str, name: str, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Response:
    """The list as a file to keep. `fmt` is csv or xlsx (404 for anything else), `name` has no ending.

    `rows` may be a generator (see `in_pages`): it is read while the file is sent. Times are written in the
    operator's time zone. What fails at the first row is an error page as usual; later, the file breaks off.
    """
    if fmt not in FORMATS:
        abort(404)
    lines = iter(rows)
    read = chain(list(islice(lines, 1)), lines)
    body = csv_bytes(head, read) if fmt == "csv" else xlsx_bytes(name, head, read)
    sent = Response(stream_with_context(body), content_type=CSV_TYPE if fmt == "csv" else XLSX_TYPE)
    sent.headers["Content-Disposition"] = _disposition(f"{name}.{fmt}")
    sent.headers["Cache-Control"] = "no-store"
    return sent


def in_pages(page: Callable[[Connection, Row | None], Sequence[Row]]) -> Iterator[Row]:
    """All rows of a list, page by page: `page(connection, last)` reads those that come after `last`.

    Each page has a transaction of its own, as the person who asks: however slowly a browser takes the file,
    none stays open. The list ends with the first empty page.
    """
    database, scope = current.database(), current.scope()

    def read() -> Iterator[Row]:
        last: Row | None = None
        while True:
            with database.transaction(scope) as connection:
                found = page(connection, last)
            if not found:
                return
            yield from found
            last = found[-1]

    return read()


def csv_bytes(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    """A CSV file as spreadsheets and programs read it: UTF-8 with its mark, lines that end in CR LF."""
    text = io.StringIO()
    text.write(BOM)
    write = csv.writer(text).writerow
    for row in chain([head], rows):
        write([_csv_cell(cell) for cell in row])
        if text.tell() >= CHUNK:
            yield _taken(text)
    yield _taken(text)


def _csv_cell(cell: Cell) -> str | int:
    match cell:
        case None:
            return ""
        case str():
            return harmless(cell)
        case datetime():
            return _local(cell).isoformat(" ", "seconds")
        case date():
            return cell.isoformat()
    return cell


def _taken(text: io.StringIO) -> bytes:
    words = text.getvalue()
    text.seek(0)
    text.truncate()
    return words.encode("utf-8", "replace")


def harmless(words: str) -> str:
    """The words, with an apostrophe before those that a spreadsheet would run."""
    return f"'{words}" if words.startswith(FORMULA) else words


def _local(moment: datetime) -> datetime:
    there = moment if moment.tzinfo is None else to_user_timezone(moment)
    return cast("datetime", there).replace(tzinfo=None)


def _disposition(filename: str) -> str:
    """Both forms of RFC 6266: the plain name for old programs, the true one for all others."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%/;]', "_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


# An XLSX file is a ZIP archive of a few XML files. It is written here, and not by a library, because a
# library wants to have it whole before the first byte can go out.

NAMESPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml."
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
PLAIN, BOLD, DATE, MOMENT = range(4)  # styles, by their place in STYLES
STYLES = (
    f'{XML}<styleSheet xmlns="{NAMESPACE}"><numFmts count="2"><numFmt numFmtId="164"'
    ' formatCode="yyyy\\-mm\\-dd"/><numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/>'
    '<name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/>'
    '<top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0"'
    ' fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="4">'
    + "".join(
        f'<xf numFmtId="{number}" fontId="{font}" fillId="0" borderId="0" xfId="0"'
        f' applyNumberFormat="1" applyFont="1"/>'
        for number, font in ((0, 0), (0, 1), (164, 0), (165, 0))
    )
    + '</cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
    "</styleSheet>"
)


class _Sent(io.RawIOBase):
    """What the archive has written and nobody has taken yet. It cannot be sought in: it is gone already."""

    def __init__(self) -> None:
        self._parts = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        self._parts += part
        return len(part)

    def take(self) -> bytes:
        parts, self._parts = bytes(self._parts), bytearray()
        return parts


def xlsx_bytes(
    name: str, head: Sequence[str], rows: Iterable[Sequence[Cell]], *, sheet_rows: int = SHEET_ROWS
) -> Iterator[bytes]:
    """An XLSX file with a line of names on every sheet; rows beyond `sheet_rows` go on on a further sheet."""
    sent = _Sent()
    lines = iter(rows)
    sheets = 0
    with zipfile.ZipFile(cast("IO[bytes]", sent), "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
        more = True
        while more:
            sheets += 1
            with archive.open(f"xl/worksheets/sheet{sheets}.xml", "w") as sheet:
                more = yield from _sheet(sheet, sent, head, lines, sheet_rows)
            if more:
                first = next(lines, None)  # no sheet without a row, but for the first
                more = first is not None
                lines = chain([first], lines) if first is not None else lines
        for path, content in _around(name, sheets).items():
            archive.writestr(path, content)
    yield sent.take()


def _sheet(
    sheet: IO[bytes], sent: _Sent, head: Sequence[str], lines: Iterator[Sequence[Cell]], most: int
) -> Generator[bytes, None, bool]:
    """Write one sheet; returns whether it is full, and there may be more."""
    written, text = 0, []
    text.append(
        f'{XML}<worksheet xmlns="{NAMESPACE}"><sheetViews><sheetView workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
        "<sheetData>" + _row(head, BOLD)
    )
    count = 0
    for row in islice(lines, most):
        count += 1
        text.append(_row(row, PLAIN))
        if len(text) >= 200:
            written += sheet.write("".join(text).encode())
            text.clear()
            if written >= SHEET_BYTES:
                break
            part = sent.take()
            if part:
                yield part
    text.append("</sheetData></worksheet>")
    sheet.write("".join(text).encode())
    return count == most or written >= SHEET_BYTES


def _row(cells: Sequence[Cell], style: int) -> str:
    return f"<row>{''.join(_xlsx_cell(cell, style) for cell in cells)}</row>"


def _xlsx_cell(cell: Cell, style: int) -> str:
    match cell:
        case None:
            return "<c/>"
        case datetime():
            local = _local(cell)
            seconds = local.hour * 3600 + local.minute * 60 + local.second
            serial = local.toordinal() - DAY_ZERO
            return f'<c s="{MOMENT}"><v>{serial + seconds / 86400:.9f}</v></c>'
        case date() if cell >= BEFORE_MARCH_1900:
            return f'<c s="{DATE}"><v>{cell.toordinal() - DAY_ZERO}</v></c>'
        case int() if abs(cell) < EXACT:
            return f"<c><v>{cell:d}</v></c>"
        case str():
            words = harmless(cell)
        case _:
            words = str(cell)
    clean = escape(NOT_XML.sub("\N{REPLACEMENT CHARACTER}", words[:CELL_LETTERS]))
    return f'<c t="inlineStr" s="{style}"><is><t xml:space="preserve">{clean}</t></is></c>'


def _around(name: str, sheets: int) -> dict[str, str]:
    """The other files of the archive, which say what it holds."""
    title = escape(re.sub(r"[\[\]:*?/\\']", " ", NOT_XML.sub(" ", name))[:24].strip() or "1", {'"': "&quot;"})
    numbers = range(1, sheets + 1)
    names = {number: title if number == 1 else f"{title} {number}" for number in numbers}
    return {
        "xl/workbook.xml": f'{XML}<workbook xmlns="{NAMESPACE}" xmlns:r="{OFFICE}"><sheets>'
        + "".join(f'<sheet name="{names[n]}" sheetId="{n}" r:id="rId{n}"/>' for n in numbers)
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'{XML}<Relationships xmlns="{PACKAGE}/relationships">'
        + "".join(
            f'<Relationship Id="rId{n}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
            for n in numbers
        )
        + f'<Relationship Id="rId{sheets + 1}" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": STYLES,
        "_rels/.rels": f'{XML}<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1"'
        f' Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "[Content_Types].xml": f'{XML}<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{KIND}sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{KIND}styles+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{KIND}worksheet+xml"/>'
            for n in numbers
        )
        + "</Types>",
    }
