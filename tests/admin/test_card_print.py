"""Printed cards: what stands where, and that what is drawn can be read."""

import shutil
import subprocess
from pathlib import Path

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from admin.card_layout import FACE_MARGIN, STOCKS, Box, Stock, crop_marks, face, places, sheet
from admin.card_print import QUIET_ZONE, CardFace, Letter, cards_pdf, letters_pdf, runs, symbol
from protocol.credentials import CardToken, open_token, seal

KEY = bytes(range(32))
DOTS = 8  # of the picture of a QR for each module


def token(number: int = 1) -> str:
    nonce = number.to_bytes(24, "big")
    return seal(CardToken(3, 4, number, 1), key_id=1, key=KEY, nonce=nonce)


def card(number: int = 1, member: str = "Wang Fang 王芳") -> CardFace:
    return CardFace(
        token=token(number),
        number="8600 3000 0000 0058",
        member=member,
        enterprise="Harbour Insurance 海港保险股份有限公司",
        product="Gold 金卡",
        last_day="Valid until 31 Dec 2028",
    )


def alone(boxes: list[Box]) -> bool:
    return not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[place + 1 :])


@pytest.mark.parametrize("marks", [False, True])
@pytest.mark.parametrize("stock", STOCKS.values(), ids=STOCKS)
def test_cards_lie_on_the_page_and_nothing_on_them_overlaps(stock: Stock, marks: bool) -> None:
    width, height = sheet(stock, marks=marks)
    page, cards = Box(0, 0, width, height), places(stock, marks=marks)
    assert len(cards) == stock.many
    assert alone(cards)
    for spot in cards:
        assert page.holds(spot)
        assert (spot.width, spot.height) == stock.card
        inner = Box(
            spot.x + FACE_MARGIN,
            spot.y + FACE_MARGIN,
            spot.width - 2 * FACE_MARGIN,
            spot.height - 2 * FACE_MARGIN,
        )
        parts = face(spot)
        assert all(inner.holds(part) for part in parts.values())
        assert alone(list(parts.values()))
        # A module of at least half a millimetre is read by any scan gun.
        assert parts["qr"].width / (len(symbol(token())) + 2 * QUIET_ZONE) >= 0.5
    if marks:
        for x1, y1, x2, y2 in crop_marks(stock):
            line = Box(min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1))
            assert page.holds(line)
            assert not any(spot.overlaps(line) for spot in cards)


def test_the_sizes_are_those_of_the_stock() -> None:
    assert sheet(STOCKS["id1"], marks=False) == (85.6, 53.98)
    assert places(STOCKS["a4"], marks=False)[-1].right == pytest.approx(210 - 15)
    assert places(STOCKS["letter"], marks=False)[-1].bottom == pytest.approx(279.4 - 12.7)


@settings(max_examples=25)
@given(st.integers(1, 2**63 - 1))
def test_the_symbol_of_a_token_reads_as_the_token(number: int) -> None:
    rows = symbol(token(number))
    side = (len(rows) + 2 * QUIET_ZONE) * DOTS
    picture = Image.new("L", (side, side), 255)
    for y, row in enumerate(rows):
        for x, dark in enumerate(row):
            if dark:
                left, top = (x + QUIET_ZONE) * DOTS, (y + QUIET_ZONE) * DOTS
                picture.paste(0, (left, top, left + DOTS, top + DOTS))
    (found,) = zxingcpp.read_barcodes(picture)
    assert open_token(found.text, {1: KEY}) == CardToken(3, 4, number, 1)


def test_the_font_changes_where_the_script_does() -> None:
    assert list(runs("Wang Fang 王芳, 2")) == [("Wang Fang ", False), ("王芳", True), (", 2", False)]
    assert list(runs("𠮷")) == [("〓", True)]
    assert list(runs("")) == []


@pytest.mark.parametrize(("stock", "pages"), [("id1", 23), ("a4", 3), ("letter", 3)])
def test_a_file_has_as_many_pages_as_the_cards_need(stock: str, pages: int) -> None:
    faces = [card(number, "王" * number) for number in range(1, 24)]
    content = cards_pdf(faces, STOCKS[stock], marks=True, title="Cards")
    assert content.startswith(b"%PDF-")
    assert f"/Count {pages} ".encode() in content
    assert b"/STSong-Light" in content


def test_letters_come_three_to_a_page() -> None:
    letters = [Letter(lines=["海港保险", "Member · C1"], code="12345678")] * 4
    assert b"/Count 2 " in letters_pdf(letters, title="Letters")


@pytest.mark.skipif(shutil.which("pdftoppm") is None, reason="pdftoppm (poppler-utils) is not installed")
@pytest.mark.parametrize("stock", STOCKS)
def test_printed_and_read_again(tmp_path: Path, stock: str) -> None:
    many = STOCKS[stock].many
    (tmp_path / "cards.pdf").write_bytes(
        cards_pdf([card(number + 1) for number in range(many)], STOCKS[stock], marks=True, title="Cards")
    )
    subprocess.run(
        ["pdftoppm", "-gray", "-r", "120", "-singlefile", "cards.pdf", "page"], cwd=tmp_path, check=True
    )
    with Image.open(tmp_path / "page.pgm") as picture:
        found = {
            open_token(each.text, {1: KEY}).card for each in zxingcpp.read_barcodes(picture.convert("L"))
        }
    assert found == set(range(1, many + 1))
