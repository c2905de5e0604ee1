"""What a card says, sealed: tokens for printed QR codes and RFID chips with memory (P1).

    "P1" ‖ base32( version u8 ‖ key id u8 ‖ nonce 24 ‖ XChaCha20-Poly1305( contents ) )
    contents = slot u16 ‖ account u64 ‖ card u64 ‖ issue u32 ‖ length of UID u8 ‖ chip UID

The additional data is "tessera/P1" ‖ version ‖ key id. Only the server has the keys.

And what the site shows once for a new terminal, so that it can find its server and enrol:

    "TSRE1" ‖ base32( server key id u8 ‖ server key 32 ‖ enrolment id 16 ‖ secret 32 ‖ port u16 ‖ host
                      ‖ checksum 4 )

The checksum is the start of the BLAKE2b hash of everything before it: it finds slips of the pen, no
more. All numbers are big endian. Both texts stay in the alphanumeric mode of a QR code.
"""

import hashlib
import struct
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from nacl import bindings
from nacl.exceptions import CryptoError

from protocol.errors import LocalProtocolError, ProtocolError
from protocol.sealing import open_xchacha
from protocol.session import Enrolment

__all__ = [
    "CardToken",
    "CredentialError",
    "EnrolmentCode",
    "enrolment_code",
    "open_token",
    "parse_enrolment_code",
    "seal",
]

NONCE_BYTES = 24
KEY_BYTES = 32
MAX_CHIP_BYTES = 10
"""The longest UID of ISO 14443-3 (triple size); they have 4, 7 or 10 bytes."""

_PREFIX = "P1"
_VERSION = 1
_CONTENTS = struct.Struct(">HQQIB")
_HEADER_BYTES = 2 + NONCE_BYTES
_TAG_BYTES = 16
_SHORTEST = _HEADER_BYTES + _CONTENTS.size + _TAG_BYTES


_ENROLMENT_PREFIX = "TSRE1"
_ENROLMENT = struct.Struct(">B32s16s32sH")
_CHECKSUM_BYTES = 4
MAX_HOST_BYTES = 253
"""The longest name that the DNS knows."""

# Base32's digits, of either case, as those of int(…, 32), which is some fifteen times faster than the base64
# module; every debit opens a token. What is no digit becomes one that int refuses.
_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" + b"abcdefghijklmnopqrstuvwxyz"
_INT_DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUV" + b"0123456789ABCDEFGHIJKLMNOP"
_OTHERS = bytes(set(range(256)).difference(_DIGITS))
_TO_INT_DIGITS = bytes.maketrans(_DIGITS + _OTHERS, _INT_DIGITS + b"!" * len(_OTHERS))

# What scan guns and keyboards put around a token. Nothing else is overlooked.
_WHITE = " \t\r\n"


class CredentialError(ProtocolError):
    """Their fault: what was shown is no credential of ours.

    Unlike a RemoteProtocolError it is answered, with the refusal `card_unknown`, and not by closing.
    `reason` is a fixed word for logs: form, version, key, seal, chip or
    checksum. It never carries the text.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CardToken(msgspec.Struct, frozen=True):
    """Which card of which account, and its issue number: a newer issue kills the older ones.

    Every debit makes one, and a frozen dataclass takes seven times as long to make.
    """

    slot: int
    account: int
    card: int
    issue: int


def seal(token: CardToken, *, key_id: int, key: bytes, nonce: bytes, chip: bytes | None = None) -> str:
    """The text of a card: 106 characters, up to 122 with a chip's UID sealed in.

    `key` has 32 bytes, `nonce` 24 random ones, never used before with this key. LocalProtocolError when
    a number or a length is out of range.
    """
    uid = chip or b""
    if chip is not None and not 4 <= len(chip) <= MAX_CHIP_BYTES:
        raise LocalProtocolError(f"a chip's UID has 4 to {MAX_CHIP_BYTES} bytes")
    if len(key) != KEY_BYTES or len(nonce) != NONCE_BYTES or not 0 <= key_id <= 255:
        raise LocalProtocolError("a card key has 32 bytes and an id of 0 to 255, a nonce 24 bytes")
    try:
        contents = _CONTENTS.pack(token.slot, token.account, token.card, token.issue, len(uid)) + uid
    except struct.error as error:
        raise LocalProtocolError(f"a card token's numbers: {error}") from error
    header = bytes((_VERSION, key_id))
    sealed = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(contents, _aad(header), nonce, key)
    return _PREFIX + _to_base32(header + nonce + sealed)


def open_token(text: str, keys: Mapping[int, bytes], chip: bytes | None = None) -> CardToken:
    """What `text` says, if it was sealed under one of `keys` (by key id) and for exactly this `chip`.

    Lower case and white space around the text are overlooked. CredentialError for anything else.
    """
    raw = _from_base32(text, _PREFIX)
    if len(raw) < _SHORTEST:
        raise CredentialError("form")
    if raw[0] != _VERSION:
        raise CredentialError("version")
    key = keys.get(raw[1])
    if key is None:
        raise CredentialError("key")
    try:
        contents = open_xchacha(raw[_HEADER_BYTES:], _aad(raw[:2]), raw[2:_HEADER_BYTES], key)
    except (CryptoError, ValueError, TypeError, RuntimeError):
        raise CredentialError("seal") from None
    slot, account, card, issue, length = _CONTENTS.unpack_from(contents)
    uid = contents[_CONTENTS.size :]
    if len(uid) != length or uid != (chip or b""):
        raise CredentialError("chip")
    return CardToken(slot, account, card, issue)


@dataclass(frozen=True, slots=True)
class EnrolmentCode:
    """Everything that a new terminal has to be told."""

    enrolment: Enrolment
    server_key: bytes
    server_key_id: int
    host: str
    port: int


def enrolment_code(enrolment: Enrolment, server_key: bytes, server_key_id: int, host: str, port: int) -> str:
    """The text that a person pastes or a terminal scans. LocalProtocolError for values that do not fit.

    `host` is a DNS name or an address in ASCII, `port` 1 to 65535.
    """
    if len(server_key) != KEY_BYTES or not 0 <= server_key_id <= 255 or not 1 <= port <= 65535:
        raise LocalProtocolError("a server key has 32 bytes and an id of 0 to 255, a port is 1 to 65535")
    if not _is_host(host):
        raise LocalProtocolError(f"a host is 1 to {MAX_HOST_BYTES} visible ASCII characters")
    fixed = _ENROLMENT.pack(server_key_id, server_key, enrolment.id, enrolment.secret, port)
    raw = fixed + host.encode("ascii")
    return _ENROLMENT_PREFIX + _to_base32(raw + _checksum(raw))


def parse_enrolment_code(text: str) -> EnrolmentCode:
    """What `enrolment_code` wrote. Lower case, spaces, line breaks and hyphens anywhere are overlooked.

    CredentialError for anything else.
    """
    text = "".join(digit for digit in text if digit not in _WHITE and digit != "-")
    raw = _from_base32(text, _ENROLMENT_PREFIX)
    raw, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
    if len(raw) <= _ENROLMENT.size:
        raise CredentialError("form")
    if checksum != _checksum(raw):
        raise CredentialError("checksum")
    key_id, server_key, enrolment_id, secret, port = _ENROLMENT.unpack_from(raw)
    host = raw[_ENROLMENT.size :].decode("latin-1")
    if not _is_host(host) or port == 0:
        raise CredentialError("form")
    return EnrolmentCode(Enrolment(enrolment_id, secret), server_key, key_id, host, port)


def _is_host(host: str) -> bool:
    return 0 < len(host) <= MAX_HOST_BYTES and all("!" <= character <= "~" for character in host)


def _checksum(raw: bytes) -> bytes:
    return hashlib.blake2b(raw).digest()[:_CHECKSUM_BYTES]


def _to_base32(raw: bytes) -> str:
    """RFC 4648 base32, upper case, without padding."""
    return b32encode(raw).decode("ascii").rstrip("=")


def _from_base32(text: str, prefix: str) -> bytes:
    """The bytes after `prefix`. CredentialError("form") unless they have exactly one spelling, this one."""
    text = text.strip(_WHITE)
    try:
        digits = text.encode("ascii")[len(prefix) :]
    except UnicodeEncodeError:
        raise CredentialError("form") from None
    if text[: len(prefix)].upper() != prefix:
        raise CredentialError("form")
    bits = len(digits) * 5
    spare = bits % 8
    try:
        number = int(digits.translate(_TO_INT_DIGITS), 32)
    except ValueError:
        raise CredentialError("form") from None
    # Spare bits are zero and fewer than a digit has; a token that differs there must not open.
    if spare >= 5 or number & ((1 << spare) - 1):
        raise CredentialError("form")
    return (number >> spare).to_bytes(bits // 8, "big")


def _aad(header: bytes) -> bytes:
    return b"tessera/P1" + header
