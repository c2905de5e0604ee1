"""The menu."""

import re

import pytest

from tests.admin.conftest import Site


def here(page: str) -> list[str]:
    """The links that say: you are here. Those that a phone shows elsewhere come twice."""
    return re.findall(r'class="room[^"]*" href="([^"]+)" aria-current="page"', page)


@pytest.mark.parametrize(
    ("path", "rooms"),
    [
        ("/", ["/"]),
        ("/transactions", ["/transactions"]),
        ("/cards", ["/cards", "/cards"]),
        ("/terminals/new", ["/terminals", "/terminals"]),
        ("/day/next", ["/day", "/day"]),
    ],
)
def test_the_menu_says_where_one_is(site: Site, path: str, rooms: list[str]) -> None:
    assert here(site.signed_in("operator").get(path).text) == rooms


def test_what_does_not_fit_the_bar_of_a_phone_stands_in_the_menu_too(site: Site) -> None:
    page = site.signed_in("operator").get("/").text
    more = page.partition('class="more-rooms"')[2].partition("</nav>")[0]
    bar = page.partition('class="rooms"')[2].partition("</nav>")[0]
    rooms = re.findall(r'href="([^"]+)"', bar)
    assert len(rooms) > 5
    assert re.findall(r'href="([^"]+)"', more) == rooms[3:]
    assert len(re.findall(r'class="room later', bar)) == len(rooms) - 3
