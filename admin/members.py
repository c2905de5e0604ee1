"""Members: finding and listing them, and the page of one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast, get_args

from flask import Blueprint, Response, abort, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin import current, downloads
from admin.access import requires
from admin.language import gettext as _
from admin.language import language
from admin.member_words import (
    fault_words,
    field_name,
    identity_shown,
    keys,
    member_name,
    member_standing,
    phone_shown,
)
from ledger.database import Connection
from ledger.history import change_of
from ledger.member_details import (
    MemberDetails,
    MemberHold,
    Movement,
    Unit,
    enterprises,
    find_member,
    member_cards,
    member_holds,
    member_lots,
    member_movements,
    member_notes,
    units,
)
from ledger.member_search import MemberLine, Standing, find_members, list_members
from ledger.walks import NO_BOUND

__all__ = ["BIGGEST", "PAGE_ROWS", "asked_enterprise", "blueprint", "member_page", "own_units", "the_member"]

PAGE_ROWS = 50  # what a person looks through; the rest is one click away, or more is typed
FOUND_EXPORTED = 1_000
WORDS_MOST = 100
LOTS_MOST = 100
BIGGEST = 2**63 - 1

blueprint = Blueprint("members", __name__)
for word in (fault_words, field_name, identity_shown, member_name, member_standing, phone_shown):
    blueprint.add_app_template_filter(word)


@blueprint.app_template_filter("movement_change")
def movement_change(line: Movement) -> int:
    """What a transaction did to the member's points."""
    return change_of(line.kind, line.points, undoes=line.undoes)


@blueprint.app_template_filter("service_of")
def service_of(line: Movement | MemberHold) -> str | None:
    """The service's name in the page's language."""
    return (line.service_zh if language() == "zh" else None) or line.service


@blueprint.get("/members")
@requires("members.view")
def overview() -> ResponseReturnValue:
    """Members by what is typed, or the newest ones, page by page."""
    words, standing, before = _asked()
    error = _("Type at most %(max)d characters.", max=WORDS_MOST) if len(words) > WORDS_MOST else None
    with current.database().transaction(current.scope()) as connection:
        all_enterprises = _choice(connection)
        enterprise = asked_enterprise(all_enterprises)
        lines = [] if error else _lines(connection, words, enterprise, standing, before, PAGE_ROWS + 1)
    return render_template(
        "members/list.html",
        words=words,
        error=error,
        standing=standing,
        enterprise=enterprise,
        enterprises=all_enterprises,
        before=before,
        lines=lines[:PAGE_ROWS],
        more=len(lines) > PAGE_ROWS,
        most=PAGE_ROWS,
    )


@blueprint.get("/members/export/<fmt>")
@requires("members.view")
def export(fmt: str) -> ResponseReturnValue:
    """The list as a file; phones are masked, whoever asks."""
    words, standing, _before = _asked()
    with current.database().transaction(current.scope()) as connection:
        enterprise = asked_enterprise(_choice(connection))

    def page(connection: Connection, last: MemberLine | None) -> Sequence[MemberLine]:
        if not words:
            return list_members(
                connection,
                enterprise=enterprise,
                standing=standing,
                before=last.id if last else None,
                most=500,
            )
        return _lines(connection, words, enterprise, standing, None, FOUND_EXPORTED) if last is None else []

    head = [
        _("Member code"),
        _("Full name"),
        _("Phone"),
        _("Status"),
        _("Unit"),
        _("Enterprise"),
        _("Points"),
        _("Reserved"),
    ]
    rows = (
        [
            line.code, member_name(line.name), phone_shown(line.id, line.phone),
            member_standing(line.status, line.erased)[1], line.unit, line.enterprise, line.posted, line.held,
        ]
        for line in downloads.in_pages(page)
    )  # fmt: skip
    return downloads.answer(fmt, _("Members"), head, rows)


@blueprint.get(f"/members/<int(max={BIGGEST}):member>")
@requires("members.view")
def one(member: int) -> ResponseReturnValue:
    """One member: points, cards, consumption, holds, notes. Personal data is masked."""
    return member_page(member)


@blueprint.get(f"/members/<int(max={BIGGEST}):member>/personal")
@requires("members.personal")
def unmasked(member: int) -> ResponseReturnValue:
    """The same with phone and identity number in full; each look leaves a line in the trail."""
    found = the_member(member)
    with current.database().transaction(current.scope()) as connection:
        current.record(
            connection, "member.look", tenant=found.enterprise_id, kind="member", id=member,
            after={"fields": ["phone", "identity"]},
        )  # fmt: skip
    return member_page(member, clear=True)


@blueprint.get(f"/members/<int(max={BIGGEST}):member>/data")
@requires("members.personal")
def data(member: int) -> ResponseReturnValue:
    """All that the house knows of a person, as one JSON file, for the person to have."""
    found, sealed = the_member(member), keys()
    with current.database().transaction(current.scope()) as connection:
        told = {
            "member": found.code,
            "enterprise": found.enterprise,
            "unit": found.unit,
            "name": found.name,
            "phone": sealed.open_field(member, "phone", found.phone),
            "identity_number": sealed.open_field(member, "identity", found.identity),
            "plates": found.plates,
            "status": found.status,
            "since": _iso(found.created_at),
            "points": {"balance": found.posted, "reserved": found.held},
            "lots": [
                {
                    "kind": lot.kind, "granted": lot.granted, "remaining": lot.remaining,
                    "last_day": _iso(lot.expires_on),
                }
                for lot in member_lots(connection, found, most=10_000)
            ],
            "cards": [
                {"number": card.number, "status": card.status, "last_day": _iso(card.expires_on)}
                for card in member_cards(connection, found)
            ],
            "transactions": [
                {
                    "at": _iso(line.posted_at), "kind": line.kind, "code": line.code, "points": line.points,
                    "balance": line.balance, "merchant": line.merchant, "service": line.service,
                }
                for line in member_movements(connection, found, most=100_000)
            ],
            "notes": [
                {"at": _iso(note.written_at), "by": note.staff_name, "note": note.note}
                for note in member_notes(connection, sealed, found, most=10_000)
            ],
        }  # fmt: skip
        current.record(connection, "member.export", tenant=found.enterprise_id, kind="member", id=member)
    answer: Response = jsonify(told)
    answer.headers["Content-Disposition"] = f'attachment; filename="member-{member}.json"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def the_member(member: int) -> MemberDetails:
    """The member, or 404 with a line in the trail."""
    with current.database().transaction(current.scope()) as connection:
        found = find_member(connection, member)
    if found is None:
        current.missing("member", member)
    return found


def member_page(member: int, *, clear: bool = False, refused: str | None = None) -> str:
    """The page of a member. `clear`: personal data in full, which the caller has recorded."""
    with current.database().transaction(current.scope()) as connection:
        found = find_member(connection, member)
        if found is not None:
            lots = member_lots(connection, found, most=LOTS_MOST + 1)
            page = {
                "cards": member_cards(connection, found),
                "holds": member_holds(connection, found, most=50),
                "movements": member_movements(connection, found, most=10),
                "notes": member_notes(connection, keys(), found, most=50),
            }
    if found is None:
        current.missing("member", member)
    lost = sum(lot.lost for lot in lots)
    return render_template(
        "members/member.html",
        member=found,
        clear=clear,
        lots=lots[:LOTS_MOST],
        more_lots=len(lots) > LOTS_MOST,
        lost=lost,
        available=found.posted - found.held - lost,
        refused=refused,
        now=current.now(),
        **page,
    )


def asked_enterprise(choice: Sequence[Unit]) -> int | None:
    """Whose members are meant: one's own enterprise's, or, of the operator's staff, what they chose."""
    staff = current.staff()
    if staff.tenant_kind == "enterprise":
        current.chosen("enterprise", {staff.tenant_id})
        return staff.tenant_id
    return current.chosen("enterprise", {each.id for each in choice})


def own_units(connection: Connection, enterprise: int, permission: str) -> tuple[list[Unit], bool]:
    """The units that a person may put a member into, and whether the enterprise itself is one of them."""
    rights = current.staff().rights.units
    mine = rights.get(permission) if current.staff().tenant_kind == "enterprise" else None
    found = units(connection, enterprise)
    if mine is None:
        return found, True
    return [unit for unit in found if unit.id in mine], enterprise in mine


def choose_enterprise(page: str) -> ResponseReturnValue:
    """Ask the operator's staff for the enterprise, before `page` is shown."""
    with current.database().transaction(current.scope()) as connection:
        choice = enterprises(connection)
    if len(choice) == 1:
        return redirect(url_for(page, enterprise=choice[0].id), code=303)
    return render_template("members/choose.html", enterprises=choice, page=page)


def _choice(connection: Connection) -> list[Unit]:
    return enterprises(connection) if current.staff().tenant_kind == "operator" else []


def _lines(
    connection: Connection,
    words: str,
    enterprise: int | None,
    standing: Standing,
    before: int | None,
    most: int,
) -> list[MemberLine]:
    if not words:
        return list_members(connection, enterprise=enterprise, standing=standing, before=before, most=most)
    found = find_members(connection, words, keys(), enterprise=enterprise, most=most)
    return [line for line in found if standing in ("all", line.status)]


def _asked() -> tuple[str, Standing, int | None]:
    standing = request.args.get("status", "all")
    before = request.args.get("before", "")
    if standing not in get_args(Standing):
        abort(404)
    if before and not (
        before.isascii() and before.isdigit() and len(before) <= 19 and 0 < int(before) <= NO_BOUND
    ):
        abort(404)
    return request.args.get("q", "").strip(), cast("Standing", standing), int(before) if before else None


def _iso(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value.isoformat())
