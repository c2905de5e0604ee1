"""The budget page: how many points an enterprise may fund, and from where on a second person approves."""

from typing import NoReturn

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin import current
from admin.access import requires
from admin.language import gettext as _
from admin.language import points as points_text
from admin.point_forms import BudgetForm, LimitForm, NewBudgetForm, points_of
from admin.point_new import tenant_asked
from ledger.budgets import (
    Budget,
    BudgetRefused,
    approval_points,
    budgets,
    change_budget,
    create_budget,
    lock_budget,
    set_approval_points,
)
from ledger.businessday import business_date

__all__ = ["add_pages"]

BIGGEST = 2**63 - 1


def add_pages(blueprint: Blueprint) -> None:
    """The pages of this module."""
    blueprint.add_url_rule("/points/budget", "budget", overview)
    both = ["GET", "POST"]
    blueprint.add_url_rule("/points/budget/new", "new_budget", new, methods=both)
    blueprint.add_url_rule("/points/budget/limit", "limit", limit, methods=both)
    blueprint.add_url_rule(
        f"/points/budget/<int(max={BIGGEST}):budget>", "change_budget", change, methods=both
    )


@requires("points.view")
def overview() -> ResponseReturnValue:
    """The budgets, what is left of them, and the limit of approval."""
    tenant = tenant_asked()
    if not isinstance(tenant, int):
        return tenant
    with current.database().transaction(current.scope()) as connection:
        found = budgets(connection, tenant)
        most = approval_points(connection, tenant)
        today = business_date(connection)
    return render_template("points/budget.html", budgets=found, limit=most, today=today, tenant=tenant)


@requires("points.budget", whole=True)
def new() -> ResponseReturnValue:
    """A budget for good, or for a time."""
    tenant = tenant_asked()
    if not isinstance(tenant, int):
        return tenant
    form = NewBudgetForm()
    if request.method == "GET":
        form.fresh()
    if form.validate_on_submit():
        since, last = form.since.data, form.last.data
        if since is not None and last is not None and last < since:
            form.last.errors = [_("The last day is not before the first.")]
        elif _create(form, tenant):
            return _back(tenant)
    return render_template("points/budget_new.html", form=form, tenant=tenant)


@requires("points.budget", whole=True)
def change(budget: int) -> ResponseReturnValue:
    """Another number of points for a budget."""
    tenant = tenant_asked()
    if not isinstance(tenant, int):
        return tenant
    found = _budget(tenant, budget)
    form = BudgetForm()
    if request.method == "GET":
        form.mark.data, form.points.data = str(found.points), str(found.points)
    if form.validate_on_submit():
        points = points_of(form.points)
        assert points is not None
        try:
            with current.database().transaction(current.scope()) as connection:
                locked = lock_budget(connection, tenant, budget)
                if locked is None:
                    _gone(budget)
                if form.mark.data != str(locked.points):
                    flash(_("Somebody has just changed this budget. Nothing was changed now."), "wait")
                    return _back(tenant)
                change_budget(connection, locked, points)
                current.record(
                    connection, "budget.change", tenant=tenant, kind="budget", id=budget,
                    before={"points": locked.points}, after={"points": points},
                )  # fmt: skip
        except BudgetRefused as error:
            used = points_text(error.used)
            form.points.errors = [_("%(used)s points are granted already: it cannot be less.", used=used)]
        else:
            flash(_("The budget is changed."))
            return _back(tenant)
    return render_template("points/budget_change.html", form=form, budget=found, tenant=tenant)


@requires("points.budget", whole=True)
def limit() -> ResponseReturnValue:
    """Above how many points a second person approves."""
    tenant = tenant_asked()
    if not isinstance(tenant, int):
        return tenant
    with current.database().transaction(current.scope()) as connection:
        before = approval_points(connection, tenant)
    form = LimitForm()
    if request.method == "GET":
        form.mark.data, form.limit.data = str(before), str(before)
    if form.validate_on_submit():
        points = points_of(form.limit) or 0  # the form took it, so what is no number from 1 on is 0
        with current.database().transaction(current.scope()) as connection:
            before = approval_points(connection, tenant, lock=True)
            if form.mark.data != str(before):
                flash(_("Somebody has just changed this limit. Nothing was changed now."), "wait")
                return _back(tenant)
            set_approval_points(connection, tenant, points)
            current.record(
                connection, "approval_terms.change", tenant=tenant, kind="approval_terms", id=tenant,
                before={"points": before}, after={"points": points},
            )  # fmt: skip
        flash(_("The limit is changed."))
        return _back(tenant)
    return render_template("points/limit.html", form=form, tenant=tenant)


def _create(form: NewBudgetForm, tenant: int) -> bool:
    """Whether the budget is there, made now or by an earlier click; else its form says why not."""
    points = points_of(form.points)
    assert points is not None
    try:
        with current.database().transaction(current.scope()) as connection:
            if not form.claim(connection, tenant):
                flash(_("This form was sent before: its budget exists, and nothing was made twice."), "wait")
                return True
            made = create_budget(
                connection, enterprise=tenant, since=form.since.data, last=form.last.data, points=points
            )
            told = {"points": points, "since": _day(form.since.data), "last": _day(form.last.data)}
            current.record(connection, "budget.create", tenant=tenant, kind="budget", id=made, after=told)
    except BudgetRefused:
        form.since.errors = [_("Another budget covers some of these days.")]
        return False
    flash(_("The budget is set."))
    return True


def _day(day: object) -> str | None:
    return None if day is None else str(day)


def _budget(tenant: int, budget: int) -> Budget:
    with current.database().transaction(current.scope()) as connection:
        found = {each.id: each for each in budgets(connection, tenant)}
    if budget not in found:
        _gone(budget)
    return found[budget]


def _gone(budget: int) -> NoReturn:
    current.missing("budget", budget)


def _back(tenant: int) -> ResponseReturnValue:
    own = current.staff().tenant_kind != "operator"
    return redirect(url_for("points.budget", enterprise=None if own else tenant), code=303)
