"""Cards as PDF: QR and words of each, on the stock that was chosen; and letters with one-time codes.

Nothing is embedded for Chinese: STSong-Light is one of the fonts that every reader of PDF brings or
replaces. Everything is drawn as vectors, so that the QR is as sharp as the printer.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import segno
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from admin.card_layout import Box, Stock, crop_marks, face, places, sheet

__all__ = ["CardFace", "Letter", "cards_pdf", "letters_pdf", "runs", "symbol"]

CHINESE = "STSong-Light"
QUIET_ZONE = 4  # modules of white around a QR code, as ISO/IEC 18004 asks
# Sealed tokens are as good as random: no mask suits them better than another, and trying all takes long.
MASK = 3
SMALLEST = 5.0  # points of type; what does not fit then is cut
A4 = (210.0, 297.0)
LETTERS_DOWN = 3
LETTER_MARGIN = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFace:
    """What is printed on a card: the sealed token as QR, the rest as words."""

    token: str
    number: str
    member: str
    enterprise: str
    product: str
    last_day: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One member's one-time code: lines of words, and the code."""

    lines: Sequence[str]
    code: str


def cards_pdf(faces: Iterable[CardFace], stock: Stock, *, marks: bool, title: str) -> bytes:
    """All cards, page by page; with `marks` the lines to cut along."""
    width, height = sheet(stock, marks=marks)
    pen = _Pen(width, height, title)
    spots = places(stock, marks=marks)
    page: list[CardFace] = []
    for each in faces:
        page.append(each)
        if len(page) == len(spots):
            _page(pen, page, spots, stock, marks=marks)
            page = []
    if page:
        _page(pen, page, spots, stock, marks=marks)
    return pen.finished()


def letters_pdf(letters: Sequence[Letter], *, title: str) -> bytes:
    """Letters, three on a page of A4, to be cut and folded."""
    width, height = A4
    pen = _Pen(width, height, title)
    each = height / LETTERS_DOWN
    for start in range(0, len(letters), LETTERS_DOWN):
        for place, letter in enumerate(letters[start : start + LETTERS_DOWN]):
            top = place * each + 12
            for number, line in enumerate(letter.lines):
                pen.write(line, Box(LETTER_MARGIN, top + number * 7, width - 2 * LETTER_MARGIN, 5), 11)
            below = top + len(letter.lines) * 7 + 4
            code = f"{letter.code[:4]} {letter.code[4:]}"
            pen.write(code, Box(LETTER_MARGIN, below, width - 2 * LETTER_MARGIN, 11), 26, bold=True)
            if place:
                pen.line(5, place * each, 15, place * each)
        pen.next_page()
    return pen.finished()


def symbol(token: str) -> tuple[tuple[int, ...], ...]:
    """The QR code of a token without its quiet zone, row by row, 1 for dark."""
    rows = segno.make(token, micro=False, error="m", mask=MASK, boost_error=False).matrix
    return tuple(tuple(module & 1 for module in row) for row in rows)


def runs(words: str) -> Iterator[tuple[str, bool]]:
    """The words cut where the font changes; True for a part that the Latin fonts do not have."""
    # Beyond the basic plane the Chinese font's encoding has nothing; a geta mark says so.
    known = "".join(sign if ord(sign) < 0x10000 else "〓" for sign in words)
    for foreign, part in groupby(known, key=lambda sign: ord(sign) > 0xFF):
        yield "".join(part), foreign


def _page(pen: "_Pen", cards: Sequence[CardFace], spots: Sequence[Box], stock: Stock, *, marks: bool) -> None:
    if marks:
        for line in crop_marks(stock):
            pen.line(*line)
    for card, spot in zip(cards, spots, strict=False):
        parts = face(spot)
        pen.write(card.enterprise, parts["enterprise"], 12, bold=True)
        pen.write(card.product, parts["product"], 9)
        pen.write(card.number, parts["number"], 11, bold=True)
        pen.write(card.member, parts["member"], 10)
        pen.write(card.last_day, parts["last_day"], 8)
        pen.qr(symbol(card.token), parts["qr"])
    pen.next_page()


class _Pen:
    """A canvas that is told millimetres from the top left."""

    def __init__(self, width: float, height: float, title: str) -> None:
        if CHINESE not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))
        self._file = io.BytesIO()
        self._height = height
        self._canvas = Canvas(self._file, pagesize=(width * mm, height * mm), invariant=1)
        self._canvas.setTitle(title)

    def finished(self) -> bytes:
        self._canvas.save()
        return self._file.getvalue()

    def next_page(self) -> None:
        self._canvas.showPage()

    def line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self._canvas.setLineWidth(0.25)
        self._canvas.line(x1 * mm, (self._height - y1) * mm, x2 * mm, (self._height - y2) * mm)

    def write(self, words: str, box: Box, size: float, *, bold: bool = False) -> None:
        """One line at the left, as large as `size` and the box allow; too long, it is cut."""
        latin = "Helvetica-Bold" if bold else "Helvetica"
        room = box.width * mm
        wanted = _width(words, latin, size)
        if wanted > room:
            size = max(SMALLEST, size * room / wanted)
        if _width(words, latin, size) > room * 1.001:
            while words and _width(words + "…", latin, size) > room:
                words = words[:-1]
            words += "…"
        x, y = box.x * mm, (self._height - box.bottom) * mm + box.height * mm * 0.25
        for part, foreign in runs(words):
            font = CHINESE if foreign else latin
            self._canvas.setFont(font, size)
            self._canvas.drawString(x, y, part)
            x += pdfmetrics.stringWidth(part, font, size)

    def qr(self, rows: Sequence[Sequence[int]], box: Box) -> None:
        """The code with its quiet zone in the box, dark runs as one path."""
        module = box.width / (len(rows) + 2 * QUIET_ZONE) * mm
        left = box.x * mm + QUIET_ZONE * module
        top = (self._height - box.y) * mm - QUIET_ZONE * module
        path = self._canvas.beginPath()
        for number, row in enumerate(rows):
            x = 0
            for dark, part in groupby(row):
                many = len(list(part))
                if dark:
                    path.rect(left + x * module, top - (number + 1) * module, many * module, module)
                x += many
        self._canvas.drawPath(path, stroke=0, fill=1)


def _width(words: str, latin: str, size: float) -> float:
    total = 0.0
    for part, foreign in runs(words):
        total += pdfmetrics.stringWidth(part, CHINESE if foreign else latin, size)
    return total
