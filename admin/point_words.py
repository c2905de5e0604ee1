"""Words for orders of points: what they are, how they stand, why something cannot be done."""

from collections.abc import Sequence

from flask_babel import ngettext

from admin.language import gettext as _
from admin.language import language, points
from admin.money import money
from ledger.point_lines import Fault
from ledger.point_orders import LineShown, PointOrder
from ledger.point_steps import Refused
from protocol.codes import code_info

__all__ = [
    "fault_words", "faults_words", "line_outcome", "order_kind", "order_paid", "order_standing",
    "payment_words", "refused_words", "states",
]  # fmt: skip

FAULTS_SHOWN = 10


def states() -> dict[str, str]:
    """The states of orders that a list is filtered by."""
    return {
        "all": _("All"),
        "draft": _("Drafts"),
        "waiting": _("To decide"),
        "approved": _("Under way"),
        "done": _("Done"),
        "refused": _("Refused"),
        "withdrawn": _("Withdrawn"),
    }


def order_kind(order: PointOrder) -> str:
    """What an order is."""
    if order.kind == "adjust":
        return _("Adjustment: points taken back") if order.takes else _("Adjustment: points given")
    return _("Top-up") if order.kind == "topup" else _("Grant")


def order_standing(order: PointOrder) -> tuple[str, str]:
    """How an order's state looks (a class of the stylesheet), and its words."""
    if order.state == "waiting":
        return "open", _("Waits for the payment") if order.needs == "payment" else _("Waits for approval")
    shown: dict[str, tuple[str, str]] = {
        "draft": ("open", _("Draft")),
        "approved": ("open", _("Under way")),
        "done": ("approved", _("Done")),
        "refused": ("refused", _("Refused")),
        "withdrawn": ("idle", _("Withdrawn")),
    }
    return shown[order.state]


def payment_words(payment: str) -> str:
    """How a top-up was paid."""
    words = {"cash": _("Cash"), "card": _("Bank card"), "transfer": _("Bank transfer")}
    return words[payment]


def order_paid(order: PointOrder) -> str | None:
    """What was paid for a top-up, and how."""
    if order.paid_minor is None or order.currency is None or order.payment is None:
        return None
    return f"{money(order.paid_minor, order.currency)} · {payment_words(order.payment)}"


def line_outcome(line: LineShown) -> tuple[str, str]:
    """How the outcome of a line looks (a class of the stylesheet), and its words."""
    if line.code is None:
        return "idle", _("Not yet")
    if line.code == 0:
        return "approved", _("Booked")
    info = code_info(line.code)
    return "refused", info.text_zh if language() == "zh" else info.text


def fault_words(fault: Fault) -> str:
    """Why a line of a list cannot be used."""
    words = {
        "points": _("the points are no whole number from 1 on"),
        "missing": _("it has no points, and none are typed for all"),
        "twice": _("this code stands above already"),
        "unknown": _("no member has this code"),
        "closed": _("this member's account is closed"),
    }
    where = _("Line %(number)s", number=fault.place)
    return f"{where} ({fault.code[:40]}): {words[fault.why]}"


def faults_words(faults: Sequence[Fault]) -> list[str]:
    """The first faults of a list, each a sentence, and how many more there are."""
    ordered = sorted(faults, key=lambda fault: fault.place)
    said = [fault_words(fault) for fault in ordered[:FAULTS_SHOWN]]
    more = len(faults) - len(said)
    if more > 0:
        said.append(str(ngettext("… and %(num)s more line", "… and %(num)s more lines", more)))
    return said


def refused_words(refused: Refused) -> str:
    """Why a step was not taken, as sentences."""
    if refused.why == "budget":
        left = points(refused.left)
        return _(
            "The budget does not bear this: %(left)s points are left of it. Nothing was granted. Raise the "
            "budget, or order fewer points.",
            left=left,
        )
    words = {
        "own": _("You made this order yourself: somebody else has to decide about it. Nothing was changed."),
        "funder": _("These points are the operator's to give: its own staff decide. Nothing was changed."),
        "units": _(
            "Some of its members are of units that your rights do not reach: somebody whose rights reach all "
            "of them decides. Nothing was changed."
        ),
        "day": _("No business day is open, so nothing can be booked. Nothing was changed."),
        "gone": _("Only who made this order may do that. Nothing was changed."),
        "changed": _(
            "The order is not any more as your page showed it, perhaps by a second click of your own. "
            "Nothing was changed now."
        ),
    }
    return words[refused.why]
