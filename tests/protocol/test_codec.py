"""Messages to bytes and back; every plaintext that is refused."""

import json
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol import Message, RemoteProtocolError, decode, encode
from protocol.errors import REASONS, LocalProtocolError
from protocol.limits import MAX_PLAINTEXT, PADDING_BLOCK
from protocol.messages import (
    MESSAGES,
    BatchTotal,
    CatalogueItem,
    CatalogueReply,
    Closing,
    Echo,
    Reconciliation,
    Redeem,
)
from tests.protocol.factories import create_answered, create_asked, create_echo, create_login
from tests.protocol.strategies import messages

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "messages.json").read_text())
BY_NAME = {message.__name__: message for message in MESSAGES}


def from_json(value: Any) -> Any:
    """Fields as the vectors spell them, with bytes for {"hex": ...}, also inside the items of lists."""
    match value:
        case {"hex": str(digits)}:
            return bytes.fromhex(digits)
        case dict():
            return {name: from_json(each) for name, each in value.items()}
        case list():
            return [from_json(each) for each in value]
    return value


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["message"])
def test_vectors(vector: dict[str, Any]) -> None:
    plaintext = bytes.fromhex(vector["plaintext"])
    packed = bytes.fromhex(vector["msgpack"])
    message = decode(plaintext)
    assert type(message) is BY_NAME[vector["message"]]
    assert encode(message) == plaintext
    assert msgpack.unpackb(packed) == from_json(vector["fields"])
    padding = b"\x80" + bytes(-(len(packed) + 2) % 64)
    assert plaintext == bytes([message.type]) + packed + padding
    for name, value in from_json(vector["fields"]).items():
        assert msgspec.to_builtins(getattr(message, name), builtin_types=(bytes,)) == value


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_every_message_has_a_vector_that_shows_each_field(message: type[Message]) -> None:
    shown: set[str] = set()
    for vector in VECTORS["messages"]:
        if vector["message"] == message.__name__:
            shown |= set(vector["fields"])
    # Nothing repeats an Enrol, a Catalogue or an Echo under the same id; the rest is shown in full.
    assert set(message.__struct_fields__) - shown <= {"repeat", "recorded"}


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["about"])
def test_plaintexts_that_are_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(bytes.fromhex(vector["plaintext"]))
    assert caught.value.reason == vector["reason"]


def test_every_reason_of_the_codec_has_a_vector() -> None:
    ours = {
        "padding", "message_type", "msgpack", "map_key", "duplicate_key", "too_deep", "float", "extension",
        "nul_in_text", "fields",
    }  # fmt: skip
    assert {vector["reason"] for vector in VECTORS["refused"]} == ours
    assert ours <= REASONS


@given(message=messages())
def test_what_is_encoded_is_decoded(message: Message) -> None:
    plaintext = encode(message)
    assert len(plaintext) % PADDING_BLOCK == 0
    assert len(plaintext) <= MAX_PLAINTEXT
    again = decode(plaintext)
    assert type(again) is type(message)
    assert again == message


def reason_of(plaintext: bytes) -> str | None:
    """None when it decodes. Any other exception than ours fails the test that asks."""
    try:
        decode(plaintext)
    except RemoteProtocolError as error:
        return error.reason
    return None


@given(plaintext=st.binary(max_size=300))
def test_any_bytes_give_a_message_or_one_kind_of_error(plaintext: bytes) -> None:
    assert reason_of(plaintext) in REASONS | {None}


@given(kind=st.sampled_from(MESSAGES), packed=st.binary(max_size=120))
def test_any_content_gives_a_message_or_one_kind_of_error(kind: type[Message], packed: bytes) -> None:
    plain = bytes([kind.type]) + packed + b"\x80"
    assert reason_of(plain + bytes(-len(plain) % 64)) in REASONS | {None}


_SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
)
_OBJECTS = st.recursive(
    _SCALARS, lambda inner: st.lists(inner) | st.dictionaries(_SCALARS, inner), max_leaves=12
)


@given(
    kind=st.sampled_from(MESSAGES), value=_OBJECTS, field=st.sampled_from(["id", "stan", "receipt", "pin"])
)
@example(kind=Echo, value=[[[[[]]]]], field="stan")
def test_any_value_in_a_field_gives_a_message_or_one_kind_of_error(
    kind: type[Message], value: Any, field: str
) -> None:
    plain = bytes([kind.type]) + msgpack.packb({field: value}) + b"\x80"
    assert reason_of(plain + bytes(-len(plain) % 64)) in REASONS


@given(message=messages(), place=st.integers(0, 4095), mask=st.integers(1, 255))
def test_a_changed_byte_gives_a_message_or_one_kind_of_error(message: Message, place: int, mask: int) -> None:
    plaintext = bytearray(encode(message))
    plaintext[place % len(plaintext)] ^= mask
    assert reason_of(bytes(plaintext)) in REASONS | {None}


def test_deep_nesting_does_not_recurse() -> None:
    for opening in (b"\x91", b"\x81\xa1a"):
        plain = b"\x04\x81\xa4stan" + opening * 1200 + b"\xc0\x80"
        assert reason_of(plain + bytes(-len(plain) % 64)) in ("too_deep", "msgpack")


def test_integers_and_text_of_each_width_are_read() -> None:
    fields = msgpack.packb(create_asked(2))
    # stan as uint64, as int8 and as fixint; then the name of the field as str8.
    for spelled in (b"\xa4stan\xcf" + (2).to_bytes(8, "big"), b"\xa4stan\xd0\x02", b"\xd9\x04stan\x02"):
        plain = b"\x04" + fields.replace(b"\xa4stan\x02", spelled) + b"\x80"
        assert decode(plain + bytes(-len(plain) % 64)) == create_echo(2)


def test_a_field_that_is_nil_counts_as_left_out() -> None:
    packed = msgpack.packb({**create_asked(), "credential": "c", "service": "s", "pin": None})
    plain = b"\x10" + packed + b"\x80"
    assert decode(plain + bytes(-len(plain) % 64)) == Redeem(**create_asked(), credential="c", service="s")


@pytest.mark.parametrize("size", range(52, 70))
def test_padding_at_the_edges_of_a_block(size: int) -> None:
    message = Closing(reason="x" * size)
    plaintext = encode(message)
    assert len(plaintext) % 64 == 0
    assert decode(plaintext) == message


def test_a_message_that_fills_the_longest_frame() -> None:
    assert len(encode(Closing(reason="x" * 4018))) == MAX_PLAINTEXT
    with pytest.raises(LocalProtocolError, match="4096"):
        encode(Closing(reason="x" * 4020))


@pytest.mark.parametrize(
    "changes",
    [
        {"software": "x" * 41},
        {"software": "a\0b"},
        {"software": "\ud800"},
        {"software": None},
        {"software": b"bytes"},
        {"stan": -1},
        {"stan": 1.0},
        {"stan": True},
        {"at": 2**70},
        {"id": bytes(15)},
        {"id": "0" * 16},
        {"repeat": 1},
    ],
    ids=repr,
)
def test_what_the_peer_would_refuse_is_not_sent(changes: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        encode(create_login(**changes))


def test_an_integer_that_no_message_can_hold() -> None:
    with pytest.raises(LocalProtocolError):
        encode(Redeem(**create_asked(), credential="c", service="s", amount=2**64))


def test_a_list_longer_than_its_limit_is_not_sent() -> None:
    total = BatchTotal(kind="redeem", count=1, points=300)
    fits = Reconciliation(**create_asked(), totals=[total] * 6)
    assert decode(encode(fits)) == fits
    with pytest.raises(LocalProtocolError, match="<= 6"):
        encode(Reconciliation(**create_asked(), totals=[total] * 7))


def test_items_of_a_list_are_checked_as_well() -> None:
    item = CatalogueItem(code="c", name="n", name_zh="n", unit="u", points=1.5)  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError):
        encode(CatalogueReply(**create_answered(), version=1, services=[item]))
