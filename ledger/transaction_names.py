"""What people type for an organisation, a terminal or a service, and which one it is. Reading only."""

from typing import Literal, NamedTuple, TypeAlias

from sqlalchemy import Connection, text

__all__ = ["Named", "Noun", "named", "names_of"]

Noun: TypeAlias = Literal["enterprise", "merchant", "store", "terminal", "service"]

# An exact code or number comes first; else whatever has the words in its name.
ORGANISATION = """
SELECT id, name, code = :words OR id = :number AS exact FROM organisation
WHERE kind = '{kind}' AND (code = :words OR id = :number OR strpos(lower(name), lower(:words)) > 0)
ORDER BY exact DESC, name, id LIMIT :most"""
FIND: dict[Noun, str] = {
    "enterprise": ORGANISATION.format(kind="enterprise"),
    "merchant": ORGANISATION.format(kind="merchant"),
    "store": ORGANISATION.format(kind="store"),
    "terminal": """
        SELECT id, name, id = :number AS exact FROM terminal
        WHERE kind <> 'office' AND (id = :number OR strpos(lower(name), lower(:words)) > 0)
        ORDER BY exact DESC, name, id LIMIT :most""",
    "service": """
        SELECT id, name, code = :words OR id = :number AS exact FROM service
        WHERE code = :words OR id = :number OR strpos(lower(name), lower(:words)) > 0
           OR strpos(name_zh, :words) > 0
        ORDER BY exact DESC, name, id LIMIT :most""",
}
OF_TERMINAL = text("SELECT tenant_id FROM terminal WHERE id = :id")
OF_STORE = text("SELECT tenant_id FROM organisation WHERE id = :id")
NAMES: dict[str, str] = {
    "merchant": "SELECT id, name FROM organisation WHERE id = ANY(:ids)",
    "service": "SELECT id, name FROM service WHERE id = ANY(:ids)",
    "service_zh": "SELECT id, name_zh FROM service WHERE id = ANY(:ids)",
}


class Named(NamedTuple):
    """Something with its number and its name; `merchant`: of a store or terminal, whose it is."""

    id: int
    name: str
    merchant: int | None = None


def named(connection: Connection, noun: Noun, words: str, *, most: int = 6) -> list[Named]:
    """What the words may mean: a code or a number exactly, else up to `most` whose name has them in it."""
    if "\x00" in words:  # PostgreSQL's text has no NUL
        return []
    digits = words.removeprefix("#")
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else -1
    found = connection.execute(text(FIND[noun]), {"words": words, "number": number, "most": most}).all()
    rows = [row for row in found if row.exact][:1] or found
    return [Named(row.id, row.name, _merchant(connection, noun, row.id)) for row in rows]


def _merchant(connection: Connection, noun: Noun, id: int) -> int | None:  # noqa: A002
    if noun not in {"store", "terminal"}:
        return None
    of: int | None = connection.execute(OF_STORE if noun == "store" else OF_TERMINAL, {"id": id}).scalar()
    return of


def names_of(connection: Connection, what: str, ids: list[int]) -> dict[int, str]:
    """The names of merchants, or of services (`service`, `service_zh`), by their ids."""
    return {row.id: row[1] for row in connection.execute(text(NAMES[what]), {"ids": ids})}
