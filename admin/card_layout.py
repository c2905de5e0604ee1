"""Where things stand on printed cards and on the sheets they are printed on. Millimetres from the top left.

Pure geometry. `ID1` is the card of ISO/IEC 7810; the sheets are those of perforated business card stock,
two cards beside each other and five below.
"""

from dataclasses import dataclass

__all__ = ["FACE_MARGIN", "ID1", "MARK", "STOCKS", "Box", "Stock", "crop_marks", "face", "places", "sheet"]

FACE_MARGIN = 4.0  # what printers and cutters may lose at each edge, and some air
MARK = 4.0  # length of a crop mark
MARK_GAP = 1.5  # between a card's edge and its crop mark
LARGEST_QR = 34.0
HAIR = 1e-6  # what sums of millimetres may be wrong by
MARKED_MARGIN = 8.0  # around a single card whose page has crop marks


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: its left and upper edge, its width and height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    def overlaps(self, other: "Box") -> bool:
        """Whether the two have more than an edge in common."""
        return (
            self.x < other.right - HAIR
            and other.x < self.right - HAIR
            and self.y < other.bottom - HAIR
            and other.y < self.bottom - HAIR
        )

    def holds(self, other: "Box") -> bool:
        """Whether `other` lies inside."""
        return (
            self.x <= other.x + HAIR
            and other.right <= self.right + HAIR
            and self.y <= other.y + HAIR
            and other.bottom <= self.bottom + HAIR
        )


@dataclass(frozen=True, slots=True)
class Stock:
    """What is printed on: a page, and how the cards lie on it, `across` beside each other."""

    page: tuple[float, float]
    card: tuple[float, float]
    left: float = 0.0
    top: float = 0.0
    gap: float = 0.0  # between columns; rows touch
    across: int = 1
    down: int = 1

    @property
    def many(self) -> int:
        return self.across * self.down


ID1 = (85.6, 53.98)
STOCKS: dict[str, Stock] = {
    "id1": Stock(page=ID1, card=ID1),
    "a4": Stock(page=(210.0, 297.0), card=(85.0, 54.0), left=15.0, top=13.5, gap=10.0, across=2, down=5),
    "letter": Stock(page=(215.9, 279.4), card=(88.9, 50.8), left=19.05, top=12.7, across=2, down=5),
}
"""One card a page for card printers; ten on A4 (85 by 54); ten on US Letter (3.5 by 2 inches)."""


def sheet(stock: Stock, *, marks: bool) -> tuple[float, float]:
    """Width and height of a page. A page of one card grows when it has crop marks."""
    if marks and stock.many == 1:
        return stock.page[0] + 2 * MARKED_MARGIN, stock.page[1] + 2 * MARKED_MARGIN
    return stock.page


def places(stock: Stock, *, marks: bool) -> list[Box]:
    """Where the cards of a page lie, row by row."""
    width, height = stock.card
    left, top = (MARKED_MARGIN, MARKED_MARGIN) if marks and stock.many == 1 else (stock.left, stock.top)
    return [
        Box(left + column * (width + stock.gap), top + row * height, width, height)
        for row in range(stock.down)
        for column in range(stock.across)
    ]


def crop_marks(stock: Stock) -> list[tuple[float, float, float, float]]:
    """Where to cut, as lines from (x, y) to (x, y), all of them outside of the cards."""
    cards = places(stock, marks=True)
    left, right = min(card.x for card in cards), max(card.right for card in cards)
    top, bottom = min(card.y for card in cards), max(card.bottom for card in cards)
    lines = []
    for x in sorted({edge for card in cards for edge in (card.x, card.right)}):
        lines.append((x, top - MARK_GAP - MARK, x, top - MARK_GAP))
        lines.append((x, bottom + MARK_GAP, x, bottom + MARK_GAP + MARK))
    for y in sorted({edge for card in cards for edge in (card.y, card.bottom)}):
        lines.append((left - MARK_GAP - MARK, y, left - MARK_GAP, y))
        lines.append((right + MARK_GAP, y, right + MARK_GAP + MARK, y))
    return lines


def face(card: Box) -> dict[str, Box]:
    """Where the parts of a card stand: enterprise, product, number, member, last_day and qr.

    The QR's box has its quiet zone in it.
    """
    left, top = card.x + FACE_MARGIN, card.y + FACE_MARGIN
    width, height = card.width - 2 * FACE_MARGIN, card.height - 2 * FACE_MARGIN
    bottom = top + height
    side = min(LARGEST_QR, height - 8)
    column = width - side - 3
    return {
        "enterprise": Box(left, top, width, 6),
        "product": Box(left, top + 8, column, 4.5),
        "number": Box(left, bottom - 18, column, 5),
        "member": Box(left, bottom - 11.5, column, 5),
        "last_day": Box(left, bottom - 4.5, column, 4.5),
        "qr": Box(left + width - side, bottom - side, side, side),
    }
