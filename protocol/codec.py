"""Messages as bytes: type u8 ‖ one msgpack map, then 0x80 and zeros up to a multiple of 64.

msgpack does the bytes; the types, ranges and required fields are checked against the declarations in
protocol.messages by msgspec, on the way out as on the way in, so that a value the peer would refuse is
found where it was made.
"""

from typing import Any

import msgpack  # type: ignore[import-untyped]
import msgspec

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import MAX_DEPTH, MAX_PLAINTEXT, PADDING_BLOCK
from protocol.messages import Message, message_type_of

__all__ = ["decode", "encode"]

_MARK = b"\x80"
_SCALARS = frozenset({int, bool, bytes, type(None)})


class _UnfitError(Exception):
    """A value that no message may hold; each direction makes its own family of error from it."""


def encode(message: Message) -> bytes:
    """The padded plaintext. LocalProtocolError when a field breaks its declaration or all is too long."""
    try:
        fields = msgspec.to_builtins(message, builtin_types=(bytes,))
        _inspect(fields, 1)
        msgspec.convert(fields, type(message), strict=True)
        packed: bytes = msgpack.packb(fields)
    except _UnfitError as error:
        raise LocalProtocolError(f"{type(message).__name__}: {error}") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise LocalProtocolError(f"{type(message).__name__}: {error}") from error
    plain = bytes((message.type,)) + packed + _MARK
    padded = plain + bytes(-len(plain) % PADDING_BLOCK)
    if len(padded) > MAX_PLAINTEXT:
        raise LocalProtocolError(f"{type(message).__name__} has {len(padded)} bytes, above {MAX_PLAINTEXT}")
    return padded


def decode(plaintext: bytes) -> Message:
    """The message in a padded plaintext. RemoteProtocolError for everything that `encode` cannot make."""
    mark = len(plaintext.rstrip(b"\0")) - 1
    if (
        len(plaintext) % PADDING_BLOCK
        or mark < 1
        or plaintext[mark] != _MARK[0]
        or len(plaintext) - mark > PADDING_BLOCK
    ):
        raise RemoteProtocolError("padding")
    kind = message_type_of(plaintext[0])
    if kind is None:
        raise RemoteProtocolError("message_type")
    try:
        fields = msgpack.unpackb(
            plaintext[1:mark], strict_map_key=True, object_pairs_hook=_unique, max_ext_len=0
        )
    except _UnfitError as error:
        raise RemoteProtocolError(str(error)) from None
    except (ValueError, TypeError, msgpack.UnpackException):
        raise RemoteProtocolError("msgpack") from None
    if type(fields) is not dict:
        raise RemoteProtocolError("fields")
    try:
        _inspect(fields, 1)
        return msgspec.convert(fields, kind, strict=True)
    except _UnfitError as error:
        raise RemoteProtocolError(str(error)) from None
    except (ValueError, TypeError):
        raise RemoteProtocolError("fields") from None


def _unique(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    """A map whose keys are text, each there once: with two, parsers disagree on which of them counts."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _UnfitError("duplicate_key")
    if not all(type(key) is str for key in fields):
        raise _UnfitError("map_key")
    return fields


def _inspect(container: Any, depth: int) -> None:
    """Refuse what a declaration cannot: depth, floats (msgspec takes 1.0 for 1), extensions, NUL in text."""
    if depth > MAX_DEPTH:
        raise _UnfitError("too_deep")
    for value in container.values() if type(container) is dict else container:
        kind = type(value)
        if kind in _SCALARS:
            continue
        if kind is str:
            # No database column can hold it, and a C program would read a different text.
            if "\0" in value:
                raise _UnfitError("nul_in_text")
        elif kind is float:
            raise _UnfitError("float")
        elif kind is list or kind is dict:
            _inspect(value, depth + 1)
        else:
            raise _UnfitError("extension")
