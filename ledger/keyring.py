"""Keys that are never in the database: files of mode 0600 in one folder, made at the first run.

`server.key` the terminals' server key, `server-next.key` the one they will move to, `card.key`
seals card tokens, `pin.key` keys the PIN verifiers, `enrolment.key` derives enrolment secrets,
`session.key` signs the site's cookies. 32 random bytes each, written as hex.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Keyring", "KeyringError"]

SERVER_KEY_ID = 1  # of server.key; the next one has the id after it
CARD_KEY_ID = 1
_FILES = ("server", "server-next", "card", "pin", "enrolment", "session")


class KeyringError(Exception):
    """A key file is missing, unreadable or unsafe; the text says how to mend it."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """All secrets of one installation. No field is ever shown."""

    server_keys: dict[int, bytes] = field(repr=False)
    card_keys: dict[int, bytes] = field(repr=False)
    pin_key: bytes = field(repr=False)
    enrolment_key: bytes = field(repr=False)
    session_key: bytes = field(repr=False)

    @classmethod
    def create(cls, folder: Path, random_bytes: Callable[[int], bytes]) -> "Keyring":
        """Make what is missing in `folder` (mode 0700) and read all. Existing files are never touched."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in _FILES:
                _make(folder / f"{name}.key", random_bytes(32))
        except OSError as error:
            raise KeyringError(
                f"Cannot write the secrets in {folder}: {error.strerror}. Make the folder writable, "
                "or name another in TESSERA_SECRETS."
            ) from error
        return cls.load(folder)

    @classmethod
    def load(cls, folder: Path) -> "Keyring":
        """Read all keys from `folder`. Raises KeyringError."""
        server, following, card, pin, enrolment, session = (_read(folder / f"{name}.key") for name in _FILES)
        return cls(
            server_keys={SERVER_KEY_ID: server, SERVER_KEY_ID + 1: following},
            card_keys={CARD_KEY_ID: card},
            pin_key=pin,
            enrolment_key=enrolment,
            session_key=session,
        )

    def enrolment_secret(self, enrolment_id: bytes) -> bytes:
        """The 32-byte secret of an enrolment: derived, so that the database holds nothing of it."""
        return hashlib.blake2b(enrolment_id, key=self.enrolment_key, digest_size=32).digest()

    def pin_verifier(self, slot: int, account: int, card: int, pin: str) -> bytes:
        """The 32 bytes that stand for a PIN: keyed, and bound to the card, so that no two cards share one."""
        told = f"{slot}.{account}.{card}.{pin}".encode()
        return hashlib.blake2b(told, key=self.pin_key, digest_size=32).digest()


def _make(path: Path, key: bytes) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        content = path.read_text(encoding="ascii").strip()
        key = bytes.fromhex(content)
    except FileNotFoundError as error:
        raise KeyringError(
            f"The secret {path} is missing. Restore it from its backup; a new one would not open old cards."
        ) from error
    except (OSError, ValueError) as error:
        raise KeyringError(f"The secret {path} cannot be read: it must be 64 hexadecimal digits.") from error
    if mode & 0o077:
        raise KeyringError(f"The secret {path} can be read by others. Run: chmod 600 {path}")
    if len(key) != 32:
        raise KeyringError(
            f"The secret {path} has {len(key)} bytes instead of 32. Restore it from its backup."
        )
    return key
