"""PostgreSQL's binary formats of the few types that the books use, both ways.

Source: the send and receive functions of PostgreSQL's types. Integers are big endian; an array is
its dimensions, a flag for NULLs, the element's type, then each element behind its length.
"""

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

__all__ = ["decoder", "encoder"]

_DAY_ZERO = date(2000, 1, 1).toordinal()
_TIME_ZERO = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NULL = (-1).to_bytes(4, "big", signed=True)


def _timestamp(moment: datetime) -> int:
    return (moment - _TIME_ZERO) // _MICROSECOND


def _day(day: date) -> int:
    return day.toordinal() - _DAY_ZERO


# type -> (oid, struct letter, bytes, what makes an int of a value)
_FIXED: dict[str, tuple[int, str, int, Callable[[Any], int] | None]] = {
    "int2": (21, "h", 2, None),
    "int8": (20, "q", 8, None),
    "date": (1082, "i", 4, _day),
    "timestamptz": (1184, "q", 8, _timestamp),
}
# type -> (oid, what makes bytes of a value)
_VARIABLE: dict[str, tuple[int, Callable[[Any], bytes]]] = {
    "text": (25, str.encode),
    "bytea": (17, bytes),
    "uuid": (2950, lambda value: value.bytes),
}


def _header(oid: int, count: int, has_null: bool) -> bytes:
    if not count:
        return struct.pack(">iii", 0, 0, oid)
    return struct.pack(">iiiii", 1, has_null, oid, count, 1)


def _fixed_array(
    oid: int, letter: str, size: int, number: Callable[[Any], int] | None
) -> Callable[[Any], bytes]:
    one = struct.Struct(f">i{letter}")

    def encode(values: Sequence[Any]) -> bytes:
        if None in values:
            parts = [_header(oid, len(values), True)]
            parts.extend(
                _NULL if value is None else one.pack(size, number(value) if number is not None else value)
                for value in values
            )
            return b"".join(parts)
        numbers = values if number is None else [number(value) for value in values]
        flat = [item for value in numbers for item in (size, value)]
        return _header(oid, len(values), False) + struct.pack(">" + f"i{letter}" * len(values), *flat)

    return encode


def _variable_array(oid: int, encode_one: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def encode(values: Sequence[Any]) -> bytes:
        parts = [_header(oid, len(values), None in values)]
        for value in values:
            if value is None:
                parts.append(_NULL)
            else:
                data = encode_one(value)
                parts.append(len(data).to_bytes(4, "big"))
                parts.append(data)
        return b"".join(parts)

    return encode


_SCALARS: dict[str, Callable[[Any], bytes]] = {
    "int8": struct.Struct(">q").pack,
    "timestamptz": lambda moment: struct.pack(">q", _timestamp(moment)),
}


def encoder(kind: str) -> Callable[[Any], bytes]:
    """What makes a parameter of type `kind` ("int8", "uuid[]" …). KeyError for a type we do not use."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    name = kind.removesuffix("[]")
    if name in _FIXED:
        return _fixed_array(*_FIXED[name])
    return _variable_array(*_VARIABLE[name])


def _integer(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


_DECODERS: dict[int, Callable[[bytes], Any]] = {
    16: lambda data: data == b"\x01",
    17: bytes,
    20: _integer,
    21: _integer,
    23: _integer,
    25: bytes.decode,
    1082: lambda data: date.fromordinal(_integer(data) + _DAY_ZERO),
    1184: lambda data: _TIME_ZERO + timedelta(microseconds=_integer(data)),
    2950: lambda data: UUID(bytes=data),
}


def decoder(oid: int) -> Callable[[bytes], Any]:
    """What makes a value of a result's column. KeyError for a type we do not use."""
    return _DECODERS[oid]
