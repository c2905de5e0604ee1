"""Two families of errors, and no third: our bug, or their fault."""

__all__ = ["LocalProtocolError", "ProtocolError", "RemoteProtocolError"]


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
