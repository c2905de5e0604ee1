"""The small files of the embedded PostgreSQL: passwords, and what a lock or a log says."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from ledger.embedded_seat import EmbeddedPostgresError

__all__ = ["FolderError", "lives", "read_passwords", "reason", "remove_stale_socket", "write_private"]


class FolderError(EmbeddedPostgresError):
    """The folder cannot be used: not writable, incomplete, or made by another major version."""


def read_passwords(path: Path, roles: Sequence[str]) -> dict[str, str]:
    """Role -> password, for each of `roles`. FolderError when the file does not say so."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(found.get(role), str) for role in roles):
        raise FolderError(
            f"{path} is damaged: it must hold the passwords of {', '.join(roles)} as JSON;"
            " restore it from its backup"
        )
    return {role: found[role] for role in roles}


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def remove_stale_socket(folder: Path) -> None:
    """Remove what a killed server left in the folder of its socket; only for who holds the server's lock.

    PostgreSQL itself keeps away from a lock file whose process is there, be it a zombie or another program
    that was given the same id.
    """
    for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
        (folder / name).unlink(missing_ok=True)


def lives(holder: str) -> bool:
    """Whether the process with this id, a text from the lock file, is there and not a zombie."""
    if not holder.isdigit():
        return False
    try:
        os.kill(int(holder), 0)
        state = Path("/proc", holder, "stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's, or a system without /proc
        return True
    return state not in "ZX"


def reason(said: str) -> str:
    """The line of a log that says why, or its last one."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "PANIC" in line or "error:" in line]
    return (telling or lines or ["it said nothing"])[-1]
