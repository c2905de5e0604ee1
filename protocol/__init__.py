"""What leaves the house as bytes: frames, the Noise channel, messages, credentials.

No I/O, no clock, no randomness, no database. README.md beside this file is the specification. The
messages themselves are in `protocol.messages`.
"""

from protocol.codec import decode, encode
from protocol.codes import CODES, CodeInfo, code_info
from protocol.credentials import (
    CardToken,
    CredentialError,
    EnrolmentCode,
    enrolment_code,
    open_token,
    parse_enrolment_code,
    seal,
)
from protocol.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from protocol.messages import MESSAGES, Message, Reply, Request
from protocol.noise import KeyPair
from protocol.session import Enrolment, ServerSession, TerminalSession

__all__ = [
    "CODES",
    "MESSAGES",
    "CardToken",
    "CodeInfo",
    "CredentialError",
    "Enrolment",
    "EnrolmentCode",
    "KeyPair",
    "LocalProtocolError",
    "Message",
    "ProtocolError",
    "RemoteProtocolError",
    "Reply",
    "Request",
    "ServerSession",
    "TerminalSession",
    "code_info",
    "decode",
    "encode",
    "enrolment_code",
    "open_token",
    "parse_enrolment_code",
    "seal",
]
