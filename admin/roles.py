"""Roles: the ready-made ones, and those that a tenant composes of permissions."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin import current
from admin.access import requires
from admin.forms import OnceForm
from admin.language import gettext as _
from admin.permission_words import grouped_permissions, role_words, sentences
from admin.staff import chosen_tenant, giver
from admin.staff_forms import RoleForm, mark_of
from ledger.administration import Beyond, Changed, LastAdministrator
from ledger.permissions import READY_MADE
from ledger.roles import (
    NameTaken,
    RoleLine,
    RoleUsed,
    change_role,
    create_role,
    delete_role,
    find_role,
    roles_of,
)
from ledger.staff_lists import Tenant

__all__ = ["blueprint"]

BIGGEST = 2**63 - 1  # of the database's ids

blueprint = Blueprint("staff_roles", __name__)


@blueprint.get("/roles")
@requires("staff.view")
def overview() -> ResponseReturnValue:
    """The tenant's own roles and the ready-made ones, each with what it permits."""
    tenant = chosen_tenant()
    with current.database().transaction(current.scope()) as connection:
        own = roles_of(connection, tenant.id)
    ready = [
        (role_words(code), sentences(permissions, tenant.kind))
        for code, permissions in READY_MADE[tenant.kind].items()
    ]
    return render_template(
        "roles/list.html",
        own=[(role, sentences(role.permissions, tenant.kind)) for role in own],
        ready=ready,
        tenant=tenant,
    )


@blueprint.route("/roles/new", methods=["GET", "POST"])
@requires("roles.change")
def new() -> ResponseReturnValue:
    """Compose a role."""
    tenant, form = chosen_tenant(), RoleForm()
    _offer(form, tenant)
    form.fresh()
    if not form.validate_on_submit():
        return _form_page(form, tenant, None)
    try:
        with current.database().transaction(current.scope()) as connection:
            if not form.claim(connection, tenant.id):
                flash(_("This form was sent before. Nothing was made twice."), "wait")
                return redirect(url_for("staff_roles.overview", tenant=tenant.id), code=303)
            made = create_role(
                connection, giver(), tenant.id, tenant.kind, name=form.name.data,
                permissions=form.permissions.data,
            )  # fmt: skip
            current.record(
                connection, "role.create", tenant=tenant.id, kind="role", id=made,
                after={"name": form.name.data, "permissions": sorted(form.permissions.data)},
            )  # fmt: skip
    except NameTaken:
        form.name.errors = [_("There is a role of this name. Choose another.")]
    except Beyond:
        form.permissions.errors = [_beyond()]
    else:
        flash(_("The role is made. Give it to staff on their pages."))
        return redirect(url_for("staff_roles.overview", tenant=tenant.id), code=303)
    return _form_page(form, tenant, None)


@blueprint.route(f"/roles/<int(max={BIGGEST}):role>", methods=["GET", "POST"])
@requires("roles.change")
def one(role: int) -> ResponseReturnValue:
    """Change a role, and with it what its holders may."""
    tenant, form = chosen_tenant(), RoleForm()
    line = _found(tenant, role)
    _offer(form, tenant)
    mark = mark_of(line.name, sorted(line.permissions))
    if request.method == "GET":
        form.mark.data, form.name.data, form.permissions.data = mark, line.name, sorted(line.permissions)
    if not form.validate_on_submit():
        return _form_page(form, tenant, line)
    if form.mark.data != mark:
        return _changed_since(form, tenant, line)
    try:
        with current.database().transaction(current.scope()) as connection:
            change_role(
                connection, giver(), tenant.id, tenant.kind, role, name=form.name.data,
                permissions=form.permissions.data, seen=line,
            )  # fmt: skip
            current.record(
                connection, "role.change", tenant=tenant.id, kind="role", id=role,
                before={"name": line.name, "permissions": sorted(line.permissions)},
                after={"name": form.name.data, "permissions": sorted(form.permissions.data)},
            )  # fmt: skip
    except NameTaken:
        form.name.errors = [_("There is a role of this name. Choose another.")]
    except Beyond:
        form.permissions.errors = [_beyond()]
    except LastAdministrator:
        form.permissions.errors = [
            _("Then nobody could manage staff and roles any more. Nothing was changed.")
        ]
    except Changed:
        return _changed_since(form, tenant, _found(tenant, role))
    except LookupError:
        current.missing("role", role)
    else:
        flash(_("Saved; it counts from the next click of whoever holds the role."))
        return redirect(url_for("staff_roles.overview", tenant=tenant.id), code=303)
    return _form_page(form, tenant, line)


@blueprint.route(f"/roles/<int(max={BIGGEST}):role>/delete", methods=["GET", "POST"])
@requires("roles.change")
def delete(role: int) -> ResponseReturnValue:
    """Delete a role that nobody holds."""
    tenant, form = chosen_tenant(), OnceForm()
    line = _found(tenant, role)
    form.fresh()
    if not form.validate_on_submit():
        return render_template("roles/delete.html", form=form, role=line, tenant=tenant)
    try:
        with current.database().transaction(current.scope()) as connection:
            delete_role(connection, tenant.id, role, now=current.now())
            current.record(
                connection, "role.delete", tenant=tenant.id, kind="role", id=role,
                before={"name": line.name, "permissions": sorted(line.permissions)},
            )  # fmt: skip
    except RoleUsed:
        used = _("Somebody holds this role, or an open invitation promises it. Take it from them first.")
        return render_template("roles/delete.html", form=form, role=line, tenant=tenant, refused=used), 409
    flash(_("The role is gone."))
    return redirect(url_for("staff_roles.overview", tenant=tenant.id), code=303)


def _found(tenant: Tenant, role: int) -> RoleLine:
    with current.database().transaction(current.scope()) as connection:
        line = find_role(connection, tenant.id, role)
    if line is None:
        current.missing("role", role)
    return line


def _offer(form: RoleForm, tenant: Tenant) -> None:
    form.permissions.choices = [
        (name, words) for _heading, group in grouped_permissions(tenant.kind) for name, words in group
    ]


def _form_page(form: RoleForm, tenant: Tenant, role: RoleLine | None, refused: str | None = None) -> str:
    return render_template(
        "roles/form.html", form=form, tenant=tenant, role=role, groups=grouped_permissions(tenant.kind),
        chosen=set(form.permissions.data or ()), refused=refused,
    )  # fmt: skip


def _changed_since(form: RoleForm, tenant: Tenant, line: RoleLine) -> ResponseReturnValue:
    form.mark.data = mark_of(line.name, sorted(line.permissions))
    changed = _("Somebody has changed this role since you opened the form. Look again, then save.")
    return _form_page(form, tenant, line, refused=changed), 409


def _beyond() -> str:
    return _("This goes beyond your own rights, or those that holders of the role have by it.")
