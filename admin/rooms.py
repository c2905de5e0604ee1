"""The rooms of the site, as its menu lists them: to each person those that they may enter."""

from typing import Any, NamedTuple

from flask import request

from admin.language import gettext as _

__all__ = ["Room", "rooms_of"]

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


class Room(NamedTuple):
    """A link of the menu: the endpoint of its first page, its name, and its icon as a path in 20 by 20."""

    page: str
    name: str
    icon: str

    @property
    def here(self) -> bool:
        """Whether the page that is being made is one of this room's."""
        return request.blueprint == self.page.partition(".")[0]


def rooms_of(person: Any) -> list[Room]:
    """The rooms that a person may enter, in the order of the menu."""
    rooms = {
        "transactions.view": Room("transactions.latest", _("Transactions"), ARROWS),
        "cards.view": Room("cards.find", _("Cards"), CARD),
        "terminals.view": Room("terminals.overview", _("Terminals"), DEVICE),
        "points.view": Room("points.overview", _("Expiring"), HOURGLASS),
        "day.view": Room("day.overview", _("Business day"), CALENDAR),
    }
    return [room for permission, room in rooms.items() if permission in person.permissions]
