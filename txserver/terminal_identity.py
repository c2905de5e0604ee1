"""Who a terminal is: its own key, the server's keys and address, kept in a file of mode 0600.

Made once by enrolment. The key pair is on the disk before the first byte of an enrolment is sent, so
that one whose reply was lost is simply done again with the same code.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from protocol.noise import KeyPair

__all__ = ["IdentityError", "ServerKey", "TerminalIdentity", "read_private", "sync_folder", "write_private"]

T = TypeVar("T")
IDENTITY_FILE = "identity.json"


class IdentityError(Exception):
    """The device folder holds no identity, or none that can be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class ServerKey:
    """A static public key of the server (32 bytes) and the number that the preamble names it by."""

    id: int
    public: bytes


@dataclass(frozen=True, slots=True)
class TerminalIdentity:
    """`terminal` is a number. `server_keys`: the one in use and, when the server told another, the newest.

    `next_key` is the terminal's own next pair, from before the server is told of it until a login with it.
    """

    key: KeyPair = field(repr=False)
    server_keys: tuple[ServerKey, ...]
    host: str
    port: int
    terminal: int
    merchant: str
    store: str
    next_key: KeyPair | None = field(default=None, repr=False)

    def save(self, folder: Path) -> None:
        """Write the file, durable on return. IdentityError when the folder does not take it."""
        write_private(
            folder / IDENTITY_FILE,
            _Stored(
                private_key=self.key.private,
                server_keys=[(key.id, key.public) for key in self.server_keys],
                host=self.host,
                port=self.port,
                terminal=self.terminal,
                merchant=self.merchant,
                store=self.store,
                next_private_key=None if self.next_key is None else self.next_key.private,
            ),
        )

    @classmethod
    def load(cls, folder: Path) -> "TerminalIdentity":
        """The identity in a device folder. IdentityError when there is none."""
        stored = read_private(folder / IDENTITY_FILE, _Stored)
        if stored is None:
            raise IdentityError(
                f"{folder} holds no terminal; enrol it first: pos enrol CODE --device {folder}"
            )
        return cls(
            key=KeyPair.from_private(stored.private_key),
            server_keys=tuple(ServerKey(number, public) for number, public in stored.server_keys),
            host=stored.host,
            port=stored.port,
            terminal=stored.terminal,
            merchant=stored.merchant,
            store=stored.store,
            next_key=(
                None if stored.next_private_key is None else KeyPair.from_private(stored.next_private_key)
            ),
        )


class _Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """identity.json; keys are base64."""

    private_key: bytes
    server_keys: list[tuple[int, bytes]]
    host: str
    port: int
    terminal: int
    merchant: str
    store: str
    next_private_key: bytes | None = None


def write_private(path: Path, content: msgspec.Struct) -> None:
    """Replace a JSON file of mode 0600, file and folder durable on return. IdentityError when that fails."""
    beside = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise IdentityError(f"{path} cannot be written: {error.strerror}") from error


def read_private(path: Path, kind: type[T]) -> T | None:
    """What `write_private` wrote; None when there is no such file. IdentityError when it is not readable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IdentityError(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise IdentityError(f"{path} is damaged: {error}") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
