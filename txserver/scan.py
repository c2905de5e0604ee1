"""What a card or an enrolment code says: pasted text, or the QR code in a picture."""

import re
from pathlib import Path

import zxingcpp
from PIL import Image, UnidentifiedImageError

from protocol.credentials import CredentialError, EnrolmentCode, parse_enrolment_code

__all__ = ["ScanError", "read_card", "read_chip", "read_code", "read_picture"]

MOST_PIXELS = 50_000_000
"""A photo of today's phones fits; a small file that unpacks to gigabytes does not."""

_CARD = re.compile(r"P[0-9][A-Z2-7]{20,198}")
_PICTURES = (".png", ".jpg", ".jpeg")


class ScanError(Exception):
    """Nothing that can be used was read. The text is a sentence."""


def read_picture(path: Path) -> str:
    """The text of the one QR code in a PNG or JPEG. ScanError."""
    qr = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise ScanError(f"{path} is too large a picture.")
            # A QR code with a transparent ground is meant to lie on white paper.
            flat = Image.new("RGBA", picture.size, "white")
            flat.alpha_composite(picture.convert("RGBA"))
            found = zxingcpp.read_barcodes(flat.convert("L"), formats=qr)
    except FileNotFoundError:
        raise ScanError(f"There is no file {path}.") from None
    except UnidentifiedImageError:
        raise ScanError(f"{path} is not a PNG or JPEG picture.") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ScanError(f"{path} cannot be read: {error}") from error
    texts = {code.text for code in found}
    if not texts:
        raise ScanError(f"There is no QR code in {path}.")
    if len(texts) > 1:
        raise ScanError(f"There are {len(texts)} QR codes in {path}; show one.")
    return texts.pop()


def read_code(text: str) -> EnrolmentCode:
    """An enrolment code from its text or the path of its picture. ScanError, CredentialError."""
    return parse_enrolment_code(_text_or_picture(text))


def read_card(text: str) -> str:
    """A card's credential from its text or the path of its picture. ScanError, CredentialError."""
    credential = _text_or_picture(text).upper()
    if not _CARD.fullmatch(credential):
        # Anything else the server would refuse, after the clerk has waited for it.
        raise CredentialError("form")
    return credential


def read_chip(text: str) -> bytes:
    """A chip's UID, 4 to 10 bytes, from hex with or without colons. CredentialError."""
    try:
        uid = bytes.fromhex(text.replace(":", " "))
    except ValueError:
        raise CredentialError("chip") from None
    if not 4 <= len(uid) <= 10:
        raise CredentialError("chip")
    return uid


def _text_or_picture(text: str) -> str:
    text = text.strip().strip("'\"")
    if text.lower().endswith(_PICTURES):
        return read_picture(Path(text).expanduser()).strip()
    return text
