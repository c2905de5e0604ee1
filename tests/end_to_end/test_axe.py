"""What axe, a reader of pages for accessibility, finds on every page that links lead to: nothing serious.

Whatever hangs on words and structure is asked of every page, once for all who see it made of the same
parts. Contrast hangs on the parts alone: a page is asked for it, in both themes, when it has new ones.
"""

from typing import Any

from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, Page

from tests.end_to_end.conftest import Shop, log_in, needs_chromium, quiet_page
from tests.end_to_end.walking import walk

pytestmark = needs_chromium

WORDS = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": False}}}
COLOURS = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}
PARTS = """() => [...new Set([...document.querySelectorAll("body *")].map(part => [
  part.parentElement.tagName, part.parentElement.className, part.tagName, part.getAttribute("class"),
  part.type, part.name, part.getAttribute("role"), part.disabled, part.getAttribute("aria-current"),
].join(" ")))]"""
"""What a page is made of: its elements, by what they are and where they stand."""


def faults(page: Page, options: dict[str, Any]) -> list[tuple[str, str]]:
    """What is serious or critical: the rule, and the first element that breaks it."""
    found = page.evaluate("options => axe.run(options)", options)
    return [
        (each["id"], each["nodes"][0]["html"])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


def test_nothing_serious_is_found_on_any_page(shop: Shop, chromium: Browser) -> None:
    shop.wash()
    axe = AXE_FILE_PATH.read_text(encoding="utf-8")
    found: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    pages: set[frozenset[str]] = set()
    seen: set[str] = set()
    for login, least in (("op", 60), ("en", 40), ("bo", 25)):
        walked = 0
        with quiet_page(chromium, shop.address, reduced_motion="reduce") as page:
            log_in(page, login)
            page.goto("/")
            for path in walk(page):
                walked += 1
                parts = frozenset(page.evaluate(PARTS))
                if parts in pages:
                    continue
                page.evaluate(axe)
                found[login, path, "words"] = faults(page, WORDS)
                if not parts <= seen:
                    for theme in ("dark", "light"):
                        page.emulate_media(color_scheme=theme)
                        found[login, path, theme] = faults(page, COLOURS)
                pages.add(parts)
                seen |= parts
        assert walked >= least, login
    assert {where: what for where, what in found.items() if what} == {}
