"""The codec's two ways agree: the short one gives what the long one gives, or leaves it to the long one."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import LocalProtocolError, Message, ProtocolError, decode, encode
from protocol.codec import _decode_long, _decode_short, _encode_long, _encode_short, _has_short_way
from protocol.messages import (
    MESSAGES,
    BatchItem,
    BatchUpload,
    CatalogueItem,
    CatalogueReply,
    Closing,
    Hold,
    LoginReply,
    RedeemReply,
)
from tests.protocol.factories import create_answered, create_asked
from tests.protocol.strategies import messages

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "messages.json").read_text())
ORDINARY = [bytes.fromhex(vector["plaintext"]) for vector in VECTORS["messages"]]
MESSAGES_SEEN = [decode(plaintext) for plaintext in ORDINARY]
REFUSED = [bytes.fromhex(vector["plaintext"]) for vector in VECTORS["refused"]]


seen = st.sampled_from(MESSAGES_SEEN)


def named(plaintext: bytes) -> str:
    return f"{plaintext[0]:02x}"


def fields_of(message: Message) -> Any:
    return msgspec.to_builtins(message, builtin_types=(bytes,))


def outcome(way: Callable[[Any], Any], value: Any) -> Any:
    """What comes of it: a message with its class, bytes, or the words of a ProtocolError."""
    try:
        made = way(value)
    except ProtocolError as error:
        return type(error), str(error)
    return type(made), made


def agree_on(plaintext: bytes) -> None:
    """The codec decides as the long way does, and the short way says nothing else."""
    decided = outcome(_decode_long, plaintext)
    assert outcome(decode, plaintext) == decided
    assert outcome(_decode_short, plaintext) in (decided, (type(None), None))


def padded(head: int, packed: bytes) -> bytes:
    plain = bytes([head]) + packed + b"\x80"
    return plain + bytes(-len(plain) % 64)


# ---- in -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("plaintext", ORDINARY, ids=named)
def test_what_our_encoder_writes_goes_the_short_way(plaintext: bytes) -> None:
    message = _decode_long(plaintext)
    if isinstance(message, LoginReply):
        # It has more fields than the narrow form of a map takes, and msgspec goes by that.
        assert (_decode_short(plaintext), _encode_short(message)) == (None, None)
        return
    assert outcome(_decode_short, plaintext) == (type(message), message)
    assert _encode_short(message) == plaintext


def test_one_message_alone_is_too_wide_for_the_short_way() -> None:
    assert [each for each in MESSAGES if not _has_short_way(each)] == [LoginReply]


@pytest.mark.parametrize("plaintext", REFUSED, ids=lambda plaintext: plaintext[:8].hex())
def test_what_is_refused_is_refused_by_the_long_way(plaintext: bytes) -> None:
    assert _decode_short(plaintext) is None
    agree_on(plaintext)


@given(message=seen, place=st.integers(0, 4095), mask=st.integers(0, 255))
def test_both_ways_agree_on_a_changed_byte(message: Message, place: int, mask: int) -> None:
    plaintext = bytearray(encode(message))
    plaintext[place % len(plaintext)] ^= mask
    agree_on(bytes(plaintext))


@given(kind=st.sampled_from(MESSAGES), packed=st.binary(max_size=120))
def test_both_ways_agree_on_any_bytes(kind: type[Message], packed: bytes) -> None:
    agree_on(padded(kind.type, packed))
    agree_on(packed)


@given(message=seen, tail=st.binary(max_size=80))
def test_both_ways_agree_on_other_padding(message: Message, tail: bytes) -> None:
    plaintext = encode(message)
    for changed in (plaintext + tail, plaintext + bytes(64), plaintext[:-1], plaintext.rstrip(b"\0")):
        agree_on(changed)


def spelled(value: Any, draw: Callable[[int], int]) -> bytes:
    """msgpack of a value in any form that there is for it; `draw(n)` chooses one of n."""
    match value:
        case bool() | None:
            return bytes(msgpack.packb(value))
        case int():
            wide = [value.to_bytes(size, "big") for size in (1, 2, 4, 8) if 0 <= value < 1 << 8 * size]
            forms = [bytes([0xD0 - len(wide) + n]) + form for n, form in enumerate(wide)]
            return [bytes(msgpack.packb(value)), *forms][draw(1 + len(forms))]
        case str() | bytes():
            content = value.encode() if isinstance(value, str) else value
            first = 0xD9 if isinstance(value, str) else 0xC4
            forms = [
                bytes([first + n]) + len(content).to_bytes(1 << n, "big")
                for n in range(3)
                if len(content) < 1 << (8 << n)
            ]
            if isinstance(value, str) and len(content) < 32:
                forms.append(bytes([0xA0 + len(content)]))
            return forms[draw(len(forms))] + content
        case list():
            return head(0x90, 0xDC, len(value), draw) + b"".join(spelled(each, draw) for each in value)
        case dict():
            pairs = list(value.items())
            if len(pairs) > 1 and draw(2):
                pairs.append(pairs.pop(draw(len(pairs) - 1)))
            content = b"".join(spelled(key, draw) + spelled(each, draw) for key, each in pairs)
            return head(0x80, 0xDE, len(pairs), draw) + content
    return bytes(msgpack.packb(value))


def head(narrow: int, wide: int, length: int, draw: Callable[[int], int]) -> bytes:
    """The start of a list or a map."""
    forms = [bytes([wide]) + length.to_bytes(2, "big"), bytes([wide + 1]) + length.to_bytes(4, "big")]
    return [*forms, bytes([narrow + length])][draw(2 + (length < 16))]


@given(message=seen, data=st.data())
def test_both_ways_agree_on_other_spellings_of_a_message(message: Message, data: st.DataObject) -> None:
    fields = fields_of(message)
    packed = spelled(fields, lambda choices: data.draw(st.integers(0, choices - 1)))
    plaintext = padded(message.type, packed)
    assert decode(plaintext) == message
    agree_on(plaintext)


_ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.binary(max_size=20),
    st.sampled_from(["", "a\0b", "\0", "redeem", "2026-01-01", "AAAAAAAAAAAAAAAAAAAAAA==", "x" * 256]),
    st.lists(st.integers(0, 3) | st.text(max_size=3), max_size=3),
    st.just({"id": bytes(16), "outcome": "agrees"}), st.just([{"kind": "redeem", "count": 1, "points": 0}]),
)  # fmt: skip


@given(message=seen, odd=_ODD, data=st.data())
def test_both_ways_agree_on_odd_values(message: Message, odd: Any, data: st.DataObject) -> None:
    fields = fields_of(message)
    name = data.draw(st.sampled_from([*message.__struct_fields__, "unknown"]))
    agree_on(padded(message.type, msgpack.packb({**fields, name: odd})))
    # And the same key twice, with another value or with its own.
    doubled = bytes([0x80 + len(fields) + 1]) if len(fields) < 15 else b"\xde\x00" + bytes([len(fields) + 1])
    again = msgpack.packb(name) + msgpack.packb(data.draw(st.sampled_from([odd, fields.get(name)])))
    pairs = b"".join(msgpack.packb(key) + msgpack.packb(value) for key, value in fields.items())
    agree_on(padded(message.type, doubled + pairs + again))


@pytest.mark.parametrize("plaintext", ORDINARY, ids=named)
def test_nul_is_found_in_every_text(plaintext: bytes) -> None:
    """In a text of its own, in a list of them, in an item of a list: one at a time."""
    fields = fields_of(_decode_long(plaintext))
    for container, at in texts_in(fields):
        for text in ("\0", "a\0", "\0b", "x" * 255 + "\0"):
            before, container[at] = container[at], text
            changed = padded(plaintext[0], msgpack.packb(fields))
            container[at] = before
            assert _decode_short(changed) is None
            assert outcome(_decode_long, changed)[1] == "nul_in_text"


def texts_in(container: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every text."""
    for at, value in container.items() if isinstance(container, dict) else enumerate(container):
        if isinstance(value, str):
            yield container, at
        elif isinstance(value, list | dict):
            yield from texts_in(value)


def test_a_list_that_announces_more_than_there_is_takes_no_memory() -> None:
    for length in (2**16, 2**32 - 1):
        announced = b"\x81\xa7receipt\xdd" + length.to_bytes(4, "big") + b"\xa1a" * 40
        agree_on(padded(RedeemReply.type, announced))
        assert outcome(decode, padded(RedeemReply.type, announced))[1] == "msgpack"


# ---- out ----------------------------------------------------------------------------------------


@given(message=messages())
def test_both_ways_write_the_same_bytes(message: Message) -> None:
    plaintext = _encode_long(message)
    assert encode(message) == plaintext
    assert _encode_short(message) in (plaintext, None)
    packed = msgpack.packb(fields_of(message))
    assert plaintext == padded(message.type, packed)


@given(number=st.integers(-(2**63), 2**64 - 1), text=st.text(max_size=300), many=st.integers(0, 40))
def test_numbers_texts_and_lists_of_each_width_are_written_the_same(
    number: int, text: str, many: int
) -> None:
    lines = [text[:9]] * many
    for message in (
        RedeemReply(**create_answered(), balance=number, approval=text, receipt=lines),
        Hold(**create_asked(), credential=text[:200], service="s", quantity=number, chip=bytes(many)),
        BatchUpload(
            **create_asked(),
            items=[BatchItem(id=bytes(16), kind="hold", points=abs(number), state="unknown")] * many,
        ),
    ):
        assert outcome(encode, message) == outcome(_encode_long, message)


_WRONG = st.one_of(
    _ODD, st.just(()), st.just(("a",)), st.just(2**64), st.just(-(2**63) - 1), st.just("\ud800"),
    st.just([None]), st.just(object()), st.just({"a"}), st.just(Closing(reason="x")),
    st.just([CatalogueItem(code="c", name="n", name_zh="n", unit="u", points=1.5)]),  # type: ignore[arg-type]
)  # fmt: skip


@given(message=seen, wrong=_WRONG, data=st.data())
def test_both_ways_agree_on_what_is_not_sent(message: Message, wrong: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(message.__struct_fields__))
    changed = msgspec.structs.replace(message, **{name: wrong})
    decided = outcome(_encode_long, changed)
    assert outcome(encode, changed) == decided
    assert outcome(_encode_short, changed) in (decided, (type(None), None))


def test_nul_is_found_on_the_way_out_as_well() -> None:
    item = CatalogueItem(code="c", name="n", name_zh="a\0b", unit="u", points=1)
    for message in (
        Closing(reason="a\0b"),
        RedeemReply(**create_answered(), receipt=["a", "a\0b"]),
        CatalogueReply(**create_answered(), version=1, services=[item]),
    ):
        assert _encode_short(message) is None
        with pytest.raises(LocalProtocolError, match="nul_in_text"):
            encode(message)


def test_a_list_is_a_list() -> None:
    message = RedeemReply(**create_answered(), receipt=("a",))  # type: ignore[arg-type]
    assert _encode_short(message) is None
    with pytest.raises(LocalProtocolError):
        encode(message)


def test_a_class_that_is_not_declared_has_no_short_way() -> None:
    class Other(Closing, frozen=True, kw_only=True):
        pass

    assert _encode_short(Other(reason="x")) is None
    assert encode(Other(reason="x")) == encode(Closing(reason="x"))
