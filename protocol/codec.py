"""Messages as bytes: type u8 ‖ one msgpack map, then 0x80 and zeros up to a multiple of 64.

The types, ranges and required fields of the declarations in protocol.messages are checked on the way out
as on the way in, so that a value the peer would refuse is found where it was made.

There are two ways, which agree. The long one reads any map that is allowed (keys in any order, numbers of
any width), decides what is refused, and words it. The short one is for what our own encoder writes, which is
nearly everything: msgspec goes from declared message to bytes and back without a dictionary between.
What the short way does not see at once to be right, it leaves to the long one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgpack  # type: ignore[import-untyped]
import msgspec
from msgspec import inspect

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import MAX_DEPTH, MAX_PLAINTEXT, PADDING_BLOCK
from protocol.messages import MESSAGES, Message, message_type_of

__all__ = ["decode", "encode"]

_MARK = b"\x80"
_NARROW_MAP = 15
_SCALARS = frozenset({int, bool, bytes, type(None)})

# What follows a type byte and a map of n bytes, by n % PADDING_BLOCK.
_PADDING = tuple(_MARK + bytes(-(length + 2) % PADDING_BLOCK) for length in range(PADDING_BLOCK))

_pack = msgspec.msgpack.Encoder().encode


class _UnfitError(Exception):
    """A value that no message may hold; each direction makes its own family of error from it."""


def encode(message: Message) -> bytes:
    """The padded plaintext. LocalProtocolError when a field breaks its declaration or all is too long."""
    plaintext = _encode_short(message) or _encode_long(message)
    if len(plaintext) > MAX_PLAINTEXT:
        raise LocalProtocolError(
            f"{type(message).__name__} has {len(plaintext)} bytes, above {MAX_PLAINTEXT}"
        )
    return plaintext


def decode(plaintext: bytes) -> Message:
    """The message in a padded plaintext. RemoteProtocolError for everything that `encode` cannot make."""
    return _decode_short(plaintext) or _decode_long(plaintext)


# ---- the short way ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Form:
    """What the short way knows of one class of message."""

    head: bytes
    read: Callable[[bytes], Message]
    may_hold_nul: Callable[[Message], bool]


def _encode_short(message: Message) -> bytes | None:
    """The padded plaintext of a message that its declaration allows; None leaves it to the long way."""
    form = _FORM_OF.get(type(message))
    if form is None:
        return None
    try:
        packed = _pack(message)
        # Reading checks every limit. It may read back another type, a list for a tuple: not equal then.
        again = form.read(packed)
    except (ValueError, TypeError, OverflowError):
        return None
    if again != message or form.may_hold_nul(again):
        return None
    return form.head + packed + _PADDING[len(packed) % PADDING_BLOCK]


def _decode_short(plaintext: bytes) -> Message | None:
    """The message, if these are exactly the bytes that we should write for it; None otherwise.

    Equal bytes leave no room for doubled or unknown keys, odd numbers, bytes that follow, bad padding.
    """
    form = _FORM_BY_HEAD.get(plaintext[:1])
    if form is None:
        return None
    try:
        message = form.read(plaintext[1 : plaintext.rfind(_MARK)])
        packed = _pack(message)
    except (ValueError, TypeError):
        return None
    if form.head + packed + _PADDING[len(packed) % PADDING_BLOCK] != plaintext or form.may_hold_nul(message):
        return None
    return message


def _has_short_way(struct: type[msgspec.Struct]) -> bool:
    """Whether msgspec writes such a struct as msgpack would.

    For one with more than 15 fields it takes the wide form of a map, however few of them are there.
    """
    items = (kind.item_type for kind in _fields(struct).values() if isinstance(kind, inspect.ListType))
    return len(struct.__struct_fields__) <= _NARROW_MAP and all(
        _has_short_way(item.cls) for item in items if isinstance(item, inspect.StructType)
    )


def _nul_finder(struct: type[msgspec.Struct]) -> Callable[[Any], bool]:
    """A function that says whether a text in such a struct may hold NUL, which few declarations refuse.

    Packed, a text with NUL has a zero byte. So has the length of a few texts without; they go the long way.
    """
    kinds = _fields(struct)
    texts = [name for name, kind in kinds.items() if _is_text(kind)]
    items = [
        (attrgetter(name), _nul_finder(kind.item_type.cls))
        for name, kind in kinds.items()
        if isinstance(kind, inspect.ListType) and isinstance(kind.item_type, inspect.StructType)
    ]
    texts_of = attrgetter(*texts) if texts else lambda _: None
    if not items:
        return lambda value: 0 in _pack(texts_of(value))
    return lambda value: (
        0 in _pack(texts_of(value))
        or any(finds(item) for items_of, finds in items for item in items_of(value))
    )


def _fields(struct: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    """The types of its fields by name."""
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    return {field.name: _present(field.type) for field in described.fields}


def _present(kind: inspect.Type) -> inspect.Type:
    """The type of a field without its notes and without None."""
    match kind:
        case inspect.Metadata():
            return _present(kind.type)
        case inspect.UnionType():
            (present,) = (each for each in kind.types if not isinstance(each, inspect.NoneType))
            return _present(present)
    return kind


def _is_text(kind: inspect.Type) -> bool:
    """Text or a list of it. TypeError for a type that this file has not thought about."""
    match kind:
        case inspect.StrType() | inspect.ListType(item_type=inspect.StrType()):
            return True
        case inspect.ListType(item_type=inspect.StructType()):
            return False
        case inspect.IntType() | inspect.BoolType() | inspect.BytesType():
            return False
    raise TypeError(f"a message holds a {kind}, which this protocol has no word for")


_FORM_OF = {
    message: _Form(bytes((message.type,)), msgspec.msgpack.Decoder(message).decode, _nul_finder(message))
    for message in MESSAGES
    if _has_short_way(message)
}
_FORM_BY_HEAD = {form.head: form for form in _FORM_OF.values()}


# ---- the long way -------------------------------------------------------------------------------


def _encode_long(message: Message) -> bytes:
    try:
        fields = msgspec.to_builtins(message, builtin_types=(bytes,))
        _inspect(fields, 1)
        msgspec.convert(fields, type(message), strict=True, builtin_types=(bytes,))
        packed: bytes = msgpack.packb(fields)
    except _UnfitError as error:
        raise LocalProtocolError(f"{type(message).__name__}: {error}") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise LocalProtocolError(f"{type(message).__name__}: {error}") from error
    return bytes((message.type,)) + packed + _PADDING[len(packed) % PADDING_BLOCK]


def _decode_long(plaintext: bytes) -> Message:
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
        return msgspec.convert(fields, kind, strict=True, builtin_types=(bytes,))
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
