"""Walks through all that somebody can reach by links, one page of each kind."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from playwright.sync_api import Error, Page

__all__ = ["walk"]

# A number or an identifier: the page of another card is no other kind of page.
VARYING = re.compile(r"(?<=/)(\d+|[0-9a-f-]{32,36})(?=/|$|\.)")
LINKS = "() => [...document.querySelectorAll('a[href]:not([download])')].map(link => link.href)"


def kind_of(address: str) -> str:
    """The path with the same sign for everything that varies."""
    return VARYING.sub("…", urlsplit(address).path)


def walk(page: Page, *, most: int = 200) -> Iterator[str]:
    """Open each kind of page that links lead to from the one that is open, and give its path.

    Files to download are passed over. Ends with the page last seen, after `most` at the latest.
    """
    here = urlsplit(page.url).netloc
    waiting, known = [page.url], {kind_of(page.url)}
    while waiting and most:
        address = waiting.pop(0)
        try:
            answer = page.goto(address)
        except Error as error:
            if "Download is starting" in str(error):
                continue
            raise
        assert answer is not None
        if "html" not in answer.headers.get("content-type", ""):
            continue
        assert answer.status in (200, 409), (address, answer.status)  # 409: a step that cannot be taken now
        most -= 1
        yield urlsplit(page.url).path
        for link in page.evaluate(LINKS):
            if urlsplit(link).netloc == here and kind_of(link) not in known:
                known.add(kind_of(link))
                waiting.append(link.partition("#")[0])
