"""Words for a card's page: its number, its status, its limits and its history."""

from typing import NamedTuple

from flask import current_app, url_for
from flask_login import current_user

from admin.language import gettext as _
from admin.language import points
from ledger.card_details import CardDetails, CardEvent
from ledger.limits import Product

__all__ = [
    "EventShown", "LimitRow", "card_standing", "event_shown", "grouped", "limit_rows", "lot_kind",
    "member_page",
]  # fmt: skip

MEMBER_PAGE = "members.one"


class LimitRow(NamedTuple):
    """A limit: what it is about, what it comes to, and who set it."""

    what: str
    value: str
    source: str


class EventShown(NamedTuple):
    """An event: what happened, and who did it."""

    what: str
    who: str
    why: str | None


def grouped(number: str) -> str:
    """8600 1000 0000 0018, as it is printed on the card."""
    return " ".join(number[start : start + 4] for start in range(0, len(number), 4))


def member_page(member: int) -> str | None:
    """The address of a member's page; None for staff who may not see it."""
    if MEMBER_PAGE not in current_app.view_functions or "members.view" not in current_user.permissions:
        return None
    return url_for(MEMBER_PAGE, member=member)


def lot_kind(kind: str) -> str:
    """The word for a kind of points."""
    words: dict[str, str] = {
        "granted": _("Granted"),
        "purchased": _("Purchased"),
        "promotional": _("Promotional"),
    }
    return words[kind]


def card_standing(status: str, expired: bool) -> tuple[str, str]:
    """How a card's status looks (a class of the stylesheet), and its word."""
    if expired and status in {"issued", "active", "suspended"}:
        status = "expired"
    shown: dict[str, tuple[str, str]] = {
        "issued": ("open", _("Not active yet")),
        "active": ("approved", _("Active")),
        "suspended": ("reversed", _("Suspended")),
        "lost": ("refused", _("Reported lost")),
        "expired": ("idle", _("Expired")),
        "closed": ("idle", _("Closed")),
    }
    return shown[status]


def limit_rows(card: CardDetails, product: Product | None) -> list[LimitRow]:
    """The limits in force, each with where it comes from."""
    own, force = card.own, card.in_force

    def source(name: str) -> str:
        if getattr(own, name) is not None:
            return _("This card")
        if product is not None and getattr(product.limits, name) is not None:
            return _("Card product %(name)s", name=product.name)
        if getattr(force, name) is not None:
            return _("The enterprise")
        return "–"

    def value(limit: int | None) -> str:
        return _("No limit") if limit is None else _("%(points)s points", points=points(limit))

    above = force.pin_above_points or 0
    pin = _("Above %(points)s points", points=points(above)) if above else _("Every time")
    return [
        LimitRow(_("One purchase"), value(force.limit_points), source("limit_points")),
        LimitRow(_("One business date"), value(force.day_limit_points), source("day_limit_points")),
        LimitRow(_("PIN needed"), pin, source("pin_above_points")),
    ]


def event_shown(event: CardEvent) -> EventShown:
    """What an event says in the page's language."""
    if event.what == "pin_changed":  # by the member; its reason is how, not why
        how = _("with a one-time code") if event.reason == "by_code" else _("with the PIN before")
        return EventShown(_("PIN changed at a terminal"), _("Member"), how)
    if event.staff is not None:
        who = event.staff
    elif event.staff_id is not None:
        who = _("The operator's staff")  # whom an enterprise does not see
    else:
        who = "–"
    return EventShown(_what(event), who, event.reason)


def _what(event: CardEvent) -> str:
    if event.what == "status":
        became: dict[str | None, str] = {
            "active": _("Activated again") if event.from_status == "suspended" else _("Activated"),
            "suspended": _("Suspended"),
            "lost": _("Reported lost"),
            "closed": _("Closed"),
        }
        return became[event.to_status]
    if event.what == "replaced":
        return _("Replaced by issue %(number)s", number=event.issue)
    words: dict[str, str] = {
        "issued": _("Issued"),
        "pin_set": _("PIN set"),
        "pin_unblocked": _("PIN unblocked"),
        "pin_code": _("One-time PIN code given"),
        "limits": _("Limits changed"),
    }
    return words[event.what]
