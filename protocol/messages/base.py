"""What every message is made of: the envelopes of requests and replies, and the types of fields.

Points are whole numbers, times are milliseconds since 1970 UTC, days are YYYY-MM-DD.
"""

from typing import Annotated, Any, ClassVar, TypeAlias

from msgspec import Meta, Struct

__all__ = [
    "Amount", "Batch", "Chip", "Credential", "Day", "Key", "KeyId", "Message", "Millis", "Pin", "Reply",
    "Request", "Short", "Stan", "TerminalId", "Txid",
]  # fmt: skip

Txid: TypeAlias = Annotated[bytes, Meta(min_length=16, max_length=16, description="16 bytes, UUIDv7")]
Stan: TypeAlias = Annotated[int, Meta(ge=0, le=999_999, description="trace number, 0 to 999999")]
Batch: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1, description="the terminal's batch number")]
Millis: TypeAlias = Annotated[
    int, Meta(ge=0, le=253_402_300_799_999, description="milliseconds since 1970 UTC, to the year 9999")
]
Day: TypeAlias = Annotated[
    str, Meta(pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\Z", description="YYYY-MM-DD")
]
Short: TypeAlias = Annotated[
    str,
    Meta(
        max_length=40, pattern=r"^[^\x00-\x1f]*\Z", description="at most 40 characters, no control characters"
    ),
]
Amount: TypeAlias = Annotated[int, Meta(ge=0, le=10**12, description="points")]
TerminalId: TypeAlias = Annotated[int, Meta(ge=1, le=2**63 - 1, description="the number of a terminal")]
Key: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32, description="32 bytes, a public key")]
KeyId: TypeAlias = Annotated[int, Meta(ge=0, le=255, description="which of the server's keys")]
Credential: TypeAlias = Annotated[str, Meta(max_length=200, description="what the card says: a token")]
Chip: TypeAlias = Annotated[bytes, Meta(min_length=4, max_length=10, description="UID that the reader saw")]
Pin: TypeAlias = Annotated[str, Meta(max_length=12, description="six digits")]

# A PIN or a card token in a log would be a leak; a struct's repr is how it would get there.
_SECRET_FIELDS = frozenset({"pin", "new_pin", "reset_code", "credential", "chip"})


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Anything that travels inside an encrypted frame. `type` is its byte, `iso` its ISO 8583 relative."""

    type: ClassVar[int] = 0
    iso: ClassVar[str] = "–"

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={'…' if name in _SECRET_FIELDS else repr(getattr(self, name))}"
            for name in self.__struct_fields__
        )
        return f"{type(self).__name__}({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """The same for rich, which asks the struct itself for its fields."""
        return [
            (name, "…" if name in _SECRET_FIELDS else getattr(self, name)) for name in self.__struct_fields__
        ]


class Request(Message, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Terminal to server. `id` is made and stored by the terminal before the first byte is sent."""

    id: Txid
    stan: Stan
    batch: Batch
    at: Millis
    repeat: bool = False


class Reply(Message, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Server to terminal. `id` repeats the request's; `recorded`: the answer of an earlier, equal one."""

    id: Txid
    code: int
    text: str
    server_at: Millis
    business_date: Day
    recorded: bool = False
