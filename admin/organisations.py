"""Organisations: a tenant's tree, one organisation, and the operator's list of tenants. Looking only.

What changes a tree is in admin.organisation_steps.
"""

from flask import Blueprint, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin import current
from admin.access import requires
from admin.organisation_words import kind_word, offered, standing, step_words
from ledger.database import Connection
from ledger.organisation_tree import (
    Node,
    Tree,
    find_node,
    read_tree,
    roots_of,
    search_nodes,
    tenant_list,
    ways,
    within,
)

__all__ = ["BIGGEST", "blueprint", "may", "node_page", "own_units", "seen_node"]

NODES_MOST = 300  # of one page: with all their names and links some 80 kB
LEVEL_MOST = 200  # directly below the one that a page is about
EACH_MOST = 50  # below each of those
OPEN_MOST = 60  # more than these are folded, level by level
FOUND_MOST = 50
TENANTS_MOST = 100
WORDS_MOST = 100
BIGGEST = 2**63 - 1  # of the database's ids

blueprint = Blueprint("organisations", __name__)
blueprint.add_app_template_filter(kind_word, "organisation_kind")
blueprint.add_app_template_filter(standing, "organisation_standing")


def own_units(permission: str) -> frozenset[int] | None:
    """The units over which the person who asks holds a permission; None stands for all."""
    return current.staff().rights.units.get(permission, frozenset())


def may(node: Node, permission: str) -> bool:
    """Whether the person who asks holds a permission over an organisation."""
    staff, units = current.staff(), own_units(permission)
    if staff.tenant_kind != "operator" and node.tenant_id != staff.tenant_id:
        return False  # names of shops are public, their structure is not
    return units is None or node.id in units


def seen_node(connection: Connection, organisation: int, permission: str) -> Node | None:
    """The organisation, when the person who asks holds the permission over it."""
    units = own_units("organisations.view")
    node = find_node(connection, organisation, units=units) if 0 < organisation <= BIGGEST else None
    return node if node is not None and may(node, permission) else None


@blueprint.get("/organisations")
@requires("organisations.view")
def overview() -> ResponseReturnValue:
    """A tree: the tenant's, or what stands below one organisation (`at`); with `q` a search in it."""
    words = request.args.get("q", "").replace("\0", "").strip()[:WORDS_MOST]
    units = own_units("organisations.view")
    at, tenant = _asked("at"), _asked("tenant")
    with current.database().transaction(current.scope()) as connection:
        home = seen_node(connection, current.staff().tenant_id, "organisations.view")
        chosen = at or tenant
        root = seen_node(connection, chosen, "organisations.view") if chosen else home
        roots = [root] if root else []
        if not chosen and units is not None:
            roots = roots_of(connection, units)
            root = roots[0] if len(roots) == 1 else None
        if roots:
            owner = roots[0].tenant_id
            top = find_node(connection, owner)
            found = search_nodes(connection, owner, words, units=units, most=FOUND_MOST + 1) if words else []
            trees = [] if words else _trees(connection, roots)
            above = ways(connection, [node.id for node in (found or roots)])
    if chosen and root is None:
        current.missing("organisation", chosen)
    if not roots:
        return render_template("organisations/none.html")
    return render_template(
        "organisations/tree.html",
        root=root,
        top=top,
        trees=trees,
        unfolded=sum(_size(tree) for tree in trees) <= OPEN_MOST,
        skip=_skip(),
        level_most=LEVEL_MOST,
        words=words,
        found=found[:FOUND_MOST],
        more=len(found) > FOUND_MOST,
        most=FOUND_MOST,
        above=above,
        seen=units,
        tenants=_sees_tenants(),
        may_add=root is not None and root.status == "open" and may(root, "organisations.change"),
    )


@blueprint.get(f"/organisations/<int(max={BIGGEST}):organisation>")
@requires("organisations.view")
def one(organisation: int) -> ResponseReturnValue:
    """One organisation: where it stands, what stands in it, and what can be done."""
    return node_page(organisation)


@blueprint.get("/organisations/tenants")
@requires("organisations.view")
def tenants() -> ResponseReturnValue:
    """The operator's list of all tenants, to look into their trees."""
    if not _sees_tenants():
        current.missing("organisation", "tenants")
    words = request.args.get("q", "").replace("\0", "").strip()[:WORDS_MOST]
    kind = request.args.get("kind", "all")
    if kind not in {"all", "enterprise", "merchant"}:
        kind = "all"
    with current.database().transaction(current.scope()) as connection:
        found = tenant_list(connection, words=words, kind=kind, most=TENANTS_MOST + 1)
    return render_template(
        "organisations/tenants.html",
        found=found[:TENANTS_MOST],
        more=len(found) > TENANTS_MOST,
        most=TENANTS_MOST,
        words=words,
        kind=kind,
        may_add=own_units("organisations.change") is None,
    )


def node_page(organisation: int, refused: str | None = None) -> str:
    """The page of one organisation; 404 and a line in the trail for one that is not theirs."""
    with current.database().transaction(current.scope()) as connection:
        node = seen_node(connection, organisation, "organisations.view")
        if node is not None:
            top = find_node(connection, node.tenant_id)
            inside = within(connection, node)
            above = ways(connection, [node.id])[node.id]
    if node is None:
        current.missing("organisation", organisation)
    changes = may(node, "organisations.change")
    steps = offered(node, by_operator=_sees_tenants()) if changes else []
    return render_template(
        "organisations/organisation.html",
        node=node,
        top=top,
        inside=inside,
        above=above,
        steps=[(step, step_words(step, node, inside)) for step in steps],
        refused=refused,
        seen=own_units("organisations.view"),
        page_of=_page_of,
    )


def _page_of(endpoint: str, **values: object) -> str | None:
    """The address of another room's page, when there is such a room."""
    return url_for(endpoint, **values) if endpoint in current_app.view_functions else None  # type: ignore[arg-type]


def _sees_tenants() -> bool:
    staff = current.staff()
    return staff.tenant_kind == "operator" and own_units("organisations.view") is None


def _trees(connection: Connection, roots: list[Node]) -> list[Tree]:
    share = max(NODES_MOST // len(roots), 1)
    level = min(LEVEL_MOST, share)
    skip = _skip() if len(roots) == 1 else 0
    units = own_units("organisations.view")
    return [
        read_tree(connection, root, units=units, most=share, level=level, each=EACH_MOST, skip=skip)
        for root in roots[:NODES_MOST]
    ]


def _size(tree: Tree) -> int:
    return 1 + sum(_size(each) for each in tree.below)


def _skip() -> int:
    return min(_asked("skip"), 1_000_000)


def _asked(name: str) -> int:
    """A number of the address; 0 when it is none."""
    asked = request.args.get(name, "")
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= 19 else 0
