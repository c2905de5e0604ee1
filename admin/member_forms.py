"""A new member, and the changing of one."""

import hashlib

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import Field, SelectField, StringField, ValidationError
from wtforms.validators import DataRequired, Length

from admin import current
from admin.access import requires
from admin.forms import MarkedForm, OnceForm, plain, trimmed
from admin.language import gettext as _
from admin.member_words import fault_words, identity_shown, keys, phone_shown
from admin.members import BIGGEST, asked_enterprise, blueprint, choose_enterprise, own_units, the_member
from ledger import member_desk, personal
from ledger.import_reading import CODE_MOST, NAME_MOST, split_plates
from ledger.member_desk import MemberData, Taken
from ledger.member_details import MemberDetails, Unit, enterprises, find_member
from ledger.personal import Wrong

__all__ = ["member_mark"]

TOO_LONG = _l("Type at most %(max)d characters.")


def _phone(_form: MarkedForm, field: Field) -> None:
    _normal(field, "phone")


def _identity(_form: MarkedForm, field: Field) -> None:
    _normal(field, "identity")


def _plates(_form: MarkedForm, field: Field) -> None:
    try:
        split_plates(field.data or "")
    except Wrong as wrong:
        raise ValidationError(fault_words(f"plates.{wrong}")) from wrong


def _normal(field: Field, name: str) -> None:
    if not field.data:
        return
    try:
        (personal.phone_number if name == "phone" else personal.identity_number)(field.data)
    except Wrong as wrong:
        raise ValidationError(fault_words(f"{name}.{wrong}")) from wrong


class PersonForm(MarkedForm):
    """What can be told of a member at any time."""

    name = StringField(
        _l("Full name"),
        filters=[trimmed],
        validators=[DataRequired(_l("Type the name.")), plain, Length(max=NAME_MOST, message=TOO_LONG)],
    )
    phone = StringField(
        _l("Phone (optional)"),
        filters=[trimmed],
        validators=[_phone],
        description=_l("A mobile of China, or any with its country's code, such as +41 79 123 45 67."),
    )
    identity = StringField(_l("Identity number (optional)"), filters=[trimmed], validators=[_identity])
    plates = StringField(
        _l("Plates (optional)"),
        filters=[trimmed],
        validators=[_plates],
        description=_l("With a comma between two."),
    )
    unit = SelectField(_l("Unit"), coerce=int)


class NewMemberForm(PersonForm, OnceForm):
    """And the code, which never changes."""

    code = StringField(
        _l("Member code"),
        filters=[trimmed],
        validators=[
            DataRequired(_l("Type the code by which the enterprise knows the member.")),
            plain,
            Length(max=CODE_MOST, message=TOO_LONG),
        ],
        description=_l("The enterprise's own number for the member. It never changes."),
    )


@blueprint.route("/members/new", methods=["GET", "POST"])
@requires("members.change")
def new() -> ResponseReturnValue:
    """The form of a new member."""
    with current.database().transaction(current.scope()) as connection:
        choice = enterprises(connection)
        enterprise = asked_enterprise(choice)
        places, whole = (
            ([], False) if enterprise is None else own_units(connection, enterprise, "members.change")
        )
    if enterprise is None:
        return choose_enterprise("members.new")
    form = NewMemberForm()
    _offer(form, places, whole)
    name = next((each.name for each in choice if each.id == enterprise), current.staff().tenant_name)
    if request.method == "GET":
        form.fresh()
    if form.validate_on_submit():
        answer = _enter(form, enterprise)
        if answer is not None:
            return answer
    return render_template("members/form.html", form=form, member=None, enterprise=name, personal=True)


def _enter(form: NewMemberForm, enterprise: int) -> ResponseReturnValue | None:
    try:
        with current.database().transaction(current.scope()) as connection:
            if not form.claim(connection, enterprise):
                flash(_("This form was sent before: its member exists, and nothing was made twice."), "wait")
                return redirect(url_for("members.overview"), code=303)
            told = _told(form, form.code.data)
            (made,) = member_desk.enter_members(connection, keys(), enterprise, [told])
            current.record(
                connection, "member.create", tenant=enterprise, kind="member", id=made,
                after={"code": told.code, "unit": told.unit, "fields": _fields(told)},
            )  # fmt: skip
    except Taken as taken:
        getattr(form, taken.field).errors = [fault_words(f"{taken.field}.taken")]
        return None
    flash(_("The member is entered."))
    return redirect(url_for("members.one", member=made), code=303)


@blueprint.route(f"/members/<int(max={BIGGEST}):member>/edit", methods=["GET", "POST"])
@requires("members.change")
def edit(member: int) -> ResponseReturnValue:
    """The form of what can change. Who may not see personal data changes none."""
    found = the_member(member)
    if found.erased_at is not None:
        flash(_("The person is erased: there is nothing left to change."), "wait")
        return redirect(url_for("members.one", member=member), code=303)
    clear = "members.personal" in current_user.permissions
    form = PersonForm()
    if not clear:
        del form.phone, form.identity
    with current.database().transaction(current.scope()) as connection:
        _offer(form, *own_units(connection, found.enterprise_id, "members.change"), found)
        if request.method == "GET":
            _fill(form, found, clear=clear)
            if clear:
                current.record(
                    connection, "member.look", tenant=found.enterprise_id, kind="member", id=member,
                    after={"fields": ["phone", "identity"]},
                )  # fmt: skip
    if form.validate_on_submit():
        answer = _change(form, member)
        if answer is not None:
            return answer
    return render_template(
        "members/form.html", form=form, member=found, enterprise=found.enterprise, personal=clear
    )


def _change(form: PersonForm, member: int) -> ResponseReturnValue | None:
    try:
        with current.database().transaction(current.scope()) as connection:
            member_desk.lock_member(connection, member)
            found = find_member(connection, member)
            if found is None or form.mark.data != member_mark(found):
                stale = _(
                    "Somebody has changed the member since you opened the form. Open it again to see how it "
                    "is now. Nothing was changed."
                )
                form.name.errors = [stale]
                return None
            told = _told(form, found.code, found)
            changed = _changed(found, told)
            member_desk.change_member(connection, keys(), found.enterprise_id, member, told)
            current.record(
                connection, "member.change", tenant=found.enterprise_id, kind="member", id=member,
                before={"unit": found.unit_id}, after={"unit": told.unit, "fields": changed},
            )  # fmt: skip
    except Taken as taken:
        field = getattr(form, taken.field, form.name)
        field.errors = [fault_words(f"{taken.field}.taken")]
        return None
    flash(_("The changes are kept."))
    return redirect(url_for("members.one", member=member), code=303)


def member_mark(member: MemberDetails) -> str:
    """What a form remembers of the member it was made for; tells nothing of the person."""
    seen = (
        member.status, member.name, member.unit_id, member.phone_key, member.identity_key, member.plates,
        member.erased_at, member.account_status,
    )  # fmt: skip
    return hashlib.blake2b(
        repr(seen).encode(), digest_size=16, key=current.settings().database_url.encode()[:64]
    ).hexdigest()


def _offer(form: PersonForm, places: list[Unit], whole: bool, member: MemberDetails | None = None) -> None:
    """The units to choose from: one's own, and the one where the member is already."""
    choices = [(place.id, f"{place.name} · {place.code}") for place in places]
    if (
        member is not None
        and member.unit_id is not None
        and member.unit_id not in {place.id for place in places}
    ):
        choices.insert(0, (member.unit_id, member.unit or str(member.unit_id)))
    if whole or (member is not None and member.unit_id is None):
        choices.insert(0, (0, _("The enterprise itself")))
    form.unit.choices = choices


def _fill(form: PersonForm, member: MemberDetails, *, clear: bool) -> None:
    form.mark.data = member_mark(member)
    form.name.data, form.unit.data = member.name, member.unit_id or 0
    form.plates.data = ", ".join(member.plates)
    if clear:
        phone = phone_shown(member.id, member.phone, clear=True)
        identity = identity_shown(member.id, member.identity, clear=True)
        form.phone.data = "" if phone == "–" else phone
        form.identity.data = "" if identity == "–" else identity


def _told(form: PersonForm, code: str, before: MemberDetails | None = None) -> MemberData:
    """What the form says; fields that it does not have stay what they were."""

    def normal(field: str) -> str | None:
        if field not in form:
            sealed = getattr(before, field, None)
            return None if before is None else keys().open_field(before.id, field, sealed)
        typed = form[field].data
        if not typed:
            return None
        return (personal.phone_number if field == "phone" else personal.identity_number)(typed)

    return MemberData(
        code=code,
        name=" ".join(form.name.data.split()),
        phone=normal("phone"),
        identity=normal("identity"),
        plates=split_plates(form.plates.data or ""),
        unit=form.unit.data or None,
    )


def _fields(told: MemberData) -> list[str]:
    """The names of the fields that say something: their values are nobody's business."""
    return [name for name in ("name", "phone", "identity", "plates") if getattr(told, name)]


def _changed(found: MemberDetails, told: MemberData) -> list[str]:
    sealed = keys()
    before = {
        "name": found.name,
        "phone": sealed.open_field(found.id, "phone", found.phone),
        "identity": sealed.open_field(found.id, "identity", found.identity),
        "plates": tuple(found.plates),
        "unit": found.unit_id,
    }
    after = {name: getattr(told, name) for name in before} | {"plates": tuple(sorted(told.plates))}
    return [name for name in before if before[name] != after[name]]
