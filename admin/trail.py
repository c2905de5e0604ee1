"""The audit trail: searching it, one line with before and after, the list as a file, and whether it holds."""

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin import current, downloads
from admin.access import requires
from admin.language import gettext as _
from admin.trail_words import deed_word, field_word, noun_word, value_words
from ledger.database import Connection, Scope
from ledger.organisation_tree import Node, find_node, tenant_list
from ledger.trail import broken, head
from ledger.trail_lists import Sought, TrailLine, deeds, find_line, subject_kinds, trail_lines

__all__ = ["PAGE_LINES", "PART_LINES", "blueprint"]

PAGE_LINES = 50
PART_LINES = 10_000  # lines that one click follows: some 100 ms
TENANTS_MOST = 200
EXPORT_PAGE = 2_000
WORDS_MOST = 100
BIGGEST = 2**63 - 1  # of the database's ids

blueprint = Blueprint("trail", __name__)
for word in (deed_word, field_word, noun_word, value_words):
    blueprint.add_app_template_filter(word)


@blueprint.get("/trail")
@requires("trail.view")
def overview() -> ResponseReturnValue:
    """The newest lines that fit what the address asks for; with `before`, older ones."""
    asked, errors = _asked()
    tenant, before = _tenant(), _number("before") or None
    with current.database().transaction(current.scope()) as connection:
        lines = (
            [] if errors else trail_lines(connection, tenant.id, asked, before=before, most=PAGE_LINES + 1)
        )
        done, kinds = deeds(connection, tenant.id), subject_kinds(connection, tenant.id)
        tenants = tenant_list(connection, most=TENANTS_MOST) if _of_operator() else []
    return render_template(
        "trail/list.html",
        lines=lines[:PAGE_LINES],
        older=len(lines) > PAGE_LINES,
        before=before,
        asked=_given(),
        errors=errors,
        tenant=tenant,
        tenants=tenants if tenant in tenants else [*tenants, tenant],
        deeds=sorted(((each, deed_word(each)) for each in done), key=lambda pair: pair[1]),
        kinds=sorted(((each, noun_word(each)) for each in kinds), key=lambda pair: pair[1]),
        address_of=_address_of,
    )


@blueprint.get(f"/trail/<int(max={BIGGEST}):number>")
@requires("trail.view")
def line(number: int) -> ResponseReturnValue:
    """One line: before and after, side by side."""
    tenant = _tenant()
    with current.database().transaction(current.scope()) as connection:
        found = find_line(connection, tenant.id, number)
    if found is None:
        current.missing("trail", number)
    return render_template("trail/line.html", line=found, tenant=tenant, address_of=_address_of)


@blueprint.get("/trail/verify")
@requires("trail.view")
def verify() -> ResponseReturnValue:
    """Follow the chain, some thousand lines a click: every line is hashed again, from the first on."""
    tenant, after = _tenant(), _number("after")
    # Whether the chain holds tells nothing of its lines, so a reach over some units sees it followed too.
    scope = Scope.everything() if _of_operator() else Scope.tenant(tenant.id)
    with current.database().transaction(scope) as connection:
        end = head(connection, tenant.id)
        after = min(after, end.number)
        fault = broken(connection, tenant.id, after=after, most=PART_LINES)
    return render_template(
        "trail/verify.html",
        tenant=tenant,
        fault=fault,
        fault_words=None if fault is None else _fault_words(fault.fault),
        end=end,
        first=after + 1,
        last=min(after + PART_LINES, end.number),
        address_of=_address_of,
    )


@blueprint.get("/trail/export.<fmt>")
@requires("trail.view")
def export(fmt: str) -> ResponseReturnValue:
    """The lines that the address asks for, as CSV or XLSX."""
    asked, errors = _asked()
    tenant = _tenant()
    if errors:
        return overview()

    def page(connection: Connection, last: TrailLine | None) -> list[TrailLine]:
        before = None if last is None else last.number
        return trail_lines(connection, tenant.id, asked, before=before, most=EXPORT_PAGE)

    head_line = [
        _("Line"), _("Time"), _("Who"), _("Staff no."), _("Address"), _("What"), _("Subject"),
        _("Subject no."), _("Before"), _("After"), _("Reason"), _("Hash"),
    ]  # fmt: skip
    rows = (
        (
            each.number, each.happened_at, each.staff_name, each.staff_id, each.address, each.what,
            each.subject_kind, each.subject_id, each.before, each.after, each.reason, each.hash.hex(),
        )
        for each in downloads.in_pages(page)
    )  # fmt: skip
    return downloads.answer(fmt, _("audit-trail-%(tenant)s", tenant=tenant.code), head_line, rows)


def _fault_words(fault: str) -> str:
    words = {
        "the line is missing": _("the line is missing"),
        "the line was changed": _("the line was changed"),
        "lines at the end are missing": _("lines at the end are missing"),
        "the line stands after the end of the trail": _("the line stands after the end of the trail"),
        "the line is not the one that the trail ended with": _(
            "the line is not the one that the trail ended with"
        ),
    }
    return words.get(fault, fault)


def _of_operator() -> bool:
    staff = current.staff()
    return staff.tenant_kind == "operator" and staff.rights.units.get("trail.view", frozenset()) is None


def _tenant() -> Node:
    """Whose trail is asked for: one's own, or, by the operator, anybody's."""
    own = current.staff().tenant_id
    asked = _number("tenant") or own
    with current.database().transaction(current.scope()) as connection:
        found = find_node(connection, asked) if asked == own or _of_operator() else None
    if found is None or not found.top:
        current.missing("organisation", asked)
    return found


FILTERS = ("tenant", "who", "what", "kind", "id", "from", "to", "address")


def _given() -> dict[str, str]:
    return {
        name: request.args.get(name, "").replace("\0", "").strip()[:WORDS_MOST]
        for name in FILTERS
        if request.args.get(name, "").strip()
    }


def _asked() -> tuple[Sought, dict[str, str]]:
    """What the address asks for, and by field what cannot be understood."""
    given, errors = _given(), {}
    days: dict[str, date | None] = {"from": None, "to": None}
    for name in days:
        if given.get(name):
            try:
                days[name] = date.fromisoformat(given[name])
            except ValueError:
                errors[name] = _("Give a day such as 2026-11-22.")
    first, last = days["from"], days["to"]
    if first and last and last < first:
        errors["to"] = _("The last day is before the first.")
    sought = Sought(
        who=given.get("who", ""),
        what=given.get("what", ""),
        subject_kind=given.get("kind", ""),
        subject_id=given.get("id", ""),
        since=None if first is None else _midnight(first),
        until=None if last is None or last == date.max else _midnight(last + timedelta(days=1)),
        address=given.get("address", ""),
    )
    return sought, errors


def _midnight(day: date) -> datetime:
    """When a day begins by the operator's calendar."""
    return datetime.combine(day, time(), ZoneInfo(current.settings().time_zone))


def _number(name: str) -> int:
    """A number of the address; 0 when it is none."""
    asked = request.args.get(name, "")
    found = int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= 19 else 0
    return found if found <= BIGGEST else 0


def _address_of(endpoint: str, tenant: Node, **values: Any) -> str:
    """The address of a page of this room for a tenant's trail, with what is asked for."""
    own = tenant.id == current.staff().tenant_id
    assert endpoint in current_app.view_functions
    return url_for(endpoint, **({} if own else {"tenant": tenant.id}) | values)
