"""Following every tenant's trail, and comparing it with heads that were noted outside the database.

A chain without a secret can be written anew from any line on by whoever owns the tables. A file of
heads, kept where that person does not come, tells: each noted line must still have the noted hash.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from ledger.database import Database, Scope
from ledger.trail import Broken, Head, broken, head, line_hash, tenants

__all__ = ["Checked", "HeadsUnreadable", "check_trails", "read_heads", "write_heads"]

LINE = re.compile(r"(\d{1,19}) (\d{1,19}) ([0-9a-f]{64})")


class HeadsUnreadable(Exception):
    """The file of heads is not one; the text says where."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A tenant's trail after it was followed: its end, and what is wrong with it, if anything is."""

    tenant_id: int
    end: Head
    fault: Broken | None


def check_trails(database: Database, noted: dict[int, Head] | None = None) -> list[Checked]:
    """Every tenant's trail, each followed in a transaction of its own, and its noted head looked up."""
    known = noted or {}
    with database.transaction(Scope.everything()) as connection:
        all_tenants = sorted({*tenants(connection), *known})
    checked = []
    for tenant in all_tenants:
        with database.transaction(Scope.everything()) as connection:
            end = head(connection, tenant)
            fault = _rewritten(connection, tenant, known.get(tenant)) or broken(connection, tenant)
            checked.append(Checked(tenant, end, fault))
    return checked


def _rewritten(connection: Connection, tenant: int, noted: Head | None) -> Broken | None:
    if noted is None or noted.number == 0:
        return None
    stored = line_hash(connection, tenant, noted.number)
    if stored is None:
        return Broken(tenant, noted.number, "the line was noted before, and is missing")
    if stored != noted.hash:
        return Broken(tenant, noted.number, "this line or one before it was rewritten after it was noted")
    return None


def read_heads(path: Path) -> dict[int, Head]:
    """The heads of a file, by tenant: lines of `tenant number hash`. A file that is not there has none."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise HeadsUnreadable(f"The heads in {path} cannot be read: {error}.") from error
    heads = {}
    for number, line in enumerate(lines, 1):
        found = LINE.fullmatch(line)
        if found is None:
            raise HeadsUnreadable(f"Line {number} of {path} is not `tenant number hash`.")
        heads[int(found[1])] = Head(int(found[2]), bytes.fromhex(found[3]))
    return heads


def write_heads(path: Path, heads: dict[int, Head]) -> None:
    """Put the heads in the file's place, whole or not at all."""
    text = "".join(f"{tenant} {end.number} {end.hash.hex()}\n" for tenant, end in sorted(heads.items()))
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_text(text, encoding="ascii")
        new.replace(path)
    except OSError as error:
        raise HeadsUnreadable(f"The heads cannot be written to {path}: {error}.") from error
