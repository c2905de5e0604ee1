"""What may be done with somebody's login, and how each step reads before and after it."""

from typing import NamedTuple

from admin.language import gettext as _
from ledger.staff_lists import Person

__all__ = ["STEPS", "StaffStep", "StepWords", "offered", "refusal", "step_words"]


class StaffStep(NamedTuple):
    """A step by its name in the address; what the trail calls it; `final` when it is one to think about."""

    name: str
    deed: str
    final: bool = False


class StepWords(NamedTuple):
    """On the button, what it means, and what is said when it is done."""

    do: str
    means: str
    done: str


STEPS = {
    step.name: step
    for step in (
        StaffStep("password", "staff.password_link"),
        StaffStep("factor", "staff.factor_off", final=True),
        StaffStep("sessions", "staff.session_end"),
        StaffStep("close", "staff.close", final=True),
        StaffStep("reopen", "staff.reopen"),
    )
}


def offered(person: Person) -> list[StaffStep]:
    """The steps that make sense for a person as they are now."""
    if person.status == "closed":
        return [STEPS["reopen"]]
    names = ["password", "sessions", "close"]
    if person.factor_since is not None:
        names.insert(1, "factor")
    return [STEPS[name] for name in names]


def refusal(step: StaffStep, person: Person, own: bool) -> str | None:
    """Why a step cannot be taken; None when it can. `own`: the person is the one who asks."""
    if own:
        return _("This is your own login. What you may do with it stands on the page Your login.")
    if step in offered(person):
        return None
    return _("The login is not any more what the page showed. Nothing was changed.")


def step_words(step: StaffStep, person: Person) -> StepWords:
    """The words of a step for a person."""
    name = person.name
    return {
        "password": StepWords(
            _("Give a link for a new password"),
            _(
                "%(name)s chooses a new password with it. The link is good for 7 days, once; the password "
                "of now stays good until then. Pass it on so that nobody else sees it.",
                name=name,
            ),
            "",
        ),
        "factor": StepWords(
            _("Take the second factor off"),
            _(
                "For somebody who has lost phone and recovery codes. From then on the password alone lets "
                "%(name)s in, until a new second factor is set up. Be sure that it is %(name)s who asks.",
                name=name,
            ),
            _("The second factor is off, and the open sessions have ended."),
        ),
        "sessions": StepWords(
            _("Log out everywhere"),
            _("Wherever %(name)s is logged in, the next click asks for the password.", name=name),
            _("The open sessions have ended."),
        ),
        "close": StepWords(
            _("Close the login"),
            _(
                "%(name)s can log in no more, and the open sessions end now. What %(name)s did stays in the "
                "audit trail. The login can be opened again.",
                name=name,
            ),
            _("The login is closed."),
        ),
        "reopen": StepWords(
            _("Open the login again"),
            _("%(name)s can log in again, with the password and the roles of before.", name=name),
            _("The login is open again."),
        ),
    }[step.name]
