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

# Nothing is fetched again: only a rule that is not asked for would read style sheets.
ALWAYS = {"resultTypes": ["violations"], "preload": False}
WORDS = {**ALWAYS, "rules": {"color-contrast": {"enabled": False}}}
COLOURS = {
    **ALWAYS,
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}
PARTS = """() => [...new Set([...document.querySelectorAll("body *")].map(part => [
  part.parentElement.tagName, part.parentElement.className, part.tagName, part.getAttribute("class"),
  part.type, part.name, part.getAttribute("role"), part.disabled, part.getAttribute("aria-current"),
].join(" ")))]"""
"""What a page is made of: its elements, by what they are and where they stand."""


SERIOUS = """async options => (await axe.run(options)).violations
  .filter(each => ["serious", "critical"].includes(each.impact)).map(each => [each.id, each.nodes[0].html])"""


def faults(page: Page, options: dict[str, Any]) -> list[tuple[str, str]]:
    """What is serious or critical: the rule, and the first element that breaks it."""
    return [(rule, html) for rule, html in page.evaluate(SERIOUS, options)]


def test_nothing_serious_is_found_on_any_page(shop: Shop, chromium: Browser) -> None:
    shop.wash()
    found: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    pages: set[frozenset[str]] = set()
    seen: set[str] = set()
    for login, least in (("op", 60), ("en", 40), ("bo", 25)):
        walked = 0
        with quiet_page(chromium, shop.address, reduced_motion="reduce") as page:
            log_in(page, login)
            page.add_init_script(path=AXE_FILE_PATH)
            page.goto("/")
            for path in walk(page):
                walked += 1
                parts = frozenset(page.evaluate(PARTS))
                if parts in pages:
                    continue
                if parts <= seen:
                    found[login, path, "words"] = faults(page, WORDS)
                else:
                    found[login, path, "light"] = faults(page, ALWAYS)
                    page.emulate_media(color_scheme="dark")
                    found[login, path, "dark"] = faults(page, COLOURS)
                    page.emulate_media(color_scheme="light")
                pages.add(parts)
                seen |= parts
        assert walked >= least, login
    assert {where: what for where, what in found.items() if what} == {}
