"""Beginning, keeping and ending a session, and what the server says unasked."""

from protocol.messages.base import Batch, Day, Key, KeyId, Message, Millis, Reply, Request, Short, Stan

__all__ = [
    "Closing", "Echo", "EchoReply", "Enrol", "EnrolReply", "KeyChange", "KeyChangeReply", "Login",
    "LoginReply", "Logout", "LogoutReply", "Notice",
]  # fmt: skip


class Enrol(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """First message of a new device, inside the third handshake message."""

    type = 0x01
    model: Short
    software: Short


class EnrolReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    type = 0x81
    terminal: int
    merchant: str
    store: str
    next_key: Key | None = None
    next_key_id: KeyId | None = None


class Login(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """First message of an enrolled device, inside the third handshake message."""

    type = 0x02
    iso = "0800"
    software: Short
    last_stan: Stan


class LoginReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    type = 0x82
    iso = "0810"
    session: str
    terminal: int
    merchant: str
    store: str
    catalogue: int
    idle_s: int
    last_batch: Batch | None = None
    next_key: Key | None = None
    next_key_id: KeyId | None = None
    change_key: bool = False


class Logout(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The terminal is about to close; the server answers and closes."""

    type = 0x03
    iso = "0800"


class LogoutReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    type = 0x83
    iso = "0810"


class Echo(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Proof of life within the idle time."""

    type = 0x04
    iso = "0800"


class EchoReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    type = 0x84
    iso = "0810"


class KeyChange(Request, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The terminal's next static public key. The present one works until the first handshake with the new."""

    type = 0x05
    iso = "0800"
    key: Key


class KeyChangeReply(Reply, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    type = 0x85
    iso = "0810"


class Notice(Message, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Server to terminal, unasked: what has changed since the login or the notice before. Needs no answer."""

    type = 0xFE
    server_at: Millis
    catalogue: int | None = None
    business_date: Day | None = None
    next_key: Key | None = None
    next_key_id: KeyId | None = None
    change_key: bool = False


class Closing(Message, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Server to terminal, unasked: this session ends now.

    `reason`: replaced, revoked, idle, lifetime or shutdown.
    """

    type = 0xFF
    reason: str
