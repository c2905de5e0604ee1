"""The rooms of the site, as its menu lists them: to each person those that they may enter."""

from typing import Any, NamedTuple

from flask import request

from admin.access import SIGNED_IN
from admin.language import gettext as _

__all__ = ["Room", "may_find", "rooms_of"]

HOUSE = "M3 9l7-6 7 6M5 7.5V17h10V7.5M8.3 17v-5h3.4v5"
ARROWS = "M4 7h11.5M12.5 4l3 3-3 3M16 13H4.5M7.5 10l-3 3 3 3"
CARD = "M4.5 4.5h11a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2h-11a2 2 0 0 1-2-2v-7a2 2 0 0 1 2-2zM2.5 8.5h15M5.5 12.3h3.5"
DEVICE = (
    "M7 2.5h6a2 2 0 0 1 2 2v11a2 2 0 0 1-2 2H7a2 2 0 0 1-2-2v-11a2 2 0 0 1 2-2zM7.7 5.5h4.6v3H7.7z"
    "M7.8 11.5h.01M10 11.5h.01M12.2 11.5h.01M7.8 14.3h.01M10 14.3h.01M12.2 14.3h.01"
)
HOURGLASS = (
    "M5.5 2.8h9M5.5 17.2h9M6.5 2.8c0 4 3.5 5 3.5 7.2s-3.5 3.2-3.5 7.2"
    "M13.5 2.8c0 4-3.5 5-3.5 7.2s3.5 3.2 3.5 7.2"
)
CALENDAR = "M5 4h10a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2zM3 8.2h14M7 2.5v3M13 2.5v3"
SHOP = (
    "M3.5 8.5V17h13V8.5M2.5 8l1.6-4.5h11.8L17.5 8a2.5 2.5 0 0 1-5 0 2.5 2.5 0 0 1-5 0 2.5 2.5 0 0 1-5 0"
    "M8 17v-4.5h4V17"
)
TAG = "M10.2 2.8H17v6.8l-7.4 7.4a1.4 1.4 0 0 1-2 0L3 12.2a1.4 1.4 0 0 1 0-2zM13.6 6.2h.01"
TREE = (
    "M10 3.5a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM4.5 12.5a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM15.5 12.5a2 2 0 1 0 0 4 2 2"
    " 0 0 0 0-4zM10 7.5v3M4.5 12.5v-2h11v2"
)
PEOPLE = (
    "M7.5 4a2.6 2.6 0 1 0 0 5.2 2.6 2.6 0 0 0 0-5.2zM2.5 16c0-3 2-4.8 5-4.8s5 1.8 5 4.8"
    "M13 4.4a2.4 2.4 0 0 1 0 4.6M14.5 11.6c2 .6 3 2.2 3 4.4"
)
PERSON = "M10 3a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM4 17c0-3.4 2.4-5.4 6-5.4s6 2 6 5.4"
FOOTPRINTS = "M5 3h7l4 4v10H5zM12 3v4h4M7.5 10.5h6M7.5 13.5h4"


class Room(NamedTuple):
    """A link of the menu: the endpoint of its first page, its name, and its icon as a path in 20 by 20."""

    page: str
    name: str
    icon: str

    @property
    def parted(self) -> bool:
        """Whether the menu leaves a gap before it: another group of rooms begins."""
        return self.page in {"merchants.overview", "organisations.overview"}

    @property
    def here(self) -> bool:
        """Whether the page that is being made is one of this room's."""
        room = (request.blueprint or "").partition("_")[0]  # cards_issue is of the room of cards
        return room == self.page.partition(".")[0]


def rooms_of(person: Any) -> list[Room]:
    """The rooms that a person may enter, in the order of the menu."""
    rooms = {
        SIGNED_IN: Room("home.overview", _("Overview"), HOUSE),
        "transactions.view": Room("transactions.latest", _("Transactions"), ARROWS),
        "members.view": Room("members.overview", _("Members"), PERSON),
        "cards.view": Room("cards.find", _("Cards"), CARD),
        "points.view": Room("points.overview", _("Points"), HOURGLASS),
        "merchants.view": Room("merchants.overview", _("Merchants"), SHOP),
        "services.view": Room("services.overview", _("Services"), TAG),
        "terminals.view": Room("terminals.overview", _("Terminals"), DEVICE),
        "organisations.view": Room("organisations.overview", _("Organisations"), TREE),
        "staff.view": Room("staff.overview", _("Staff"), PEOPLE),
        "day.view": Room("day.overview", _("Business day"), CALENDAR),
        "trail.view": Room("trail.overview", _("Audit trail"), FOOTPRINTS),
    }
    return [room for permission, room in rooms.items() if permission in {SIGNED_IN, *person.permissions}]


def may_find(person: Any) -> bool:
    """Whether there are numbers that a person could find something by."""
    return not {"cards.view", "members.view", "transactions.view"}.isdisjoint(person.permissions)
