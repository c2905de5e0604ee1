"""Keys that are never in the database: files of mode 0600 in one folder, made at the first run.

`server.key` the terminals' server key, `server-next.key` the one they will move to, `card.key`
seals card tokens, `pin.key` keys the PIN verifiers, `enrolment.key` derives enrolment secrets,
`session.key` signs the site's cookies, `personal.key` seals members' personal data. 32 random bytes
each, written as hex. The server's two keys have a second line once they have been rotated, `id 7`: by
that number terminals name them.
"""

import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Keyring", "KeyringError", "rotate"]

SERVER_KEY_ID = 1  # of a server.key that does not say; of such a server-next.key the one after it
SERVER_KEY_IDS = 256  # what a byte of the preamble can say; after 255 comes 0
CARD_KEY_ID = 1
_FILES = ("server", "server-next", "card", "pin", "enrolment", "session", "personal")


class KeyringError(Exception):
    """A key file is missing, unreadable or unsafe; the text says how to mend it."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """All secrets of one installation. No field is ever shown.

    `server_keys` by id: the current one and the next, which are one and the same for a moment of a rotation.
    """

    server_keys: dict[int, bytes] = field(repr=False)
    card_keys: dict[int, bytes] = field(repr=False)
    pin_key: bytes = field(repr=False)
    enrolment_key: bytes = field(repr=False)
    session_key: bytes = field(repr=False)
    personal_key: bytes = field(repr=False)
    current_key_id: int = field(default=SERVER_KEY_ID, repr=False)
    next_key_id: int = field(default=SERVER_KEY_ID + 1, repr=False)

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
        (current_id, current), (next_id, following) = _server_keys(folder)
        card, pin, enrolment, session, personal = (_read(folder / f"{name}.key") for name in _FILES[2:])
        return cls(
            server_keys={current_id: current, next_id: following},
            card_keys={CARD_KEY_ID: card},
            pin_key=pin,
            enrolment_key=enrolment,
            session_key=session,
            personal_key=personal,
            current_key_id=current_id,
            next_key_id=next_id,
        )

    def enrolment_secret(self, enrolment_id: bytes) -> bytes:
        """The 32-byte secret of an enrolment: derived, so that the database holds nothing of it."""
        return hashlib.blake2b(enrolment_id, key=self.enrolment_key, digest_size=32).digest()

    def pin_verifier(self, slot: int, account: int, card: int, pin: str) -> bytes:
        """The 32 bytes that stand for a PIN: keyed, and bound to the card, so that no two cards share one."""
        told = f"{slot}.{account}.{card}.{pin}".encode()
        return hashlib.blake2b(told, key=self.pin_key, digest_size=32).digest()

    def code_verifier(self, slot: int, account: int, card: int, code: str) -> bytes:
        """The same for a one-time code; of equal digits it is another than the PIN's."""
        told = f"code {slot}.{account}.{card}.{code}".encode()
        return hashlib.blake2b(told, key=self.pin_key, digest_size=32).digest()

    def factor_key(self, staff: int) -> bytes:
        """The 32-byte key that seals one person's second factor, and nobody else's."""
        told = f"second factor {staff}".encode()
        return hashlib.blake2b(told, key=self.personal_key, digest_size=32).digest()

    def recovery_verifier(self, staff: int, code: str) -> bytes:
        """The 32 bytes that stand for a recovery code of one person."""
        told = f"recovery {staff}.{code}".encode()
        return hashlib.blake2b(told, key=self.personal_key, digest_size=32).digest()


def rotate(folder: Path, random_bytes: Callable[[int], bytes]) -> Keyring:
    """The server's next key becomes its current one, and a new next one is made. Returns all keys.

    Whenever this is cut off, the folder holds keys that work, and doing it again finishes it. Terminals that
    were never told the next key must be enrolled again. Raises KeyringError.
    """
    try:
        with _locked(folder):
            (current_id, _), (next_id, following) = _server_keys(folder)
            # Equal when an earlier rotation was cut off between its two steps: only the second is left to do.
            if current_id != next_id:
                _replace(folder / "server.key", _written(following, next_id))
            _replace(folder / "server-next.key", _written(random_bytes(32), (next_id + 1) % SERVER_KEY_IDS))
    except OSError as error:
        raise KeyringError(f"Cannot rotate the keys in {folder}: {error.strerror}.") from error
    return Keyring.load(folder)


def _server_keys(folder: Path) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
    """Id and key of the current and of the next one.

    The next is read first: a rotation under way writes it last, so what is read fits together.
    """
    following = _read_numbered(folder / "server-next.key", SERVER_KEY_ID + 1)
    current = _read_numbered(folder / "server.key", SERVER_KEY_ID)
    if current[0] == following[0] and current[1] != following[1]:
        raise KeyringError(
            f"server.key and server-next.key in {folder} are two keys with the same id {current[0]}. "
            "Restore both from one backup."
        )
    return current, following


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Nobody else rotates meanwhile; the lock ends with the process, however that ends."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise KeyringError(f"The keys in {folder} are being rotated by somebody else.") from error
    finally:
        os.close(handle)


def _replace(path: Path, content: str) -> None:
    """Put a new file in the place of `path`, whole or not at all, on the disk before this returns."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    _write(new, content)
    before = path.stat()
    os.chown(new, before.st_uid, before.st_gid)  # root rotates, the server's account reads
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _written(key: bytes, number: int) -> str:
    return f"{key.hex()}\nid {number}\n"


def _write(path: Path, content: str) -> None:
    """Raises FileExistsError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _make(path: Path, key: bytes) -> None:
    with suppress(FileExistsError):
        _write(path, key.hex() + "\n")


def _read(path: Path) -> bytes:
    return _key(path, _content(path))


def _read_numbered(path: Path, unless_said: int) -> tuple[int, bytes]:
    """A key with its id, which may stand on a second line."""
    content = _content(path)
    found = re.fullmatch(r"(.*)\s+id (\d{1,3})", content, re.DOTALL | re.ASCII)
    if found is None:
        return unless_said, _key(path, content)
    number = int(found[2])
    if number >= SERVER_KEY_IDS:
        raise KeyringError(f"The secret {path} has the id {number}; it must be 0 to {SERVER_KEY_IDS - 1}.")
    return number, _key(path, found[1])


def _content(path: Path) -> str:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        content = path.read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise KeyringError(
            f"The secret {path} is missing. Restore it from its backup; a new one would not open old cards."
        ) from error
    except (OSError, ValueError) as error:
        raise _unreadable(path) from error
    if mode & 0o077:
        raise KeyringError(f"The secret {path} can be read by others. Run: chmod 600 {path}")
    return content


def _key(path: Path, written: str) -> bytes:
    try:
        key = bytes.fromhex(written)
    except ValueError as error:
        raise _unreadable(path) from error
    if len(key) != 32:
        raise KeyringError(
            f"The secret {path} has {len(key)} bytes instead of 32. Restore it from its backup."
        )
    return key


def _unreadable(path: Path) -> KeyringError:
    return KeyringError(f"The secret {path} cannot be read: it must be 64 hexadecimal digits.")
