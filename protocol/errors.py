"""Two families of errors, and no third: our bug, or their fault."""

__all__ = ["REASONS", "LocalProtocolError", "ProtocolError", "RemoteProtocolError"]


class ProtocolError(Exception):
    """Base of both families; never raised itself."""


class LocalProtocolError(ProtocolError):
    """This program asked for something the protocol does not allow: a bug of ours."""


class RemoteProtocolError(ProtocolError):
    """The peer sent bytes that the protocol does not allow; the only answer is to close.

    `reason` is a fixed word for logs and metrics. It never carries bytes of the peer's.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


REASONS = frozenset({
    # frames
    "frame_empty", "frame_too_long",
    # handshake
    "magic", "suite", "server_key", "flags", "handshake_length", "bad_point",
    # either
    "decrypt", "counter_exhausted",
    # messages
    "padding", "message_type", "msgpack", "map_key", "duplicate_key", "too_deep", "float", "extension",
    "nul_in_text", "fields", "wrong_direction", "order", "after_last",
    # a session that was over before
    "closed",
})  # fmt: skip
"""Every reason that this package gives, so that a metric can have one label for each."""
