"""PostgreSQL's binary formats of the few types that the books send, in arrays and alone.

Source: the receive functions of PostgreSQL's types. Integers are big endian; an array is its
dimensions, a flag for NULLs, the element's type, then each element behind its length.

Most columns of a batch say the same in every row (the date, the kind, the price), or have values of
one length: these are not put together value by value.
"""

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

__all__ = ["encoder"]

_DAY_ZERO = date(2000, 1, 1).toordinal()
_TIME_ZERO = datetime(2000, 1, 1, tzinfo=UTC)
_NULL = (-1).to_bytes(4, "big", signed=True)
_HEADER = struct.Struct(">iiiii").pack

Encode = Callable[[Any], bytes]


def _timestamp(moment: datetime) -> int:
    since = moment - _TIME_ZERO
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _day(day: date) -> int:
    return day.toordinal() - _DAY_ZERO


# type -> (oid, struct letter, bytes, what makes an int of a value)
_FIXED: dict[str, tuple[int, str, int, Callable[[Any], int] | None]] = {
    "int2": (21, "h", 2, None),
    "int8": (20, "q", 8, None),
    "date": (1082, "i", 4, _day),
    "timestamptz": (1184, "q", 8, _timestamp),
}
# type -> (oid, what makes bytes of values)
_VARIABLE: dict[str, tuple[int, Callable[[Sequence[Any]], Sequence[bytes]]]] = {
    "text": (25, lambda values: [value.encode() for value in values]),
    "bytea": (17, lambda values: values),
    "uuid": (2950, lambda values: [value.int.to_bytes(16, "big") for value in values]),
}


def _array(oid: int, one: Encode, several: Callable[[Sequence[Any]], bytes]) -> Encode:
    """An array of values of which `one` makes a value behind its length, `several` many that are not NULL."""

    def encode(values: Sequence[Any]) -> bytes:
        count = len(values)
        if not count:
            return struct.pack(">iii", 0, 0, oid)
        first = values[0]
        if first == values[-1] and values.count(first) == count:
            elements = (_NULL if first is None else one(first)) * count
            return _HEADER(1, first is None, oid, count, 1) + elements
        try:
            return _HEADER(1, False, oid, count, 1) + several(values)
        except (
            AttributeError,
            TypeError,
            struct.error,
        ):  # a NULL is among them; that is rare, so not looked for
            parts = [_NULL if value is None else one(value) for value in values]
            return _HEADER(1, True, oid, count, 1) + b"".join(parts)

    return encode


@lru_cache(maxsize=512)  # batches have few sizes that come again and again
def _packer(letter: str, count: int) -> Callable[..., bytes]:
    return struct.Struct(">" + f"i{letter}" * count).pack


def _fixed_array(oid: int, letter: str, size: int, number: Callable[[Any], int] | None) -> Encode:
    def one(value: Any) -> bytes:
        return _packer(letter, 1)(size, value if number is None else number(value))

    def several(values: Sequence[Any]) -> bytes:
        flat: list[Any] = [size] * (2 * len(values))
        flat[1::2] = values if number is None else map(number, values)
        return _packer(letter, len(values))(*flat)

    return _array(oid, one, several)


def _variable_array(oid: int, to_bytes: Callable[[Sequence[Any]], Sequence[bytes]]) -> Encode:
    def several(values: Sequence[Any]) -> bytes:
        parts = to_bytes(values)
        if len(set(map(len, parts))) == 1:
            length = len(parts[0]).to_bytes(4, "big")
            return length + length.join(parts)
        return b"".join([len(part).to_bytes(4, "big") + part for part in parts])

    return _array(oid, lambda value: several([value]), several)


_SCALARS: dict[str, Encode] = {
    "int8": struct.Struct(">q").pack,
    "timestamptz": lambda moment: struct.pack(">q", _timestamp(moment)),
}


def encoder(kind: str) -> Encode:
    """What makes a parameter of type `kind` ("int8", "uuid[]" …). KeyError for a type we do not use.

    Of an array it takes a list or a tuple.
    """
    if kind in _SCALARS:
        return _SCALARS[kind]
    name = kind.removesuffix("[]")
    if name in _FIXED:
        return _fixed_array(*_FIXED[name])
    return _variable_array(*_VARIABLE[name])
