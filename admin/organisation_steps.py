"""What changes a tree: a new unit or enterprise, another name, another place, closing, opening again."""

import hashlib
import json
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from wtforms import Field, SelectField, StringField
from wtforms.validators import DataRequired, Length

from admin import current
from admin.access import requires
from admin.forms import MarkedForm, OnceForm, plain, trimmed
from admin.language import gettext as _
from admin.organisation_words import kind_word, offered, refusal_words, step_words
from admin.organisations import BIGGEST, blueprint, may, node_page, own_units, seen_node
from ledger import organisations
from ledger.administration import Giver
from ledger.database import Connection
from ledger.organisation_tree import Node, find_node, places_for, ways, within
from ledger.organisations import KINDS, OrganisationRefused, Refusal, lock_tree

__all__ = ["CODE_MOST", "NAME_MOST", "blueprint"]

NAME_MOST = 80
CODE_MOST = 40
REASON_MOST = 200
PLACES_MOST = 200  # to choose from at once; words narrow them down
WORDS_MOST = 100
STEPS = ("rename", "move", "close", "reopen")

_NAME: dict[str, Any] = {
    "filters": [trimmed],
    "validators": [
        DataRequired(_l("Give it a name.")),
        plain,
        Length(max=NAME_MOST, message=_l("Type at most %(max)d characters.")),
    ],
}
_CODE: dict[str, Any] = {
    "filters": [trimmed],
    "validators": [
        DataRequired(_l("Give it a code, such as B12: files and lists name it by that.")),
        plain,
        Length(max=CODE_MOST, message=_l("Type at most %(max)d characters.")),
    ],
}


class UnitForm(OnceForm):
    """A new unit."""

    kind = SelectField(_l("Kind"))
    name = StringField(_l("Name"), **_NAME)
    code = StringField(_l("Code"), **_CODE)


class EnterpriseForm(OnceForm):
    """A new enterprise."""

    name = StringField(_l("Name"), **_NAME)
    code = StringField(_l("Code"), **_CODE)


class RenameForm(MarkedForm):
    """Another name, another code."""

    name = StringField(_l("Name"), **_NAME)
    code = StringField(_l("Code"), **_CODE)


class MoveForm(MarkedForm):
    """Another place. What can be chosen is decided when it is done, so that the answer is a sentence."""

    parent = SelectField(_l("New place: below"), coerce=int, validate_choice=False)


class ReasonForm(MarkedForm):
    """A step that wants no more than a yes."""

    reason = StringField(
        _l("Reason"),
        filters=[trimmed],
        validators=[plain, Length(max=REASON_MOST, message=_l("Type at most %(max)d characters."))],
        description=_l("Optional; it stands in the audit trail."),
    )


class _Stale(Exception):
    """The organisation is not any more what the form was made for."""


FIELDS: dict[Refusal, str] = {
    "code_taken": "code", "circular": "parent", "foreign": "parent", "closed_above": "parent",
    "no_change": "parent", "more_rights": "parent", "kind": "kind",
}  # fmt: skip
"""Beside which field of a form a refusal is said, when the form has it."""


@blueprint.route(f"/organisations/<int(max={BIGGEST}):organisation>/new", methods=["GET", "POST"])
@requires("organisations.change")
def new(organisation: int) -> ResponseReturnValue:
    """A new unit below this organisation."""
    node, top = _node(organisation)
    if node.status != "open":
        return node_page(organisation, refusal_words("closed_above")), 409
    form = UnitForm()
    form.kind.choices = [(kind, kind_word(kind)) for kind in KINDS[top.kind]]
    if form.validate_on_submit():
        try:
            with current.database().transaction(current.scope()) as connection:
                made = _make_unit(connection, node, form)
            if made is None:
                flash(_("This form was sent before: its unit exists, and nothing was made twice."), "wait")
                return redirect(url_for("organisations.one", organisation=organisation), code=303)
            flash(step_words("new", node).done)
            return redirect(url_for("organisations.overview", at=organisation), code=303)
        except OrganisationRefused as refused:
            if not _beside(form, refused.why):
                return node_page(organisation, refusal_words(refused.why)), 409
    form.fresh()
    return render_template("organisations/new.html", form=form, node=node)


def _make_unit(connection: Connection, node: Node, form: UnitForm) -> int | None:
    if not form.claim(connection, node.tenant_id):
        return None
    told = {"kind": form.kind.data, "code": form.code.data, "name": form.name.data}
    made = organisations.create_unit(connection, parent=node.id, **told)
    current.record(
        connection, "organisation.create", tenant=node.tenant_id, kind="organisation", id=made,
        after=told | {"parent": node.id},
    )  # fmt: skip
    return made


@blueprint.route("/organisations/enterprises/new", methods=["GET", "POST"])
@requires("organisations.change")
def new_enterprise() -> ResponseReturnValue:
    """A new enterprise: the operator's to make."""
    if current.staff().tenant_kind != "operator" or own_units("organisations.change") is not None:
        current.missing("organisation", "enterprises")
    form = EnterpriseForm()
    if form.validate_on_submit():
        try:
            with current.database().transaction(current.scope()) as connection:
                made = _make_enterprise(connection, form)
            if made is None:
                flash(
                    _("This form was sent before: its enterprise exists, and nothing was made twice."), "wait"
                )
                return redirect(url_for("organisations.tenants"), code=303)
            flash(_("The enterprise exists. Nobody can log in for it yet: invite its first administrator."))
            return redirect(url_for("organisations.one", organisation=made), code=303)
        except OrganisationRefused as refused:
            _beside(form, refused.why)
    form.fresh()
    return render_template("organisations/enterprise.html", form=form)


def _make_enterprise(connection: Connection, form: EnterpriseForm) -> int | None:
    if not form.claim(connection, current.staff().tenant_id):
        return None
    told = {"code": form.code.data, "name": form.name.data}
    made = organisations.create_tenant(connection, kind="enterprise", **told)
    after = told | {"kind": "enterprise"}
    current.record(connection, "organisation.create", tenant=made, kind="organisation", id=made, after=after)
    return made


@blueprint.route(f"/organisations/<int(max={BIGGEST}):organisation>/<step>", methods=["GET", "POST"])
@requires("organisations.change")
def take(organisation: int, step: str) -> ResponseReturnValue:
    """Ask what a step needs to know, and take it."""
    if step not in STEPS:
        abort(404)
    node, _top = _node(organisation)
    if step not in offered(node, by_operator=current.staff().tenant_kind == "operator"):
        why: Refusal = "top" if node.top else "no_change"
        return node_page(organisation, refusal_words(why)), 409
    form, refused = _form(step, node), None
    valid = form.validate_on_submit()
    if valid and isinstance(form, MoveForm):
        _known_place(node, form.parent.data)
    if valid:
        try:
            with current.database().transaction(current.scope()) as connection:
                _change(connection, step, node, form)
            flash(step_words(step, node).done)
            return redirect(url_for("organisations.one", organisation=organisation), code=303)
        except _Stale:
            refused = _(
                "The organisation has changed since you opened the form. Look at it and decide again. "
                "Nothing was changed now."
            )
        except OrganisationRefused as error:
            if not _beside(form, error.why):
                refused = refusal_words(error.why)
    return _step_page(step, organisation, form, refused)


def _step_page(step: str, organisation: int, form: MarkedForm, refused: str | None) -> ResponseReturnValue:
    words = request.args.get("q", "").replace("\0", "").strip()[:WORDS_MOST]
    with current.database().transaction(current.scope()) as connection:
        node = seen_node(connection, organisation, "organisations.change")
        assert node is not None  # it was there a moment ago, and nothing is ever deleted
        inside = within(connection, node)
        above: list[tuple[int, str]] = []
        if isinstance(form, MoveForm):
            units = own_units("organisations.change")
            places = places_for(connection, node, words, units=units, most=PLACES_MOST + 1)
            over = ways(connection, [place.id for place in places])
            form.parent.choices = [
                (place.id, " › ".join([*(name for _id, name in over[place.id]), place.name]))
                for place in places[:PLACES_MOST]
            ]
            above = ways(connection, [node.id])[node.id]
    if request.method == "GET" or refused is not None:
        form.mark.data = _mark(node)
    page = render_template(
        f"organisations/{'move' if step == 'move' else 'step'}.html",
        node=node,
        step=step,
        step_words=step_words(step, node, inside),
        form=form,
        refused=refused,
        above=above,
        words=words,
        many=isinstance(form, MoveForm) and len(places) > PLACES_MOST,
        most=PLACES_MOST,
    )
    return (page, 409) if refused else page


def _change(connection: Connection, step: str, seen: Node, form: MarkedForm) -> None:
    """Take the step, unless the organisation is not any more what the page showed: decided under a lock."""
    lock_tree(connection, seen.tenant_id)
    node = find_node(connection, seen.id)
    if node is None or form.mark.data != _mark(node):
        raise _Stale
    before, after, reason = _told(node), {}, None
    if isinstance(form, RenameForm):
        organisations.rename(connection, node.id, name=form.name.data, code=form.code.data)
    elif isinstance(form, MoveForm):
        _move(connection, node, form.parent.data)
    elif isinstance(form, ReasonForm):
        reason = form.reason.data or None
        if step == "close":
            organisations.close(connection, node.id, by_staff_of=_own_organisation(connection))
        else:
            organisations.reopen(connection, node.id)
    changed = find_node(connection, seen.id)
    assert changed is not None
    after = {key: value for key, value in _told(changed).items() if value != before[key]}
    current.record(
        connection, f"organisation.{step}", tenant=node.tenant_id, kind="organisation", id=node.id,
        before={key: before[key] for key in after}, after=after, reason=reason,
    )  # fmt: skip


def _known_place(node: Node, parent: int) -> None:
    """404 and a line in the trail for a place that is none of this tenant's."""
    with current.database().transaction(current.scope()) as connection:
        above = find_node(connection, parent) if 0 < parent <= BIGGEST else None
    if above is None or above.tenant_id != node.tenant_id:
        current.missing("organisation", parent)


def _move(connection: Connection, node: Node, parent: int) -> None:
    """Move within what the person may change; never so that their own role reaches further than before."""
    above = find_node(connection, parent)
    if above is None or not may(above, "organisations.change"):
        raise OrganisationRefused("foreign")
    staff = current.staff()
    organisations.move(connection, node.id, parent=parent)
    after = Giver(staff.id, staff.tenant_kind).rights(connection)
    if not staff.rights.covers(after):
        raise OrganisationRefused("more_rights")


def _own_organisation(connection: Connection) -> int | None:
    return organisations.place_of(connection, current.staff().id)


def _told(node: Node) -> dict[str, Any]:
    return {"name": node.name, "code": node.code, "parent": node.parent_id, "status": node.status}


def _mark(node: Node) -> str:
    """What a form was made for: it differs as soon as the organisation does."""
    told = json.dumps([node.id, *_told(node).values()])
    return hashlib.blake2b(told.encode("utf-8", "replace"), digest_size=12).hexdigest()


def _form(step: str, node: Node) -> MarkedForm:
    match step:
        case "rename":
            return RenameForm(name=node.name, code=node.code)
        case "move":
            return MoveForm(parent=node.parent_id)
    return ReasonForm()


def _beside(form: MarkedForm, why: Refusal) -> bool:
    """Say a refusal beside its field, when the form has that field."""
    field: Field | None = getattr(form, FIELDS.get(why, ""), None)
    if field is None:
        return False
    field.errors = [*field.errors, refusal_words(why)]
    return True


def _node(organisation: int) -> tuple[Node, Node]:
    """The organisation and its tenant; 404 and a line in the trail where this person may change nothing."""
    with current.database().transaction(current.scope()) as connection:
        node = seen_node(connection, organisation, "organisations.change")
        top = None if node is None else find_node(connection, node.tenant_id)
    if node is None or top is None:
        current.missing("organisation", organisation)
    return node, top
