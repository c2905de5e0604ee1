"""Frames, cut and chopped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.framing import MAX_FRAME, MAX_FRAME_UNAUTHENTICATED, FrameReader, frame
from tests.protocol.strategies import chunks


def read_all(reader: FrameReader) -> list[bytes]:
    return list(iter(reader.next_frame, None))


@given(
    bodies=st.lists(st.binary(min_size=1, max_size=700), max_size=8),
    cuts=st.lists(st.integers(0, 6000), max_size=30),
)
def test_any_chunking_gives_the_same_frames(bodies: list[bytes], cuts: list[int]) -> None:
    reader = FrameReader(MAX_FRAME)
    seen = []
    for chunk in chunks(b"".join(map(frame, bodies)), cuts):
        reader.feed(chunk)
        seen += read_all(reader)
    assert seen == bodies


@given(bodies=st.lists(st.binary(min_size=1, max_size=20), max_size=4))
def test_frames_byte_by_byte(bodies: list[bytes]) -> None:
    reader = FrameReader()
    seen = []
    for byte in b"".join(map(frame, bodies)):
        reader.feed(bytes([byte]))
        seen += read_all(reader)
    assert seen == bodies


@given(data=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 2000), max_size=10))
def test_any_bytes_give_frames_or_one_kind_of_error(data: bytes, cuts: list[int]) -> None:
    reader = FrameReader()
    read = 0
    reason = ""
    try:
        for chunk in chunks(data, cuts):
            reader.feed(chunk)
            for body in read_all(reader):
                assert 1 <= len(body) <= MAX_FRAME_UNAUTHENTICATED
                read += 2 + len(body)
    except RemoteProtocolError as error:
        reason = error.reason
    assert reason in ("", "frame_empty", "frame_too_long")
    assert read <= len(data)


def test_a_length_split_across_reads() -> None:
    reader = FrameReader()
    reader.feed(b"\x00")
    assert reader.next_frame() is None
    reader.feed(b"\x03a")
    assert reader.next_frame() is None
    reader.feed(b"bc\x00")
    assert read_all(reader) == [b"abc"]
    reader.feed(b"\x01d")
    assert read_all(reader) == [b"d"]


def test_the_longest_frame_passes_and_the_next_does_not() -> None:
    reader = FrameReader()
    reader.feed(frame(b"x" * MAX_FRAME_UNAUTHENTICATED))
    assert reader.next_frame() == b"x" * MAX_FRAME_UNAUTHENTICATED
    reader.feed((MAX_FRAME_UNAUTHENTICATED + 1).to_bytes(2, "big"))
    with pytest.raises(RemoteProtocolError, match="frame_too_long"):
        reader.next_frame()


def test_the_limit_counts_from_the_next_frame_on() -> None:
    reader = FrameReader()
    reader.feed(frame(b"a") + frame(b"x" * MAX_FRAME))
    assert reader.next_frame() == b"a"
    reader.limit = MAX_FRAME
    assert reader.next_frame() == b"x" * MAX_FRAME


def test_an_empty_frame_is_refused_in_both_directions() -> None:
    reader = FrameReader()
    reader.feed(b"\0\0")
    with pytest.raises(RemoteProtocolError, match="frame_empty"):
        reader.next_frame()
    with pytest.raises(LocalProtocolError):
        frame(b"")


def test_a_body_above_the_limit_is_not_framed() -> None:
    assert frame(b"x" * MAX_FRAME)[:2] == b"\x10\x00"
    with pytest.raises(LocalProtocolError):
        frame(b"x" * (MAX_FRAME + 1))


def test_mutable_buffers_may_be_reused_by_the_caller() -> None:
    reader = FrameReader()
    buffer = bytearray(frame(b"abc"))
    reader.feed(buffer)
    buffer[2:] = b"xyz"
    assert reader.next_frame() == b"abc"


def outcome(reader: FrameReader, data: bytes) -> list[bytes] | str:
    """The bodies that these bytes complete, or the reason of the fault."""
    reader.feed(data)
    try:
        return read_all(reader)
    except RemoteProtocolError as error:
        return error.reason


@given(
    data=st.binary(max_size=12) | st.binary(min_size=1, max_size=300).map(frame),
    before=st.sampled_from([b"", frame(b"x"), b"\0", frame(b"xyz")[:4], frame(b"x") + b"\0"]),
    limit=st.integers(1, 300),
)
def test_a_sole_frame_is_what_feeding_it_gives(data: bytes, before: bytes, limit: int) -> None:
    """Or it is none, and then nothing was taken. A part of a frame that was left over makes it none."""
    reader, fed = FrameReader(max(3, limit)), FrameReader(max(3, limit))
    assert outcome(reader, before) == outcome(fed, before)
    sole, bodies = reader.sole(data), outcome(fed, data)
    left_over = before not in (b"", frame(b"x"))
    if not left_over and isinstance(bodies, list) and len(bodies) == 1 and data == frame(bodies[0]):
        assert [sole] == bodies
    else:
        assert sole is None
        assert outcome(reader, data) == bodies


def test_a_frame_after_a_part_of_another_is_not_alone() -> None:
    reader = FrameReader()
    reader.feed(frame(b"abc")[:2])
    assert reader.next_frame() is None
    assert reader.sole(frame(b"x")) is None
    reader.feed(b"abc")
    assert read_all(reader) == [b"abc"]
    assert reader.sole(frame(b"x")) == b"x"


def test_what_was_read_is_not_kept() -> None:
    reader = FrameReader()
    reader.feed(frame(b"a") + frame(b"b"))
    assert read_all(reader) == [b"a", b"b"]
    assert reader._data == b""
