"""Orders of points: their list, what waits, one with its lines, and the decisions about it."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin import current
from admin.access import requires
from admin.forms import MarkedForm
from admin.language import gettext as _
from admin.point_forms import NoteForm
from admin.point_words import refused_words, states
from ledger import point_steps
from ledger.budgets import approval_points, budgets
from ledger.businessday import business_date
from ledger.database import Connection, Scope
from ledger.jobs import read_job
from ledger.point_orders import PointOrder, count_by_state, list_orders, order_lines, reaches, read_order
from ledger.point_steps import Refused

__all__ = ["LINES_SHOWN", "LISTED_MOST", "add_pages"]

LISTED_MOST = 50
LINES_SHOWN = 100
BIGGEST = 2**63 - 1  # of the database's ids
ORDER = f"/points/orders/<int(max={BIGGEST}):order>"

MAKES = {"grant": "points.grant", "topup": "points.topup", "adjust": "points.adjust"}


def add_pages(blueprint: Blueprint) -> None:
    """The pages of this module."""
    blueprint.add_url_rule("/points/orders", "orders", orders)
    blueprint.add_url_rule("/points/waiting", "waiting", waiting)
    blueprint.add_url_rule(ORDER, "order", one)
    for step, view in (
        ("confirm", confirm), ("withdraw", withdraw), ("approve", approve), ("refuse", refuse),
        ("arrived", arrived), ("missing", not_arrived), ("resume", resume),
    ):  # fmt: skip
        blueprint.add_url_rule(f"{ORDER}/{step}", view.__name__, view, methods=["GET", "POST"])


@requires("points.view")
def orders() -> ResponseReturnValue:
    """The newest orders, by state."""
    state = request.args.get("state", "all")
    if state not in states():
        abort(404)
    return _list(None if state == "all" else state, "points.orders")


@requires("points.view")
def waiting() -> ResponseReturnValue:
    """The orders that wait for a second person, or for a payment."""
    return _list("waiting", "points.waiting")


@requires("points.view")
def one(order: int) -> ResponseReturnValue:
    """An order: what it is, what can be done, and its lines with their outcomes."""
    return _page(order)


@requires("points.view")
def confirm(order: int) -> ResponseReturnValue:
    """Its maker has looked at the draft and means it."""
    found = _made_by_me(order)
    form = MarkedForm()
    if not form.validate_on_submit():
        return redirect(url_for("points.order", order=order), code=303)
    return _take(
        found, "confirm", lambda c: point_steps.confirm(c, order, by=current.actor(), now=current.now())
    )


@requires("points.view")
def withdraw(order: int) -> ResponseReturnValue:
    """Its maker takes it back."""
    found = _made_by_me(order)
    if found.state not in {"draft", "waiting"}:
        return _page(order, refused_words(Refused("changed"))), 409
    form = MarkedForm()
    if not form.validate_on_submit():
        return _ask(found, "withdraw", form)
    return _take(
        found, "withdraw", lambda c: point_steps.withdraw(c, order, by=current.actor(), now=current.now())
    )


@requires("points.approve")
def approve(order: int) -> ResponseReturnValue:
    """A second person says yes."""
    return _decide(order, "approve", "approval")


@requires("points.approve")
def refuse(order: int) -> ResponseReturnValue:
    """A second person says no."""
    return _decide(order, "refuse", "approval")


@requires("points.confirm")
def arrived(order: int) -> ResponseReturnValue:
    """The operator says that the payment has arrived."""
    return _decide(order, "arrived", "payment")


@requires("points.confirm")
def not_arrived(order: int) -> ResponseReturnValue:
    """The operator says that no payment will."""
    return _decide(order, "not_arrived", "payment")


@requires("points.grant")
def resume(order: int) -> ResponseReturnValue:
    """Go on with an order whose work broke off."""
    found = _found(order)
    form = MarkedForm()
    if not form.validate_on_submit():
        return redirect(url_for("points.order", order=order), code=303)
    return _take(
        found, "resume", lambda c: point_steps.resume(c, order, by=current.actor(), now=current.now())
    )


# ---- steps --------------------------------------------------------------------------------------


def _found(order: int) -> PointOrder:
    """The order, as far as the person's scope shows it; a draft only to its maker."""
    with current.database().transaction(current.scope()) as connection:
        found = read_order(connection, order)
    if found is None or (found.state == "draft" and found.staff_id != current.staff().id):
        current.missing("point_order", order)
    return found


def _made_by_me(order: int) -> PointOrder:
    """The order, made by the person who asks, who may still make such."""
    found = _found(order)
    if found.staff_id != current.staff().id or MAKES[found.kind] not in current.staff().rights:
        abort(403)
    return found


def _decide(order: int, step: str, needs: str) -> ResponseReturnValue:
    """Ask for a word on it; and decide."""
    found = _found(order)
    if found.state != "waiting" or found.needs != needs:
        return _page(order, refused_words(Refused("changed"))), 409
    if found.staff_id == current.staff().id:
        return _page(order, refused_words(Refused("own"))), 409
    form = NoteForm()
    valid = form.validate_on_submit()
    if valid and step in {"refuse", "not_arrived"} and not form.note.data:
        form.note.errors = [_("Say why: who made the order reads it.")]
        valid = False
    if not valid:
        return _ask(found, step, form)
    yes = step in {"approve", "arrived"}
    note, funder, units = form.note.data or None, _funder(), current.scope().units

    def act(connection: Connection) -> PointOrder | Refused:
        by, now = current.actor(), current.now()
        if yes:
            return point_steps.approve(
                connection, order, needs, by=by, now=now, note=note, funder=funder, units=units
            )
        return point_steps.refuse(
            connection, order, needs, by=by, now=now, note=note or "", funder=funder, units=units
        )

    return _take(found, step, act, note=note)


def _reached(order: PointOrder) -> bool:
    """Whether the person's right to approve reaches the units of all its members."""
    units = current.staff().scope("points.approve").units
    with current.database().transaction(Scope.tenant(order.tenant_id)) as connection:
        return reaches(connection, order.id, units)


def _funder() -> int | None:
    """An enterprise's staff decide about its own points only."""
    staff = current.staff()
    return None if staff.tenant_kind == "operator" else staff.tenant_id


def _ask(found: PointOrder, step: str, form: MarkedForm) -> str:
    form.mark.data = found.state
    return render_template("points/step.html", order=found, step=step, words=_step_words(step), form=form)


def _step_words(step: str) -> dict[str, str]:
    """What a step is called, what it means, and what is said when it is done."""
    words: dict[str, tuple[str, str, str]] = {
        "withdraw": (
            _("Withdraw"),
            _("The order is taken back: nothing of it is ever done."),
            _("The order is withdrawn."),
        ),
        "approve": (
            _("Approve"),
            _("You are the second person: the points move as soon as you say yes."),
            _("The order is approved."),
        ),
        "refuse": (_("Refuse"), _("Nothing of the order is ever done."), _("The order is refused.")),
        "arrived": (
            _("The payment has arrived"),
            _("You have seen the money on the operator's account: the member gets the points at once."),
            _("The payment is confirmed."),
        ),
        "not_arrived": (
            _("No payment arrived"),
            _("The member gets no points for this transfer. If the money comes later, order anew."),
            _("The order is refused."),
        ),
        "confirm": (_("Confirm"), "", _("The order is confirmed.")),
        "resume": (_("Go on"), "", _("The work goes on.")),
    }
    do, means, done = words[step]
    return {"do": do, "means": means, "done": done}


def _take(
    seen: PointOrder, step: str, act: Callable[[Connection], PointOrder | Refused], *, note: str | None = None
) -> ResponseReturnValue:
    """Take a step in a transaction that sees all of the enterprise: lines may be of others' units.

    Whether the person may, was asked before, within their own scope.
    """
    with current.database().transaction(Scope.tenant(seen.tenant_id)) as connection:
        result = act(connection)
        if not isinstance(result, Refused):
            current.record(
                connection, f"point_order.{step}", tenant=seen.tenant_id, kind="point_order", id=seen.id,
                before={"state": seen.state}, after=_told(result), reason=note,
            )  # fmt: skip
    if isinstance(result, Refused):
        return _page(seen.id, refused_words(result)), 409
    current_app.logger.warning(
        "staff %d: %s of point order %d, now %s", current.staff().id, step, seen.id, result.state
    )
    if result.state == "waiting":
        flash(
            _("The order waits until the operator confirms that the payment has arrived.")
            if result.needs == "payment"
            else _("The order waits for a second person."),
            "wait",
        )
    else:
        flash(_step_words(step)["done"])
    return redirect(url_for("points.order", order=seen.id), code=303)


def _told(order: PointOrder) -> dict[str, Any]:
    told: dict[str, Any] = {"state": order.state, "points": order.points, "members": order.members}
    if order.budget_id is not None:
        told |= {"budget": order.budget_id, "budget_points": order.budget_points}
    return told


# ---- pages --------------------------------------------------------------------------------------


def _list(state: str | None, endpoint: str) -> ResponseReturnValue:
    before = request.args.get("before", default=BIGGEST, type=int)
    if not 0 < before <= BIGGEST:
        abort(404)
    staff = current.staff()
    with current.database().transaction(current.scope()) as connection:
        found = list_orders(connection, staff=staff.id, state=state, before=before, most=LISTED_MOST + 1)
        counts = count_by_state(connection, staff.id)
    return render_template(
        "points/orders.html",
        orders=found[:LISTED_MOST],
        older=len(found) > LISTED_MOST,
        state=state or "all",
        endpoint=endpoint,
        names=states(),
        counts=counts,
        now=current.now(),
    )


def _page(order: int, refused: str | None = None) -> str:
    found = _found(order)
    after = min(max(request.args.get("after", default=0, type=int), 0), BIGGEST)
    only_refused = request.args.get("lines") == "refused"
    with current.database().transaction(current.scope()) as connection:
        lines = order_lines(connection, order, after=after, refused=only_refused, most=LINES_SHOWN + 1)
        job = None if found.job_id is None else read_job(connection, found.job_id)
        limit = approval_points(connection, found.tenant_id)
        left = _left(connection, found)
    form = MarkedForm(formdata=None)
    form.mark.data = found.state
    return render_template(
        "points/order.html",
        order=found,
        lines=lines[:LINES_SHOWN],
        more=len(lines) > LINES_SHOWN,
        after=after,
        only_refused=only_refused,
        job=job,
        limit=limit,
        left=left,
        form=form,
        may=_may(found),
        refused=refused,
    )


def _left(connection: Connection, order: PointOrder) -> int | None:
    """What is left of the budget that a draft would take its points from; None without one."""
    if order.state not in {"draft", "waiting"} or order.funder_id != order.tenant_id:
        return None
    if order.lot_kind not in {"granted", "promotional"}:
        return None
    today = business_date(connection)
    for budget in budgets(connection, order.tenant_id):
        if (
            today is not None
            and (budget.since is None or budget.since <= today)
            and (budget.last is None or budget.last >= today)
        ):
            return budget.left
    return None


def _may(order: PointOrder) -> set[str]:
    """The steps that the person may take now."""
    staff = current.staff()
    own = order.staff_id == staff.id
    may: set[str] = set()
    if own and MAKES[order.kind] in staff.rights:
        may |= {"draft": {"confirm", "withdraw"}, "waiting": {"withdraw"}}.get(order.state, set())
    if order.state == "waiting" and not own:
        funded = _funder() in {None, order.funder_id}
        if order.needs == "approval" and "points.approve" in staff.rights and funded and _reached(order):
            may |= {"approve", "refuse"}
        if order.needs == "payment" and "points.confirm" in staff.rights:
            may |= {"arrived", "not_arrived"}
    if order.state == "approved" and "points.grant" in staff.rights:
        may.add("resume")
    return may
