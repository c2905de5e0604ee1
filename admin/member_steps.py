"""What is done to a member as a whole: closing, opening again, erasing the person; and notes."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import StringField, TextAreaField
from wtforms.validators import DataRequired, Length

from admin import current
from admin.access import requires
from admin.forms import MarkedForm, OnceForm, plain, trimmed
from admin.language import gettext as _
from admin.language import points
from admin.member_forms import member_mark
from admin.member_words import keys
from admin.members import BIGGEST, blueprint, member_page, the_member
from ledger import member_desk
from ledger.database import Connection
from ledger.member_details import MemberDetails, find_member

__all__ = ["STEPS", "MemberStep", "blueprint", "offered"]

REASON_MOST = 200
NOTE_MOST = 2_000


@dataclass(frozen=True, slots=True)
class MemberStep:
    """One step, and the permission that it needs. `fits`: whether a member can take it now."""

    name: str
    permission: str
    final: bool
    fits: Callable[[MemberDetails], bool]


STEPS: dict[str, MemberStep] = {
    step.name: step
    for step in (
        MemberStep("close", "members.change", final=False, fits=lambda member: member.status == "active"),
        MemberStep(
            "reopen", "members.change", final=False,
            fits=lambda member: member.status == "closed" and member.erased_at is None,
        ),
        MemberStep(
            "erase", "members.erase", final=True,
            fits=lambda member: member.status == "closed" and member.erased_at is None,
        ),
    )
}  # fmt: skip


class StepForm(MarkedForm):
    """Why a step is taken, for the trail."""

    reason = StringField(
        _l("Reason (optional)"),
        filters=[trimmed],
        validators=[plain, Length(max=REASON_MOST, message=_l("Type at most %(max)d characters."))],
        description=_l("Kept in the trail, with your name. Name no person in it."),
    )


class NoteForm(OnceForm):
    """Something worth knowing about a member."""

    note = TextAreaField(
        _l("Note"),
        filters=[trimmed],
        validators=[
            DataRequired(_l("Type what is to be kept.")),
            Length(max=NOTE_MOST, message=_l("Type at most %(max)d characters.")),
        ],
        description=_l("Kept as it is, with your name, until the person is erased."),
    )


@blueprint.app_template_global("member_steps")
def offered(member: MemberDetails) -> list[tuple[MemberStep, str]]:
    """The steps that the member can take now and the person who asks may, each with its button's words."""
    return [
        (step, _words(step, member)[0])
        for step in STEPS.values()
        if step.fits(member) and step.permission in current_user.permissions
    ]


@blueprint.route(f"/members/<int(max={BIGGEST}):member>/close", methods=["GET", "POST"])
@requires("members.change")
def close(member: int) -> ResponseReturnValue:
    """End a membership; the points stay."""
    return _take(STEPS["close"], member)


@blueprint.route(f"/members/<int(max={BIGGEST}):member>/reopen", methods=["GET", "POST"])
@requires("members.change")
def reopen(member: int) -> ResponseReturnValue:
    """Take that back."""
    return _take(STEPS["reopen"], member)


@blueprint.route(f"/members/<int(max={BIGGEST}):member>/erase", methods=["GET", "POST"])
@requires("members.erase")
def erase(member: int) -> ResponseReturnValue:
    """Remove the person from the books, for good."""
    return _take(STEPS["erase"], member)


@blueprint.route(f"/members/<int(max={BIGGEST}):member>/note", methods=["GET", "POST"])
@requires("members.change")
def note(member: int) -> ResponseReturnValue:
    """Write something down about a member."""
    found, form = the_member(member), NoteForm()
    if found.erased_at is not None:
        return _erased(member)
    if request.method == "GET":
        form.fresh()
    if form.validate_on_submit():
        with current.database().transaction(current.scope()) as connection:
            member_desk.lock_member(connection, member)
            locked = find_member(connection, member)
            if locked is None or locked.erased_at is not None:
                return _erased(member)
            if not form.claim(connection, found.enterprise_id):
                flash(_("This note was sent before, and nothing was kept twice."), "wait")
                return redirect(url_for("members.one", member=member), code=303)
            staff = current.staff()
            member_desk.add_note(
                connection,
                keys(),
                member,
                form.note.data,
                staff=staff.id,
                staff_name=staff.name,
                now=current.now(),
            )
            current.record(
                connection, "member.note", tenant=found.enterprise_id, kind="member", id=member,
                after={"letters": len(form.note.data)},
            )  # fmt: skip
        flash(_("The note is kept."))
        return redirect(url_for("members.one", member=member), code=303)
    return render_template("members/note.html", form=form, member=found)


def _erased(member: int) -> ResponseReturnValue:
    return member_page(member, refused=_("The person is erased: nothing is kept about them.")), 409


def _take(step: MemberStep, member: int) -> ResponseReturnValue:
    found = the_member(member)
    if not step.fits(found):
        return member_page(member, refused=_refusal(step, found)), 409
    form = StepForm()
    if not form.validate_on_submit():
        if request.method == "GET":
            form.mark.data = member_mark(found)
        do, means, _done = _words(step, found)
        return render_template("members/step.html", member=found, step=step, do=do, means=means, form=form)
    with current.database().transaction(current.scope()) as connection:
        if not member_desk.lock_member(connection, member):
            abort(404)
        locked = find_member(connection, member)
        stale = locked is None or not step.fits(locked) or form.mark.data != member_mark(locked)
        if not stale:
            _do(step, found, form.reason.data or None, connection)
    if stale:
        refused = _(
            "The member has changed since you opened the form, perhaps by a second click of your own. "
            "Look at it and decide again. Nothing was changed now."
        )
        return member_page(member, refused=refused), 409
    flash(_words(step, found)[2])
    return redirect(url_for("members.one", member=member), code=303)


def _do(step: MemberStep, member: MemberDetails, reason: str | None, connection: Connection) -> None:
    after: dict[str, object] = {}
    match step.name:
        case "close":
            suspended = member_desk.close_member(
                connection, member.id, now=current.now(), staff=current.staff().id, reason=reason
            )
            after = {"status": "closed", "suspended_cards": suspended}
        case "reopen":
            member_desk.reopen_member(connection, member.id)
            after = {"status": "active"}
        case _:
            member_desk.erase_member(connection, member.id, now=current.now())
            after = {"erased": True}
    current.record(
        connection, f"member.{step.name}", tenant=member.enterprise_id, kind="member", id=member.id,
        before={"status": member.status}, after=after, reason=reason,
    )  # fmt: skip


def _refusal(step: MemberStep, member: MemberDetails) -> str:
    if member.erased_at is not None:
        return _("The person is erased, for good. Nothing was changed.")
    if step.name == "erase":
        return _("Close the member first: who still spends points cannot be erased. Nothing was changed.")
    if step.name == "close":
        return _("The member is closed already. Nothing was changed.")
    return _("The member is active already. Nothing was changed.")


def _words(step: MemberStep, member: MemberDetails) -> tuple[str, str, str]:
    """A step in the page's language: its button, what it means, and what is said when it is done."""
    if step.name == "close":
        means = _(
            "The account takes and gives nothing any more, from the next message on, and its cards are "
            "suspended. The member can be opened again."
        )
        if member.posted:
            means += " " + _("%(points)s points stay in the account.", points=points(member.posted))
        if member.held:
            means += " " + _(
                "%(points)s of them are reserved by a merchant, who cannot take them any more.",
                points=points(member.held),
            )
        return _("Close the member"), means, _("The member is closed.")
    if step.name == "reopen":
        return (
            _("Open again"),
            _("Points can be granted and spent again. Cards stay suspended until each is made active again."),
            _("The member is open again."),
        )
    means = _(
        "Name, phone, identity number, plates and notes are removed. Member code, cards and transactions "
        "stay, as the books need them, and nobody can tell any more whose they were."
    )
    if member.posted:
        means += " " + _(
            "%(points)s points in the account cannot be spent any more.", points=points(member.posted)
        )
    return _("Erase the person"), means, _("The person is erased.")
