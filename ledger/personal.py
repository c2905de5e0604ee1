"""Personal data at rest: phones, identity numbers, notes. Sealed by keys that are never in the database.

Everything sealed is bound to its place: moved to another member or another field it does not open. What is
searched for is found by a keyed hash of its one normal form. Pure: randomness is passed in.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

__all__ = [
    "PersonalKeys", "Wrong", "identity_number", "masked_identity", "masked_phone", "phone_number", "plate",
    "shown_phone",
]  # fmt: skip

NONCE_BYTES = 24
CHINA = "86"
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643
CHECK_DIGITS = "10X98765432"


class Wrong(ValueError):
    """What was typed cannot be one. The text is a word for why: country, digits, check, letters, length."""


class PersonalKeys:
    """What seals and finds personal data: two keys, derived from the keyring's personal key of 32 bytes."""

    __slots__ = ("_random_bytes", "_seal", "_search")

    def __init__(self, personal_key: bytes, random_bytes: Callable[[int], bytes]) -> None:
        self._seal = hashlib.blake2b(key=personal_key, person=b"tessera seal", digest_size=32).digest()
        self._search = hashlib.blake2b(key=personal_key, person=b"tessera search", digest_size=32).digest()
        self._random_bytes = random_bytes

    def seal(self, place: str, told: bytes) -> bytes:
        """`told`, so that only who holds the key reads it, and only as what lies at `place`."""
        nonce = self._random_bytes(NONCE_BYTES)
        box = crypto_aead_xchacha20poly1305_ietf_encrypt(told, place.encode(), nonce, self._seal)
        return nonce + box

    def open(self, place: str, sealed: bytes) -> bytes | None:
        """What was sealed at `place`. None when it was not: another key, another place, or damage."""
        try:
            return crypto_aead_xchacha20poly1305_ietf_decrypt(
                sealed[NONCE_BYTES:], place.encode(), sealed[:NONCE_BYTES], self._seal
            )
        except (CryptoError, ValueError, TypeError):
            return None

    def seal_field(self, member: int, field: str, value: str) -> bytes:
        """A field of a member."""
        return self.seal(f"member {member} {field}", value.encode())

    def open_field(self, member: int, field: str, sealed: bytes | None) -> str | None:
        """The field again; None where there is none, or where the key is not the one that sealed it."""
        opened = None if sealed is None else self.open(f"member {member} {field}", bytes(sealed))
        return None if opened is None else opened.decode()

    def search_key(self, field: str, value: str) -> bytes:
        """The 16 bytes by which a value in its normal form is found; of another field they are others."""
        return hashlib.blake2b(f"{field} {value}".encode(), key=self._search, digest_size=16).digest()


def phone_number(typed: str) -> str:
    """+8613812345678: the digits with the country's code. A Chinese mobile may leave that away.

    Raises Wrong.
    """
    text = re.sub(r"[\s().\-–·]", "", unicodedata.normalize("NFKC", typed))
    if text.startswith("00"):
        text = f"+{text[2:]}"
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        raise Wrong("letters")
    if not text.startswith("+"):
        if len(digits) == 13 and digits.startswith(f"{CHINA}1"):
            digits = digits[2:]
        if not (len(digits) == 11 and digits.startswith("1")):
            raise Wrong("country")
        digits = CHINA + digits
    if not 7 <= len(digits) <= 15 or digits.startswith("0"):
        raise Wrong("digits")
    if digits.startswith(f"{CHINA}1") and len(digits) != 13:
        raise Wrong("digits")
    return f"+{digits}"


def identity_number(typed: str) -> str:
    """Capitals and digits without spaces. One of 18 digits is China's, whose last tells whether it is right.

    Raises Wrong.
    """
    text = re.sub(r"[\s\-]", "", unicodedata.normalize("NFKC", typed)).upper()
    if not re.fullmatch(r"[A-Z0-9]*(?:\([A-Z0-9]\))?", text, re.ASCII):
        raise Wrong("letters")
    if not 5 <= len(text) <= 20:
        raise Wrong("length")
    if re.fullmatch(r"[0-9]{17}[0-9X]", text):
        total = sum(int(digit) * weight for digit, weight in zip(text[:17], WEIGHTS, strict=True))
        if CHECK_DIGITS[total % 11] != text[17]:
            raise Wrong("check")
    return text


def plate(typed: str) -> str:
    """京A12345: capitals, without spaces, dots and hyphens. Raises Wrong."""
    text = re.sub(r"[\s.·•・\-–]", "", unicodedata.normalize("NFKC", typed)).upper()
    if not text.isalnum():
        raise Wrong("letters")
    if not 4 <= len(text) <= 10:
        raise Wrong("length")
    return text


def shown_phone(phone: str) -> str:
    """138 1234 5678, or +41 791234567: a phone as people read it."""
    if phone.startswith(f"+{CHINA}1") and len(phone) == 14:
        return f"{phone[3:6]} {phone[6:10]} {phone[10:]}"
    return phone


def masked_phone(phone: str) -> str:
    """138****5678: enough to tell two apart whom one knows."""
    digits = phone.removeprefix("+")
    if digits.startswith(f"{CHINA}1") and len(digits) == 13:
        return f"{digits[2:5]}****{digits[-4:]}"
    return f"+{digits[:2]}{'*' * (len(digits) - 5)}{digits[-3:]}"


def masked_identity(number: str) -> str:
    """110**********0018: the place and the end, not the birthday."""
    shown = 3 if len(number) >= 15 else 1
    return f"{number[:shown]}{'*' * (len(number) - shown * 2)}{number[-shown:]}"
