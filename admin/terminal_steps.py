"""What staff may do to a terminal: which steps there are, when each is offered, what it means in words."""

from collections.abc import Callable
from dataclasses import dataclass

from admin.language import gettext as _
from ledger.terminal_lists import TerminalLine

__all__ = ["STEPS", "TerminalStep", "TerminalStepWords", "offered", "refusal", "step_words"]


@dataclass(frozen=True, slots=True)
class TerminalStep:
    """One step. `final`: nothing takes it back. `fits`: whether a terminal can take it now."""

    name: str
    final: bool
    fits: Callable[[TerminalLine], bool]


@dataclass(frozen=True, slots=True)
class TerminalStepWords:
    """A step in the page's language: its button, what it means, and what is said when it is done."""

    do: str
    means: str
    done: str


STEPS: dict[str, TerminalStep] = {
    step.name: step
    for step in (
        TerminalStep("code", final=False, fits=lambda line: line.status != "revoked"),
        TerminalStep(
            "key", final=False, fits=lambda line: line.status == "active" and not line.key_change_asked
        ),
        TerminalStep("move", final=False, fits=lambda line: line.status != "revoked"),
        TerminalStep("revoke", final=True, fits=lambda line: line.status != "revoked"),
    )
}


def offered(line: TerminalLine) -> list[TerminalStep]:
    """The steps that the terminal can take now."""
    return [step for step in STEPS.values() if step.fits(line)]


def refusal(step: TerminalStep, line: TerminalLine) -> str | None:
    """Why the terminal cannot take this step now, as a sentence; None when it can."""
    if step.fits(line):
        return None
    if line.status == "revoked":
        return _("The terminal is revoked, for good. Make a new one in its place. Nothing was changed.")
    if line.status == "created":
        return _("No device has enrolled as this terminal yet: it has no key. Nothing was changed.")
    return _("The terminal is being asked for a new key already. Nothing was changed.")


def step_words(step: TerminalStep, line: TerminalLine) -> TerminalStepWords:
    """What the page says of a step of this terminal."""
    if step.name == "code":
        means = _(
            "A device enrols with this code, once, within 7 days. It is shown to you on the next page, and "
            "never again. Earlier codes that nobody used are worth nothing from then on."
        )
        if line.status == "active":
            means += " " + _(
                "The device that enrols takes this terminal's place: the present one is shut out then."
            )
        return TerminalStepWords(_("Give an enrolment code"), means, _("The code is given."))
    if step.name == "key":
        return TerminalStepWords(
            _("Ask for a new key"),
            _(
                "The terminal is asked to make itself a new key, at once if it is connected, else at its "
                "next login. Its work goes on meanwhile."
            ),
            _("The terminal is asked for a new key."),
        )
    if step.name == "move":
        return TerminalStepWords(
            _("Move to another store"),
            _(
                "What it sells from the next message on, the new store sells; what it has sold stays with "
                "the old one. Its receipts name the new store after its next login."
            ),
            _("The terminal stands in the new store."),
        )
    return TerminalStepWords(
        _("Revoke"),
        _(
            "The terminal is shut out within a second, for good, also in the middle of its work: for a "
            "device that was lost or stolen. What it has booked stays. Another device gets a new terminal in "
            "its place."
        ),
        _("The terminal is revoked."),
    )
