"""New orders of points: for a list of members, a filter, a member who pays; and corrections."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import to_utc

from admin import current
from admin.access import requires
from admin.forms import OnceForm
from admin.language import gettext as _
from admin.language import points as points_text
from admin.money import parse_money
from admin.point_forms import AdjustForm, FilterForm, GrantForm, ListForm, TopUpForm, points_of
from admin.point_words import faults_words
from ledger.businessday import business_date
from ledger.database import Connection, Scope
from ledger.import_reading import LARGEST, Unreadable, examined, rows
from ledger.limits import products
from ledger.point_choices import enterprises, operator_id, units_of
from ledger.point_lines import LINES_MOST, Line, MemberFilter, Wanted, find_accounts, read_pasted, read_rows
from ledger.point_orders import (
    NewOrder,
    Nobody,
    TooMany,
    draft,
    draft_by_filter,
    unit_of,
)

__all__ = ["add_pages", "allow_files", "tenant_asked"]

ROOM_FOR_THE_FORM = 128 * 1024  # bytes around the file
ANY = 0  # of a filter's choices


def add_pages(blueprint: Blueprint) -> None:
    """The pages of this module."""
    for path, view in (
        ("/points/grant", grant), ("/points/grant/filter", by_filter), ("/points/topup", topup),
        ("/points/adjust", adjust),
    ):  # fmt: skip
        blueprint.add_url_rule(path, view.__name__, view, methods=["GET", "POST"])


def allow_files() -> None:
    """Before each request: only where a file is sent may it be as long as one."""
    if request.endpoint in {"points.grant", "points.adjust"}:
        request.max_content_length = LARGEST + ROOM_FOR_THE_FORM


def tenant_asked() -> int | ResponseReturnValue:
    """Whose points: a person's own tenant; for the operator's staff the one asked for, else a page asks."""
    staff = current.staff()
    if staff.tenant_kind != "operator":
        current.chosen("enterprise", {staff.tenant_id})
        return staff.tenant_id
    with current.database().transaction(current.scope()) as connection:
        known = enterprises(connection)
    asked = request.args.get("enterprise")
    if asked is None:
        if len(known) == 1:
            return known[0].id
        return render_template("points/enterprise.html", enterprises=known)
    if not (
        asked.isascii() and asked.isdigit() and len(asked) < 20 and int(asked) in {each.id for each in known}
    ):
        current.missing("organisation", asked[:40])
    return int(asked)


@requires("points.grant")
def grant() -> ResponseReturnValue:
    """Points for one member, or for a list."""
    tenant = tenant_asked()
    if not isinstance(tenant, int):
        return tenant
    form = GrantForm()
    _prepare(form, tenant)
    if request.method == "GET":
        form.codes.data = request.args.get("member", "")[:60]
    faults: list[str] = []
    if form.validate_on_submit() and _day_fits(form):
        lines, faults = _listed(form, tenant)
        if lines and not faults:
            return _make(form, _order(form, tenant, "grant", form.lot_kind.data), lines)
    return render_template("points/grant.html", form=form, faults=faults, tenant=tenant)


@requires("points.adjust")
def adjust() -> ResponseReturnValue:
    """Points more or fewer: a correction."""
    tenant = tenant_asked()
    if not isinstance(tenant, int):
        return tenant
    form = AdjustForm()
    _prepare(form, tenant)
    if request.method == "GET":
        form.codes.data = request.args.get("member", "")[:60]
    faults: list[str] = []
    if form.validate_on_submit() and _day_fits(form):
        takes = form.direction.data == "take"
        if takes and form.expires_on.data is not None:
            form.expires_on.errors = [_("Points that are taken back have no last day.")]
        else:
            lines, faults = _listed(form, tenant)
            if lines and not faults:
                return _make(form, _order(form, tenant, "adjust", None if takes else "granted"), lines)
    return render_template("points/adjust.html", form=form, faults=faults, tenant=tenant)


@requires("points.grant")
def by_filter() -> ResponseReturnValue:
    """Points for all members of a unit, with a card of a product, or who joined at a time."""
    tenant = tenant_asked()
    if not isinstance(tenant, int):
        return tenant
    form = FilterForm()
    _prepare(form, tenant)
    with current.database().transaction(current.scope()) as connection:
        units, kinds = units_of(connection, tenant, current.scope().units), products(connection, tenant)
    form.unit.choices = [(ANY, _("All")), *((unit.id, unit.name) for unit in units)]
    form.product.choices = [(ANY, _("All")), *((kind.id, kind.name) for kind in kinds)]
    if form.validate_on_submit() and _day_fits(form):
        which = MemberFilter(
            unit=form.unit.data or None,
            product=form.product.data or None,
            joined_since=form.joined_since.data,
            joined_until=form.joined_until.data,
        )
        answer = _make_filtered(form, tenant, which)
        if answer is not None:
            return answer
    return render_template("points/filter.html", form=form, tenant=tenant)


@requires("points.topup")
def topup() -> ResponseReturnValue:
    """Points that a member pays for, at the counter or by bank transfer."""
    tenant = tenant_asked()
    if not isinstance(tenant, int):
        return tenant
    form = TopUpForm()
    if request.method == "GET":
        form.fresh()
        form.code.data = request.args.get("member", "")[:60]
    if form.validate_on_submit():
        wanted = [Wanted(1, form.code.data, points_of(form.points) or 0)]
        with current.database().transaction(current.scope()) as connection:
            lines, faults = find_accounts(connection, tenant, wanted)
        if not faults:
            return _make(form, _paid_order(form, tenant), lines)
        closed = faults[0].why == "closed"
        form.code.errors = [
            _("This member's account is closed.") if closed else _("No member has this code.")
        ]
    return render_template("points/topup.html", form=form, tenant=tenant)


# ---- what the forms say -------------------------------------------------------------------------


def _prepare(form: GrantForm | AdjustForm | FilterForm, tenant: int) -> None:
    """The mark, and who may fund: the operator's staff choose between the enterprise and the operator."""
    if request.method == "GET":
        form.fresh()
    if current.staff().tenant_kind == "operator":
        form.funder.choices = [
            (tenant, _("The enterprise")), (current.staff().tenant_id, _("The operator"))
        ]  # fmt: skip
    else:
        del form.funder


def _day_fits(form: Any) -> bool:
    """Whether points with this last day can be spent at all."""
    last: date | None = form.expires_on.data
    if last is None:
        return True
    with current.database().transaction(current.scope()) as connection:
        today = business_date(connection)
    if today is None or last >= today:
        return True
    form.expires_on.errors = [_("Give a day that is still to come: the points would expire at once.")]
    return False


def _listed(form: ListForm, tenant: int) -> tuple[list[Line], list[str]]:
    """The accounts of a form's list, and what is wrong with it, in words."""
    each = points_of(form.points)
    if form.file.data:
        if (form.codes.data or "").strip():
            form.file.errors = [_("Either type codes or choose a file, not both.")]
            return [], []
        read = _rows_of(form)
        if read is None:
            return [], []
        wanted, faults = read_rows(read, each)
    else:
        wanted, faults = read_pasted(form.codes.data or "", each)
    if len(wanted) > LINES_MOST:
        form.codes.errors = [_too_many()]
        return [], []
    with current.database().transaction(current.scope()) as connection:
        lines, unknown = find_accounts(connection, tenant, wanted)
    faults += unknown
    if not lines and not faults:
        form.codes.errors = [_("Type at least one member's code.")]
        return [], []
    if faults and not (form.leave_out.data and lines):
        where = form.file if form.file.data else form.codes
        said = (
            _("Not all lines can be used: see below. Correct them, or leave them out.")
            if lines
            else _("None of the lines can be used: see below.")
        )
        if form.file.data:
            said += " " + _("Choose the file again.")
        where.errors = [said]
        return [], faults_words(faults)
    return lines, []


def _rows_of(form: ListForm) -> list[tuple[int, list[str]]] | None:
    """The lines of the file; None when it is none of ours, which its field then says."""
    content = form.file.data.read(LARGEST + 1)
    if len(content) > LARGEST:
        form.file.errors = [_("The file is larger than 20 MB. Split it.")]
        return None
    try:
        return list(rows(content, examined(content)))
    except Unreadable as fault:
        form.file.errors = [
            _too_many()
            if fault.word == "too_many"
            else _("This file cannot be read. Save it as CSV or XLSX, and send it again.")
        ]
        return None


def _order(form: Any, tenant: int, kind: str, lot_kind: str | None) -> NewOrder:
    staff = current.staff()
    return NewOrder(
        tenant=tenant,
        unit=unit_of(tenant, current.scope().units),
        kind=kind,
        reason=form.reason.data,
        funder=form.funder.data if "funder" in form and lot_kind is not None else tenant,
        staff=staff.id,
        staff_name=staff.name,
        lot_kind=lot_kind,
        expires_on=form.expires_on.data,
    )


def _paid_order(form: TopUpForm, tenant: int) -> NewOrder:
    """Who got the money funds the points: the operator, or whose counter it was."""
    staff = current.staff()
    funder = staff.tenant_id
    if form.payment.data == "transfer":
        with current.database().transaction(Scope.everything()) as connection:
            funder = operator_id(connection)
    return NewOrder(
        tenant=tenant,
        unit=unit_of(tenant, current.scope().units),
        kind="topup",
        reason="Top-up",
        funder=funder,
        staff=staff.id,
        staff_name=staff.name,
        lot_kind="purchased",
        paid_minor=parse_money(form.paid.data, form.currency.data),
        currency=form.currency.data,
        payment=form.payment.data,
        reference=form.reference.data or None,
    )


# ---- making them --------------------------------------------------------------------------------


def _make(form: OnceForm, order: NewOrder, lines: list[Line]) -> ResponseReturnValue:
    with current.database().transaction(current.scope()) as connection:
        if not form.claim(connection, order.tenant):
            return _sent_before()
        made = draft(connection, order, lines, current.now())
        _record(connection, order, made, len(lines), sum(line.points for line in lines))
    return redirect(url_for("points.order", order=made), code=303)


def _make_filtered(form: FilterForm, tenant: int, which: MemberFilter) -> ResponseReturnValue | None:
    """The order's page; None when the form is shown again, with what is wrong beside the field."""
    order, each = _order(form, tenant, "grant", form.lot_kind.data), points_of(form.points)
    assert each is not None
    since = _begin_of(which.joined_since)
    until = _begin_of(which.joined_until + timedelta(days=1)) if which.joined_until else None
    try:
        with current.database().transaction(current.scope()) as connection:
            if not form.claim(connection, tenant):
                return _sent_before()
            made = draft_by_filter(connection, order, which, each, current.now(), since=since, until=until)
            _record(connection, order, made, None, None)
    except Nobody:
        form.unit.errors = [_("No member is like this.")]
        return None
    except TooMany:
        form.unit.errors = [_too_many()]
        return None
    return redirect(url_for("points.order", order=made), code=303)


def _begin_of(day: date | None) -> datetime | None:
    """When a day begins by the operator's clock."""
    if day is None:
        return None
    begins: datetime = to_utc(datetime(day.year, day.month, day.day))  # noqa: DTZ001 - in that zone
    return begins.replace(tzinfo=UTC)


def _record(
    connection: Connection, order: NewOrder, made: int, members: int | None, points: int | None
) -> None:
    told = {
        "kind": order.kind, "lot_kind": order.lot_kind, "members": members, "points": points,
        "funder": order.funder, "expires_on": None if order.expires_on is None else str(order.expires_on),
        "paid_minor": order.paid_minor, "currency": order.currency,
    }  # fmt: skip
    current.record(
        connection, "point_order.create", tenant=order.tenant, kind="point_order", id=made,
        after={name: value for name, value in told.items() if value is not None}, reason=order.reason,
    )  # fmt: skip


def _sent_before() -> ResponseReturnValue:
    flash(_("This form was sent before: its order exists, and nothing was made twice."), "wait")
    return redirect(url_for("points.orders"), code=303)


def _too_many() -> str:
    most = points_text(LINES_MOST)
    return _("That is more than %(most)s members. Order for fewer at once.", most=most)
