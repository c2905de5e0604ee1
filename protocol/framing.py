"""Frames: a 2-byte big-endian length, then as many bytes of body.

The reader holds at most one unfinished frame beside the bytes that it was last given, because an
announced length is checked before its body is waited for.
"""

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import MAX_FRAME, MAX_FRAME_UNAUTHENTICATED

__all__ = ["MAX_FRAME", "MAX_FRAME_UNAUTHENTICATED", "FrameReader", "frame"]

_HEADER = 2


def frame(body: bytes) -> bytes:
    """`body` with its length before it. LocalProtocolError when it is empty or above MAX_FRAME."""
    length = len(body)
    if not 0 < length <= MAX_FRAME:
        raise LocalProtocolError(f"a frame's body has 1 to {MAX_FRAME} bytes, not {length}")
    return length.to_bytes(_HEADER, "big") + body


class FrameReader:
    """Cuts a stream of bytes into frame bodies, however the stream was chopped.

    `limit` is the longest body allowed, looked at anew for each frame: the session raises it when the
    handshake is over.
    """

    __slots__ = ("_at", "_data", "limit")

    def __init__(self, limit: int = MAX_FRAME_UNAUTHENTICATED) -> None:
        self.limit = limit
        self._data = b""
        self._at = 0

    def sole(self, data: bytes | bytearray) -> bytes | None:
        """The body, when `data` is exactly one frame that is allowed and nothing was left over before.

        This is how frames nearly always arrive. None has taken nothing: `feed` the data instead.
        """
        if self._data or type(data) is not bytes or len(data) <= _HEADER:
            return None
        length = data[0] << 8 | data[1]
        if length + _HEADER != len(data) or length > self.limit:
            return None
        return data[_HEADER:]

    def feed(self, data: bytes | bytearray) -> None:
        """Take bytes from the stream. Bytes that arrive as whole frames are not copied here."""
        self._data = self._data[self._at :] + data if self._data else bytes(data)
        self._at = 0

    def next_frame(self) -> bytes | None:
        """The next body, or None when more bytes are needed. RemoteProtocolError for a bad length."""
        start = self._at + _HEADER
        if start > len(self._data):
            return None
        length = int.from_bytes(self._data[self._at : start], "big")
        if length == 0:
            raise RemoteProtocolError("frame_empty")
        if length > self.limit:
            raise RemoteProtocolError("frame_too_long")
        end = start + length
        if end > len(self._data):
            return None
        body = self._data[start:end]
        if end == len(self._data):
            # Thousands of sessions are idle: none of them keeps the bytes that it has read.
            self._data, self._at = b"", 0
        else:
            self._at = end
        return body
