"""Organisations as pages show them: a tree by levels, search, one with what stands in it. Reading only."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from sqlalchemy import Connection, text

__all__ = [
    "Node", "Tree", "Within", "find_node", "places_for", "read_tree", "roots_of", "search_nodes",
    "tenant_list", "ways", "within",
]  # fmt: skip

# Where units are named, only these are seen, and counted.
COLUMNS = """o.id, o.tenant_id, o.parent_id, o.kind, o.code, o.name, o.status,
             (SELECT count(*) FROM organisation c WHERE c.tenant_id = o.tenant_id AND c.parent_id = o.id
              AND (CAST(:units AS bigint[]) IS NULL OR c.id = ANY(:units))) AS children"""
SEEN = "(CAST(:units AS bigint[]) IS NULL OR o.id = ANY(:units))"
ONE = text(f"SELECT {COLUMNS} FROM organisation o WHERE o.id = :id")
MANY = text(f"SELECT {COLUMNS} FROM organisation o WHERE o.id = ANY(:ids) ORDER BY o.name, o.id")
CHILDREN = text(
    f"""SELECT {COLUMNS} FROM organisation o WHERE o.tenant_id = :tenant AND o.parent_id = :parent
        AND {SEEN} ORDER BY o.name, o.id LIMIT :most OFFSET :skip"""
)
LEVEL = text(
    f"""SELECT {COLUMNS} FROM (
            SELECT id, tenant_id, parent_id, kind, code, name, status,
                   row_number() OVER (PARTITION BY parent_id ORDER BY name, id) AS place
            FROM organisation o WHERE tenant_id = :tenant AND parent_id = ANY(:parents) AND {SEEN}
        ) o WHERE o.place <= :each ORDER BY o.name, o.id"""
)
MATCHES = """(:words = '' OR strpos(lower(o.name), lower(:words)) > 0
              OR strpos(lower(o.code), lower(:words)) > 0)"""
SEARCH = text(
    f"""SELECT {COLUMNS} FROM organisation o WHERE o.tenant_id = :tenant AND {MATCHES}
        AND {SEEN} ORDER BY o.name, o.id LIMIT :most"""
)
# Where a unit may be moved: anywhere open but below itself.
PLACES = text(
    f"""WITH RECURSIVE below AS (
            SELECT id FROM organisation WHERE id = :id
            UNION
            SELECT c.id FROM organisation c JOIN below b ON c.tenant_id = :tenant AND c.parent_id = b.id
        )
        SELECT {COLUMNS} FROM organisation o
        WHERE o.tenant_id = :tenant AND o.status = 'open' AND o.id NOT IN (SELECT id FROM below) AND {MATCHES}
          AND {SEEN}
        ORDER BY o.parent_id IS NOT NULL, o.name, o.id LIMIT :most"""
)
# From each organisation up to its top, nearest first.
WAYS = text(
    """WITH RECURSIVE above AS (
           SELECT id AS start, id, tenant_id, parent_id, name, 0 AS steps FROM organisation
           WHERE id = ANY(:ids)
           UNION ALL
           SELECT a.start, o.id, o.tenant_id, o.parent_id, o.name, a.steps + 1
           FROM organisation o JOIN above a ON o.tenant_id = a.tenant_id AND o.id = a.parent_id
           WHERE a.steps < 100
       ) SELECT start, id, name FROM above WHERE steps > 0 ORDER BY start, steps DESC"""
)
TENANTS = text(
    f"""SELECT {COLUMNS} FROM organisation o
        WHERE o.parent_id IS NULL AND (:kind = 'all' OR o.kind = :kind) AND {MATCHES}
        ORDER BY o.kind = 'operator' DESC, o.name, o.id LIMIT :most"""
)
WITHIN = text(
    """SELECT (SELECT count(*) FROM staff WHERE organisation_id = :id AND status = 'active') AS staff,
              (SELECT count(*) FROM terminal WHERE store_id = :id AND status = 'active' AND kind <> 'office')
                  AS terminals,
              EXISTS (SELECT FROM member WHERE enterprise_id = :tenant AND organisation_id = :id) AS members,
              (SELECT count(*) FROM organisation
               WHERE tenant_id = :tenant AND parent_id = :id AND status = 'open') AS open_below"""
)

LEVELS = 12  # of one page; deeper ones are a click away


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An organisation, and how many stand directly below it."""

    id: int
    tenant_id: int
    parent_id: int | None
    kind: str
    code: str
    name: str
    status: str
    children: int

    @property
    def top(self) -> bool:
        """Whether it is a tenant."""
        return self.parent_id is None


@dataclass(frozen=True, slots=True)
class Tree:
    """A node with those below it that a page shows; there may be more: compare `node.children`."""

    node: Node
    below: list["Tree"] = field(default_factory=list)

    @property
    def hidden(self) -> int:
        """How many of those directly below are not in this tree."""
        return self.node.children - len(self.below)


@dataclass(frozen=True, slots=True)
class Within:
    """What stands in a unit itself: active staff and terminals, whether members belong to it, open units."""

    staff: int
    terminals: int
    members: bool
    open_below: int


Units: TypeAlias = frozenset[int] | None
"""Of what is read only these organisations; None stands for all."""


def find_node(connection: Connection, organisation: int, *, units: Units = None) -> Node | None:
    """The organisation with this id, as far as the scope shows it; of those below it `units` are counted."""
    row = connection.execute(ONE, {"id": organisation, "units": _named(units)}).one_or_none()
    return None if row is None else Node(**row._asdict())


def read_tree(
    connection: Connection,
    root: Node,
    *,
    units: Units = None,
    most: int,
    level: int,
    each: int,
    skip: int = 0,
) -> Tree:
    """What stands below `root`, level by level, until `most` nodes are read.

    Directly below it `level` of them from `skip` on; below each of the others at most `each`.
    """
    trees = {root.id: Tree(root)}
    of_tenant = {"tenant": root.tenant_id, "units": _named(units)}
    params = of_tenant | {"parent": root.id, "most": level, "skip": skip}
    rows = connection.execute(CHILDREN, params).all()
    for _ in range(LEVELS):
        nodes = [Node(**row._asdict()) for row in rows]
        for node in nodes:
            trees[node.id] = Tree(node)
            trees[node.parent_id or 0].below.append(trees[node.id])
        room = most - len(trees) + 1
        # A level that would not fit is left out whole, from the last parent on: half a family misleads.
        parents = []
        for node in nodes:
            room -= min(node.children, each)
            if room < 0:
                break
            if node.children:
                parents.append(node.id)
        if not parents:
            break
        rows = connection.execute(LEVEL, of_tenant | {"parents": parents, "each": each}).all()
    return trees[root.id]


def roots_of(connection: Connection, units: frozenset[int]) -> list[Node]:
    """Of some units those whose parent is not among them."""
    rows = connection.execute(MANY, {"ids": sorted(units), "units": sorted(units)})
    return [node for node in (Node(**row._asdict()) for row in rows) if node.parent_id not in units]


def search_nodes(
    connection: Connection, tenant: int, words: str, *, units: Units = None, most: int
) -> list[Node]:
    """Organisations of a tenant by words of their name or code, of `units` only where some are named."""
    params = {"tenant": tenant, "words": words, "units": _named(units), "most": most}
    rows = connection.execute(SEARCH, params)
    return [Node(**row._asdict()) for row in rows]


def places_for(
    connection: Connection, node: Node, words: str, *, units: Units = None, most: int
) -> list[Node]:
    """Where a unit could be moved: open ones that are not below it, the tenant's top first."""
    params = {
        "id": node.id, "tenant": node.tenant_id, "words": words, "units": _named(units), "most": most,
    }  # fmt: skip
    return [Node(**row._asdict()) for row in connection.execute(PLACES, params)]


def ways(connection: Connection, organisations: Iterable[int]) -> dict[int, list[tuple[int, str]]]:
    """By organisation the ids and names of those above it, the tenant's top first."""
    found: dict[int, list[tuple[int, str]]] = {each: [] for each in organisations}
    for start, id_, name in connection.execute(WAYS, {"ids": list(found)}):
        found[start].append((id_, name))
    return found


def tenant_list(connection: Connection, *, words: str = "", kind: str = "all", most: int) -> list[Node]:
    """Tenants that the scope shows, by words of their name or code; the operator first."""
    rows = connection.execute(TENANTS, {"words": words, "kind": kind, "units": None, "most": most})
    return [Node(**row._asdict()) for row in rows]


def within(connection: Connection, node: Node) -> Within:
    """What stands in a unit itself, not below it."""
    row = connection.execute(WITHIN, {"id": node.id, "tenant": node.tenant_id}).one()
    return Within(**row._asdict())


def _named(units: Units) -> list[int] | None:
    return None if units is None else sorted(units)
