"""What pages say of organisations: kinds, how they stand, why a tree cannot be changed like this."""

from dataclasses import dataclass

from admin.language import gettext as _
from ledger.organisation_tree import Node, Within
from ledger.organisations import Refusal

__all__ = ["StepWords", "kind_word", "offered", "refusal_words", "standing", "step_words"]


@dataclass(frozen=True, slots=True)
class StepWords:
    """A step in the page's language: its button, what it means, and what is said when it is done."""

    do: str
    means: str
    done: str


def kind_word(kind: str) -> str:
    """The word for a kind of organisation."""
    words = {
        "operator": _("Operator"),
        "enterprise": _("Enterprise"),
        "merchant": _("Merchant"),
        "department": _("Department"),
        "branch": _("Branch"),
        "store": _("Store"),
    }
    return words[kind]


def standing(status: str) -> tuple[str, str]:
    """How an organisation stands: a class of the stylesheet and a word."""
    return ("approved", _("In operation")) if status == "open" else ("idle", _("Closed down"))


def offered(node: Node, *, by_operator: bool) -> list[str]:
    """The steps that an organisation can take now; what concerns a whole tenant is the operator's."""
    steps = ["new"] if node.status == "open" else []
    if not node.top or by_operator:
        steps.append("rename")
    if not node.top:
        steps.append("move")
    if not node.top or (by_operator and node.kind != "operator"):
        steps.append("close" if node.status == "open" else "reopen")
    return steps


def step_words(step: str, node: Node, inside: Within | None = None) -> StepWords:
    """What the page says of a step of this organisation; `inside` tells closing what it closes."""
    if step == "new":
        return StepWords(_("New unit below"), "", _("The unit exists."))
    if step == "rename":
        return StepWords(_("Rename"), "", _("The organisation has its new name."))
    if step == "move":
        return StepWords(_("Move"), _move_means(), _("The unit was moved."))
    if step == "reopen":
        return StepWords(
            _("Open again"),
            _("People who work there can log in again, and its active terminals work again."),
            _("The organisation is open again."),
        )
    return StepWords(_("Close down"), _close_means(node, inside), _("The organisation is closed down."))


def _move_means() -> str:
    return _(
        "The unit goes under another one, with all that stands below it. Whoever's role reaches a unit and "
        "all below it gains or loses what is moved."
    )


def _close_means(node: Node, inside: Within | None) -> str:
    if node.kind == "enterprise":
        return _(
            "Nobody of this enterprise's staff can log in any more, from the next click on. Nothing else "
            "changes: its members keep their cards and points and can spend them, and what is spent is owed "
            "and billed as before. To stop spending, suspend its cards first. It can be opened again."
        )
    if node.kind == "merchant":
        return _(
            "Nobody of this merchant's staff can log in any more, and none of its stores sells anything, "
            "from the next message on. What was booked stays, and is owed. It can be opened again."
        )
    told = [_("Nothing that was booked here is lost, and the unit can be opened again.")]
    if inside is not None and inside.terminals:
        told.append(
            _(
                "Active terminals stand here: %(number)s. They sell nothing from the next message on.",
                number=inside.terminals,
            )
        )
    if inside is not None and inside.staff:
        told.append(
            _(
                "People who work here: %(number)s. They cannot log in any more, from the next click on.",
                number=inside.staff,
            )
        )
    if inside is not None and inside.members:
        told.append(_("Members belong to this unit: they stay, with their cards and points."))
    return " ".join(told)


def refusal_words(why: Refusal) -> str:
    """Why a tree cannot be changed like this, as a sentence."""
    words: dict[Refusal, str] = {
        "code_taken": _("This code is taken. Choose another."),
        "circular": _("A unit cannot stand below itself: this one is the unit, or stands below it."),
        "foreign": _("Choose a unit of the same tenant."),
        "closed_above": _("The unit above is closed. Open it first, or choose another."),
        "open_below": _("Open units stand below it. Close or move them first. Nothing was changed."),
        "top": _("The top of a tree cannot be changed like this. Nothing was changed."),
        "kind": _("A unit of this kind cannot stand here. Choose another kind."),
        "own_unit": _("You work there: closing it would shut you out. Nothing was changed."),
        "last_administrator": _(
            "The last administrators of the whole tenant work there: nobody could log in to mend it. Make "
            "somebody of another unit an administrator first. Nothing was changed."
        ),
        "no_change": _("It is so already. Nothing was changed."),
        "more_rights": _(
            "Your own role would reach more than before. Ask somebody who holds these rights. Nothing was "
            "changed."
        ),
    }
    return words[why]
