"""What is written on the chips of cards: the list of chips that a person gives, and the record for each.

A token on a chip is sealed with the chip's UID, which terminals tell the server: copied to another chip it is
worth nothing. So whoever writes chips needs their UIDs first.
"""

import re

from admin.language import gettext as _

__all__ = ["ChipsWrong", "ndef_text", "told_chips"]

UID = re.compile(r"(?:[0-9A-F]{2}){4}|(?:[0-9A-F]{2}){7}|(?:[0-9A-F]{2}){10}")
SHORT_TEXT_RECORD = b"\xd1\x01"  # one record, short, of a well-known type whose name has one byte
LANGUAGE = b"\x02en"  # UTF-8, English: the text is of no language, but the type asks for one


class ChipsWrong(Exception):
    """The list of chips cannot be used; the text says why, to the person who typed it."""


def told_chips(typed: str, numbers: list[str]) -> dict[str, bytes]:
    """The UID for each card, by card number: from lines of `UID`, or of `card number, UID`.

    `numbers` are the cards in their order. Colons, blanks and hyphens within a UID are overlooked. Raises
    ChipsWrong.
    """
    lines = [line for line in typed.upper().splitlines() if line.strip()]
    if len(lines) > len(numbers):
        raise ChipsWrong(
            _("There are %(lines)d lines for %(cards)d cards.", lines=len(lines), cards=len(numbers))
        )
    found: dict[str, bytes] = {}
    for place, line in enumerate(lines, 1):
        number, comma, written = line.rpartition(",")
        number = number.replace(" ", "").strip() if comma else numbers[place - 1]
        uid = re.sub(r"[\s:-]", "", written)
        if number not in numbers:
            raise ChipsWrong(_("Line %(line)d: no such card is among these.", line=place))
        if number in found:
            raise ChipsWrong(_("Line %(line)d: the card has a chip already, further up.", line=place))
        if not UID.fullmatch(uid):
            raise ChipsWrong(_("Line %(line)d: a UID has 8, 14 or 20 hexadecimal digits.", line=place))
        if bytes.fromhex(uid) in found.values():
            raise ChipsWrong(_("Line %(line)d: this UID is there twice.", line=place))
        found[number] = bytes.fromhex(uid)
    return found


def ndef_text(token: str) -> bytes:
    """An NDEF message of one Text record with the token, as encoders write it on NFC Forum tags."""
    payload = LANGUAGE + token.encode("ascii")
    return SHORT_TEXT_RECORD + bytes((len(payload),)) + b"T" + payload
