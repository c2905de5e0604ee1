"""Staff: their list, one person with roles and logins, invitations, and what ends or mends a login."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin import current
from admin.access import requires
from admin.forms import OnceForm
from admin.invitations import link_of
from admin.language import gettext as _
from admin.permission_words import tenant_kind_words
from admin.staff_forms import (
    BEYOND,
    EditForm,
    GiveForm,
    InviteForm,
    chosen_role,
    fill_language,
    fill_places,
    fill_roles,
    last_administrator,
    mark_of,
    note_foreign,
    refuse_beyond,
    refuse_missing,
)  # fmt: skip
from admin.staff_steps import STEPS, StaffStep, offered, refusal, step_words
from ledger import invitations, second_factor, staff_lists, staff_sessions
from ledger.administration import (
    Beyond,
    Changed,
    Giver,
    LastAdministrator,
    deciding,
    may_manage,
    require_over,
)  # fmt: skip
from ledger.database import Connection
from ledger.login_events import login_history
from ledger.roles import HeldBefore, give, held_by, take
from ledger.staff_lists import Person, Tenant

__all__ = ["LISTED_MOST", "blueprint", "chosen_tenant", "giver"]

LISTED_MOST = 100
INVITED_MOST = 50
TENANTS_MOST = 30
HISTORY_MOST = 20
WORDS_MOST = 100
BIGGEST = 2**63 - 1  # of the database's ids

blueprint = Blueprint("staff", __name__)
blueprint.add_app_template_filter(tenant_kind_words)


def giver() -> Giver:
    """The person who asks, as one who decides."""
    staff = current.staff()
    return Giver(staff.id, staff.tenant_kind)


def chosen_tenant() -> Tenant:
    """The tenant that the page is about: one's own, or for the operator's staff one that `tenant` names."""
    staff = current.staff()
    asked = request.args.get("tenant", default=staff.tenant_id, type=int)
    if asked == staff.tenant_id:
        return Tenant(staff.tenant_id, staff.tenant_kind, staff.tenant_name)
    found = None
    if staff.tenant_kind == "operator" and 0 < asked <= BIGGEST:
        with current.database().transaction(current.scope()) as connection:
            found = staff_lists.find_tenant(connection, asked)
    if found is None:
        current.missing("organisation", asked)
    return found


@blueprint.get("/staff")
@requires("staff.view")
def overview() -> ResponseReturnValue:
    """The staff of the scope, and the invitations that wait."""
    staff = current.staff()
    tenant = chosen_tenant()
    everybody = staff.tenant_kind == "operator" and "tenant" not in request.args
    words, status = request.args.get("q", "").strip()[:WORDS_MOST], request.args.get("status", "active")
    if status not in {"active", "closed", "all"} or "\0" in words:
        abort(404)
    with current.database().transaction(current.scope()) as connection:
        lines = staff_lists.list_staff(
            connection, tenant=None if everybody else tenant.id, words=words, status=status,
            most=LISTED_MOST + 1,
        )  # fmt: skip
        waiting = invitations.open_invitations(connection, tenant.id, now=current.now(), most=INVITED_MOST)
    return render_template(
        "staff/list.html", lines=lines[:LISTED_MOST], more=len(lines) > LISTED_MOST, most=LISTED_MOST,
        waiting=waiting, words=words, status=status, tenant=tenant, everybody=everybody, now=current.now(),
    )  # fmt: skip


@blueprint.get("/staff/tenants")
@requires("staff.change")
def tenants() -> ResponseReturnValue:
    """For the operator's staff: whose staff is to be managed."""
    if current.staff().tenant_kind != "operator":
        abort(404)
    words = request.args.get("q", "").strip()[:WORDS_MOST].replace("\0", "")
    with current.database().transaction(current.scope()) as connection:
        found = staff_lists.search_tenants(connection, words, most=TENANTS_MOST)
    return render_template("staff/tenants.html", found=found, words=words, most=TENANTS_MOST)


@blueprint.route("/staff/invite", methods=["GET", "POST"])
@requires("staff.change")
def invite() -> ResponseReturnValue:
    """Invite somebody, with a first role. Answers with the link, once."""
    tenant, form = chosen_tenant(), InviteForm()
    with current.database().transaction(current.scope()) as connection:
        fill_roles(connection, form, tenant)
        fill_places(connection, form.organisation, tenant)
    form.fresh()
    if not form.validate_on_submit():
        note_foreign(form, (form.organisation, form.role))
        return render_template("staff/invite.html", form=form, tenant=tenant)
    token, role = current.random_bytes(invitations.TOKEN_BYTES), chosen_role(form.role.data)
    try:
        with current.database().transaction(current.scope()) as connection:
            if not form.claim(connection, tenant.id):
                flash(
                    _("This form was sent before: its link was shown then. Nothing was made twice."), "wait"
                )
                return redirect(url_for("staff.overview", tenant=tenant.id), code=303)
            new = invitations.invite(
                connection, giver(), tenant=tenant.id, kind=tenant.kind,
                organisation=form.organisation.data, token=token, login=form.login.data, name=form.name.data,
                ready_made=role.ready_made, role=role.role, unit=form.organisation.data,
                reach=form.reach.data, now=current.now(),
            )  # fmt: skip
            current.record(
                connection, "staff.invite", tenant=tenant.id, kind="invitation", id=new,
                after={
                    "organisation": form.organisation.data, "role": role.ready_made or role.role,
                    "unit": form.organisation.data, "reach": form.reach.data,
                },
            )  # fmt: skip
    except Beyond:
        refuse_beyond(form)
    except LookupError:
        refuse_missing(form)
    else:
        return _link_page(token, form.name.data, url_for("staff.overview", tenant=tenant.id))
    return render_template("staff/invite.html", form=form, tenant=tenant)


@blueprint.route(f"/staff/invitations/<int(max={BIGGEST}):invitation>/withdraw", methods=["GET", "POST"])
@requires("staff.change")
def withdraw(invitation: int) -> ResponseReturnValue:
    """End a link before it is used."""
    tenant, form = chosen_tenant(), OnceForm()
    with current.database().transaction(current.scope()) as connection:
        open_ones = invitations.open_invitations(connection, tenant.id, now=current.now(), most=BIGGEST)
    line = next((each for each in open_ones if each.id == invitation), None)
    if line is None:
        current.missing("invitation", invitation)
    form.fresh()
    if not form.validate_on_submit():
        return render_template("staff/withdraw.html", form=form, line=line, tenant=tenant)
    try:
        with current.database().transaction(current.scope()) as connection:
            if invitations.withdraw(connection, giver(), tenant.id, invitation):
                current.record(
                    connection, "staff.withdraw", tenant=tenant.id, kind="invitation", id=invitation
                )
    except Beyond:
        return render_template(
            "staff/withdraw.html", form=form, line=line, tenant=tenant, refused=BEYOND
        ), 403
    flash(_("The link is good no more."))
    return redirect(url_for("staff.overview", tenant=tenant.id), code=303)


@blueprint.get(f"/staff/<int(max={BIGGEST}):staff>")
@requires("staff.view")
def one(staff: int) -> ResponseReturnValue:
    """One person."""
    return _page(staff)


@blueprint.route(f"/staff/<int(max={BIGGEST}):staff>/edit", methods=["GET", "POST"])
@requires("staff.change")
def edit(staff: int) -> ResponseReturnValue:
    """Name, unit and language."""
    person, form = _found(staff), EditForm()
    with current.database().transaction(current.scope()) as connection:
        fill_places(connection, form.organisation, _tenant_of(person))
    if person.organisation_id not in {value for value, _name in form.organisation.choices}:
        form.organisation.choices.append((person.organisation_id, person.organisation))
    fill_language(form)
    mark = mark_of(person.name, person.organisation_id, person.language)
    if request.method == "GET":
        form.mark.data, form.name.data = mark, person.name
        form.organisation.data, form.language.data = person.organisation_id, person.language
    if not form.validate_on_submit():
        note_foreign(form, (form.organisation,))
        return render_template("staff/edit.html", form=form, person=person)
    if form.mark.data != mark:
        return _changed_since(form, staff)
    try:
        with current.database().transaction(current.scope()) as connection:
            staff_lists.change_person(
                connection, giver(), person, name=form.name.data, organisation=form.organisation.data,
                language=form.language.data,
            )  # fmt: skip
            current.record(
                connection, "staff.change", tenant=person.tenant_id, kind="staff", id=staff,
                before={"organisation": person.organisation_id, "language": person.language},
                after={
                    "organisation": form.organisation.data, "language": form.language.data,
                    "renamed": form.name.data != person.name,
                },
            )  # fmt: skip
    except Beyond:
        return render_template("staff/edit.html", form=form, person=person, refused=BEYOND), 403
    except LastAdministrator:
        return render_template("staff/edit.html", form=form, person=person, refused=last_administrator()), 409
    except LookupError:
        form.organisation.errors = [_("This unit is not there any more. Choose another.")]
        return render_template("staff/edit.html", form=form, person=person)
    except Changed:
        return _changed_since(form, staff)
    flash(_("Saved."))
    return redirect(url_for("staff.one", staff=staff), code=303)


def _changed_since(form: EditForm, staff: int) -> ResponseReturnValue:
    person = _found(staff)
    form.mark.data = mark_of(person.name, person.organisation_id, person.language)
    refused = _("Somebody has changed this person since you opened the form. Look again, then save.")
    return render_template("staff/edit.html", form=form, person=person, refused=refused), 409


@blueprint.route(f"/staff/<int(max={BIGGEST}):staff>/roles", methods=["GET", "POST"])
@requires("staff.change")
def give_role(staff: int) -> ResponseReturnValue:
    """Give a person a role."""
    person, form = _found(staff), GiveForm()
    with current.database().transaction(current.scope()) as connection:
        fill_roles(connection, form, _tenant_of(person))
        fill_places(connection, form.unit, _tenant_of(person))
    form.fresh()
    if not form.validate_on_submit():
        if request.method == "GET":
            form.unit.data = person.organisation_id
        note_foreign(form, (form.unit, form.role))
        return render_template("staff/give.html", form=form, person=person)
    role = chosen_role(form.role.data)
    try:
        with current.database().transaction(current.scope()) as connection:
            if not form.claim(connection, person.tenant_id):
                flash(_("This form was sent before. Nothing was done twice."), "wait")
                return redirect(url_for("staff.one", staff=staff), code=303)
            given = give(
                connection, giver(), person.target, ready_made=role.ready_made, role=role.role,
                unit=form.unit.data, reach=form.reach.data,
            )  # fmt: skip
            current.record(
                connection, "staff.give", tenant=person.tenant_id, kind="staff", id=staff,
                after={
                    "assignment": given, "role": role.ready_made or role.role, "unit": form.unit.data,
                    "reach": form.reach.data,
                },
            )  # fmt: skip
    except Beyond:
        refuse_beyond(form)
    except HeldBefore:
        form.role.errors = [_("%(name)s holds exactly this already.", name=person.name)]
    except LookupError:
        refuse_missing(form)
    else:
        flash(_("The role is given; it counts from the next click."))
        return redirect(url_for("staff.one", staff=staff), code=303)
    return render_template("staff/give.html", form=form, person=person)


@blueprint.route(
    f"/staff/<int(max={BIGGEST}):staff>/roles/<int(max={BIGGEST}):assignment>/take", methods=["GET", "POST"]
)
@requires("staff.change")
def take_role(staff: int, assignment: int) -> ResponseReturnValue:
    """Take a role from a person."""
    person, form = _found(staff), OnceForm()
    with current.database().transaction(current.scope()) as connection:
        held = next((each for each in held_by(connection, staff) if each.id == assignment), None)
    if held is None:
        current.missing("assignment", assignment)
    form.fresh()
    if not form.validate_on_submit():
        return render_template("staff/take.html", form=form, person=person, held=held)
    try:
        with current.database().transaction(current.scope()) as connection:
            take(connection, giver(), person.target, assignment)
            current.record(
                connection, "staff.take", tenant=person.tenant_id, kind="staff", id=staff,
                before={
                    "assignment": assignment, "role": held.ready_made or held.role_id,
                    "unit": held.organisation_id, "reach": held.reach,
                },
            )  # fmt: skip
    except Beyond:
        return _page(staff, str(BEYOND)), 403
    except LastAdministrator:
        return _page(staff, last_administrator()), 409
    except LookupError:
        return _page(staff, _("Somebody has just taken this role. Nothing was changed.")), 409
    flash(_("The role is taken; it ends with the next click."))
    return redirect(url_for("staff.one", staff=staff), code=303)


@blueprint.route(f"/staff/<int(max={BIGGEST}):staff>/<step>", methods=["GET", "POST"])
@requires("staff.change")
def step(staff: int, step: str) -> ResponseReturnValue:
    """Ask whether the step is meant; and take it."""
    if step not in STEPS:
        abort(404)
    person, chosen, form = _found(staff), STEPS[step], OnceForm()
    refused = refusal(chosen, person, own=staff == current.staff().id)
    if refused is not None:
        return _page(staff, refused), 409
    form.fresh()
    words = step_words(chosen, person)
    if not form.validate_on_submit():
        return render_template("staff/step.html", form=form, person=person, step=chosen, words=words)
    token = current.random_bytes(invitations.TOKEN_BYTES)
    try:
        with current.database().transaction(current.scope()) as connection:
            if not form.claim(connection, person.tenant_id):
                again = _("This form was sent before. Nothing was done twice.")
                return _page(staff, again), 409
            _take(connection, chosen, person, token)
            current.record(connection, chosen.deed, tenant=person.tenant_id, kind="staff", id=staff)
    except Beyond:
        return _page(staff, str(BEYOND)), 403
    except LastAdministrator:
        return _page(staff, last_administrator()), 409
    if chosen.name == "password":
        return _link_page(token, person.name, url_for("staff.one", staff=staff))
    flash(words.done)
    return redirect(url_for("staff.one", staff=staff), code=303)


def _take(connection: Connection, step: StaffStep, person: Person, token: bytes) -> None:
    target = person.target
    match step.name:
        case "close" | "reopen":
            status = "closed" if step.name == "close" else "active"
            staff_lists.set_status(connection, giver(), target, status)
        case "password":
            invitations.invite_password(connection, giver(), target, token=token, now=current.now())
        case "factor" | "sessions":
            with deciding(connection, target.tenant_id):
                require_over(connection, giver(), target)
                if step.name == "factor":
                    second_factor.remove(connection, target.staff_id)
                staff_sessions.end_all(connection, target.staff_id)


def _page(staff: int, refused: str | None = None) -> str:
    person, now = _found(staff), current.now()
    with current.database().transaction(current.scope()) as connection:
        held = held_by(connection, staff)
        sessions = staff_sessions.sessions_of(connection, staff, now=now)
        logins = login_history(connection, staff, most=HISTORY_MOST)
    mine = current.staff()
    own = staff == mine.id
    # Who sees staff of more units than they manage is not led to pages that would be missing.
    may = may_manage(mine.rights, person.organisation_id)
    return render_template(
        "staff/person.html", person=person, held=held, sessions=sessions, logins=logins, refused=refused,
        own=own, may=may, steps=[] if own else [(step, step_words(step, person)) for step in offered(person)],
    )  # fmt: skip


def _found(staff: int) -> Person:
    with current.database().transaction(current.scope()) as connection:
        person = staff_lists.find_person(connection, staff)
    if person is None:
        current.missing("staff", staff)
    return person


def _tenant_of(person: Person) -> Tenant:
    return Tenant(person.tenant_id, person.tenant_kind, person.tenant)


def _link_page(token: bytes, name: str | None, back: str) -> str:
    until = current.now() + invitations.INVITATION_LASTS
    return render_template("staff/link.html", link=link_of(token), name=name, until=until, back=back)
