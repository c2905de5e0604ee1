"""Reading cards and codes: text, pictures, and what is neither."""

from pathlib import Path

import pytest
import segno
from PIL import Image

from protocol.credentials import CredentialError
from tests.txserver.pos_desk import create_code
from tests.txserver.terminal_peer import CARD, SERVER_KEY
from txserver.scan import ScanError, read_card, read_chip, read_code, read_picture


def picture_of(text: str, path: Path, **colours: str | None) -> Path:
    segno.make(text).save(str(path), scale=4, **colours)
    return path


def test_a_card_by_text() -> None:
    assert read_card(f" {CARD.lower()}\r\n") == CARD


@pytest.mark.parametrize("text", ["", "P1", "HELLO", CARD + "1", "P1" + "A" * 300, create_code()])
def test_what_is_no_card(text: str) -> None:
    with pytest.raises(CredentialError):
        read_card(text)


def test_a_card_by_picture(tmp_path: Path) -> None:
    path = picture_of(CARD, tmp_path / "card.PNG")
    assert read_card(str(path)) == CARD
    assert read_card(f"'{path}'") == CARD
    turned = Image.open(path).convert("L").rotate(90, expand=True)
    turned.save(tmp_path / "card.jpg")
    assert read_card(str(tmp_path / "card.jpg")) == CARD


def test_a_picture_without_a_ground(tmp_path: Path) -> None:
    path = picture_of(CARD, tmp_path / "card.png", light=None, dark="#123456")
    assert read_picture(path) == CARD


def test_an_enrolment_code_by_text_and_picture(tmp_path: Path) -> None:
    for text in (create_code(), str(picture_of(create_code(), tmp_path / "code.png"))):
        code = read_code(text)
        assert (code.server_key, code.host, code.port) == (SERVER_KEY.public, "localhost", 7171)


def test_pictures_that_hold_no_one_code(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="no file"):
        read_picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(ScanError, match="not a PNG or JPEG"):
        read_picture(tmp_path / "b.png")
    Image.new("L", (50, 50), 255).save(tmp_path / "c.png")
    with pytest.raises(ScanError, match="no QR code"):
        read_picture(tmp_path / "c.png")
    whole = picture_of(CARD, tmp_path / "d.png").read_bytes()
    (tmp_path / "d.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ScanError, match="cannot be read"):
        read_picture(tmp_path / "d.png")
    with pytest.raises(ScanError, match="cannot be read"):
        read_picture(tmp_path)
    Image.new("1", (10_000, 6_000)).save(tmp_path / "e.png")
    with pytest.raises(ScanError, match="too large"):
        read_picture(tmp_path / "e.png")


def test_two_codes_are_one_too_many(tmp_path: Path) -> None:
    one = Image.open(picture_of(CARD, tmp_path / "a.png")).convert("L")
    two = Image.open(picture_of("P1" + "B" * 104, tmp_path / "b.png")).convert("L")
    both = Image.new("L", (one.width + two.width, one.height), 255)
    both.paste(one, (0, 0))
    both.paste(two, (one.width, 0))
    both.save(tmp_path / "both.png")
    with pytest.raises(ScanError, match="2 QR codes"):
        read_picture(tmp_path / "both.png")


def test_a_chip() -> None:
    assert read_chip("04:A1:b2:C3") == bytes.fromhex("04a1b2c3")
    assert read_chip("04a1b2c3d4e5f6") == bytes.fromhex("04a1b2c3d4e5f6")
    for text in ("", "04", "zz", "00" * 11):
        with pytest.raises(CredentialError):
            read_chip(text)
