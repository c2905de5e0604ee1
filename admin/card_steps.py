"""What staff may do to a card: which steps there are, when each is offered, and what it means, in words."""

from collections.abc import Callable
from dataclasses import dataclass

from admin.language import gettext as _
from ledger.card_details import CardDetails
from ledger.cards import MOVES, REPLACEABLE, WITHOUT_CODE

__all__ = ["STEPS", "Step", "StepWords", "mark", "offered", "refusal", "step_words"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `final`: nothing takes it back. `fits`: whether a card can take it now."""

    name: str
    final: bool
    fits: Callable[[CardDetails], bool]


@dataclass(frozen=True, slots=True)
class StepWords:
    """A step in the page's language: its button, what it means, and what is said when it is done."""

    do: str
    means: str
    done: str


def _can_become(status: str) -> Callable[[CardDetails], bool]:
    return lambda card: status in MOVES[card.status]


STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        Step("unblock", final=False, fits=lambda card: card.pin_blocked and card.status not in WITHOUT_CODE),
        Step("code", final=False, fits=lambda card: card.status not in WITHOUT_CODE and not card.expired),
        Step("activate", final=False, fits=_can_become("active")),
        Step("suspend", final=False, fits=_can_become("suspended")),
        Step("lost", final=True, fits=_can_become("lost")),
        Step("replace", final=True, fits=lambda card: card.status in REPLACEABLE),
        Step("close", final=True, fits=_can_become("closed")),
    )
}


def offered(card: CardDetails) -> list[Step]:
    """The steps that the card can take now."""
    return [step for step in STEPS.values() if step.fits(card)]


def mark(step: Step, card: CardDetails) -> str:
    """What a form remembers of the card it was made for: sent twice or too late, it finds another mark."""
    seen = f"{card.status}.{card.card.issue}"
    if step.name == "code" and card.code_until is not None:
        seen += f".{card.code_until.timestamp():.6f}"
    return seen


def step_words(step: Step, card: CardDetails) -> StepWords:
    """What the page says of a step of this card."""
    return _WORDS[step.name](card)


def refusal(step: Step, card: CardDetails) -> str | None:
    """Why the card cannot take this step now, as a sentence; None when it can."""
    if step.fits(card):
        return None
    if step.name == "unblock" and card.status not in WITHOUT_CODE:
        return _("The PIN is not blocked. Nothing was changed.")
    if step.name == "code" and card.expired:
        return _("The card has expired: it gets no PIN code. Replace it first.")
    if step.name == "replace" and card.status == "issued":
        return _("The card is not active yet: there is nothing to replace. Nothing was changed.")
    why: dict[str, str] = {
        "issued": _("The card is not active yet: this cannot be done with it. Nothing was changed."),
        "active": _("The card is active already. Nothing was changed."),
        "suspended": _("The card is suspended already. Nothing was changed."),
        "lost": _("The card was reported lost: it can only be replaced or closed. Nothing was changed."),
        "expired": _("The card has expired: it can only be replaced or closed. Nothing was changed."),
        "closed": _("The card is closed, for good. Nothing was changed."),
    }
    return why[card.status]


def _unblock(card: CardDetails) -> StepWords:
    return StepWords(
        _("Unblock the PIN"),
        _("The wrong tries are forgotten: the member's PIN counts again, from the next purchase on."),
        _("The PIN is unblocked."),
    )


def _code(card: CardDetails) -> StepWords:
    means = _(
        "The member gets eight digits with which a new PIN can be set at any terminal, once, within 7 days. "
        "They are shown to you on the next page, and never again."
    )
    if card.code_until is not None:
        means += " " + _("An earlier code is worth nothing from then on.")
    if card.pin_blocked:
        means += " " + _("A new PIN is not blocked any more.")
    if card.status == "issued":
        means += " " + _("Setting it also makes the card active.")
    return StepWords(_("Give a one-time PIN code"), means, _("The code is given."))


def _activate(card: CardDetails) -> StepWords:
    do = _("Activate") if card.status == "issued" else _("Activate again")
    return StepWords(
        do, _("Points can be spent with it, from the next purchase on."), _("The card is active.")
    )


def _suspend(card: CardDetails) -> StepWords:
    return StepWords(
        _("Suspend"),
        _("Every purchase is refused, from the next one on. The card can be activated again."),
        _("The card is suspended."),
    )


def _lost(card: CardDetails) -> StepWords:
    return StepWords(
        _("Report lost"),
        _(
            "Every purchase is refused, from the next one on, for good: whoever finds the card may copy "
            "it. The member can get a replacement, and keeps the points."
        ),
        _("The card is reported lost."),
    )


def _replace(card: CardDetails) -> StepWords:
    return StepWords(
        _("Replace"),
        _(
            "The card gets a new issue number. Its old QR code and chip are dead at once, and a new card "
            "must be printed. Number, PIN and points stay."
        ),
        _("The card is replaced: the old QR code and chip are dead. Now print the new card."),
    )


def _close(card: CardDetails) -> StepWords:
    return StepWords(
        _("Close"),
        _("The card ends for good, with its PIN. The points stay in the member's account."),
        _("The card is closed."),
    )


_WORDS: dict[str, Callable[[CardDetails], StepWords]] = {
    "unblock": _unblock,
    "code": _code,
    "activate": _activate,
    "suspend": _suspend,
    "lost": _lost,
    "replace": _replace,
    "close": _close,
}
