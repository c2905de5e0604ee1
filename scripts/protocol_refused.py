"""Plaintexts that end a connection, for make_protocol_vectors.py: what is wrong with each, in words."""

import msgpack  # type: ignore[import-untyped]

from scripts.protocol_samples import asked, txid

__all__ = ["REFUSED"]


def padded(plain: bytes) -> bytes:
    plain += b"\x80"
    return plain + bytes(-len(plain) % 64)


def echo(**changes: object) -> bytes:
    """An Echo with some fields changed, as no honest encoder would write it."""
    return request(0x04, 15, **changes)


def request(type_byte: int, number: int, **fields: object) -> bytes:
    """A request of this type with these fields, whatever they are."""
    return padded(bytes([type_byte]) + msgpack.packb({**asked(number), **fields}))


def echo_with(raw: bytes) -> bytes:
    """An Echo with one more pair, given as msgpack."""
    packed = msgpack.packb(asked(15))
    return padded(b"\x04" + bytes([packed[0] + 1]) + packed[1:] + raw)


_FIELDS = asked(15)
_GOOD = echo()
_TOTAL = {"kind": "redeem", "count": 1, "points": 300}
_ITEM = {"id": txid(3), "kind": "redeem", "points": 300, "state": "approved"}
_TWICE = padded(
    b"\x30"
    + msgpack.packb({**asked(31), "totals": [_TOTAL]}).replace(b"\x83\xa4kind", b"\x84\xa5count\x01\xa4kind")
)

# The reason word, what is wrong in words, and the plaintext.
REFUSED: tuple[tuple[str, str, bytes], ...] = (
    ("padding", "no bytes at all", b""),
    ("padding", "nothing but zeros", bytes(64)),
    ("padding", "no mark", b"\x04" + bytes(63)),
    ("padding", "not a multiple of 64", _GOOD + b"\0"),
    ("padding", "a block more than needed", _GOOD + bytes(64)),
    ("padding", "only a mark", padded(b"")),
    ("message_type", "a type that means nothing", padded(b"\x7e" + msgpack.packb(_FIELDS))),
    ("msgpack", "no map", padded(b"\x04")),
    ("msgpack", "cut in the middle", padded(b"\x04" + msgpack.packb(_FIELDS)[:-1])),
    ("msgpack", "bytes after the map", padded(b"\x04" + msgpack.packb(_FIELDS) + b"\xc0")),
    ("msgpack", "the byte that msgpack never uses", echo_with(b"\xa6repeat\xc1")),
    ("msgpack", "text that is no UTF-8", echo_with(b"\xa1\xff\xc0")),
    ("msgpack", "an integer as a key", echo_with(b"\x01\xc0")),
    ("msgpack", "an extension type", echo_with(b"\xa6repeat" + msgpack.packb(msgpack.ExtType(5, b"abc")))),
    ("msgpack", "a timestamp", echo_with(b"\xa6repeat" + msgpack.packb(msgpack.Timestamp(1)))),
    ("msgpack", "a list that announces 4294967295 items", echo_with(b"\xa6repeat\xdd\xff\xff\xff\xff")),
    ("extension", "an extension type without content", echo_with(b"\xa6repeat\xc7\x00\x05")),
    ("map_key", "bytes as a key", echo_with(b"\xc4\x06repeat\xc3")),
    ("duplicate_key", "a key twice", echo_with(b"\xa4stan\x01")),
    ("too_deep", "four lists inside each other", echo(repeat=[[[[]]]])),
    ("float", "a float that is whole", echo(stan=15.0)),
    ("float", "a float in a list", echo(repeat=[1.5])),
    (
        "nul_in_text", "a NUL in text",
        request(0x02, 2, software="1\0", last_stan=1),
    ),
    ("fields", "a list instead of a map", padded(b"\x04" + msgpack.packb([1, 2]))),
    ("fields", "an unknown field", echo(extra=1)),
    ("fields", "a field missing", padded(b"\x04" + msgpack.packb({"id": txid(15)}))),
    ("fields", "nothing for a field that must be there", echo(stan=None)),
    ("fields", "text for a number", echo(stan="15")),
    ("fields", "true for a number", echo(stan=True)),
    ("fields", "a number for true", echo(repeat=1)),
    ("fields", "text for bytes", echo(id="0123456789abcdef")),
    ("fields", "an id of 15 bytes", echo(id=bytes(15))),
    ("fields", "a number above its range", echo(stan=1_000_000)),
    ("fields", "a negative number", echo(stan=-1)),
    (
        "fields", "a reason with a line break behind it",
        request(0x14, 5, original=txid(3), credential="x", reason="timeout\n"),
    ),
    ("fields", "a key of 31 bytes", request(0x05, 17, key=bytes(31))),
    ("fields", "a hold too short", request(0x11, 18, credential="x", service="JOB", hold_s=59)),
    ("fields", "an amount below zero", request(0x12, 20, hold=txid(18), credential="x", amount=-1)),
    ("fields", "more totals than kinds", request(0x30, 28, totals=[_TOTAL] * 7)),
    ("fields", "an item without one of its fields", request(0x30, 28, totals=[{"kind": "redeem"}])),
    ("fields", "an item with an unknown field", request(0x30, 28, totals=[{**_TOTAL, "sum": 1}])),
    ("fields", "a kind that means nothing", request(0x30, 28, totals=[{**_TOTAL, "kind": "grant"}])),
    ("fields", "nothing for an item", request(0x30, 28, totals=[None])),
    ("fields", "a state that means nothing", request(0x31, 30, items=[{**_ITEM, "state": "open"}])),
    ("fields", "more items than a page holds", request(0x31, 30, items=[_ITEM] * 31)),
    ("duplicate_key", "a key twice in an item", _TWICE),
)  # fmt: skip
