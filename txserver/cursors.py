"""Where the next page of a history begins, told to a terminal and taken back from nobody but it.

A cursor is a transaction's number and a short keyed hash of what it is good for: one made up, of
another account or of other dates, leads nowhere.
"""

import hashlib
from datetime import date
from hmac import compare_digest

__all__ = ["CursorError", "page_start", "to_cursor"]

MAC_BYTES = 8  # guesses are questions to the server, each with the member's PIN
_PERSON = b"tessera.cursor"  # the key signs other things too


class CursorError(ValueError):
    """The text is no cursor that was given for these dates of this account."""


def to_cursor(key: bytes, slot: int, account: int, since: date, until: date, number: int) -> str:
    """At most 36 characters: the number of the last transaction of a page, a dot, the hash."""
    return f"{number}.{_mac(key, slot, account, since, until, number)}"


def page_start(key: bytes, slot: int, account: int, since: date, until: date, cursor: str) -> int:
    """The number that the page stays below. Raises CursorError."""
    digits, _, mac = cursor.partition(".")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20 and mac.isascii()):
        raise CursorError("not a cursor")
    number = int(digits)
    if cursor != f"{number}.{mac}" or not compare_digest(mac, _mac(key, slot, account, since, until, number)):
        raise CursorError("a cursor of something else")
    return number


def _mac(key: bytes, slot: int, account: int, since: date, until: date, number: int) -> str:
    told = f"{slot}.{account}.{since}.{until}.{number}".encode()
    return hashlib.blake2b(told, key=key, digest_size=MAC_BYTES, person=_PERSON).hexdigest()
