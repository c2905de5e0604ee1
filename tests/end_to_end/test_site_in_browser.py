"""The site in a real browser: what only a browser can tell."""

from playwright.sync_api import Page, expect

from tests.end_to_end.conftest import Shop, log_in, needs_chromium

pytestmark = needs_chromium


def ground(page: Page) -> str:
    colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


def test_a_day_at_the_counter(shop: Shop, page: Page) -> None:
    log_in(page)
    rows = page.locator("#rows tr")
    live = page.locator("#live")
    expect(page.get_by_text("No transactions yet")).to_be_visible()
    expect(live).to_contain_text("Live")

    shop.wash()  # nobody reloads the page
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("−120")
    expect(rows.first).to_contain_text("Approved")
    expect(page.get_by_text("No transactions yet")).to_be_hidden()
    expect(page.locator("#said")).to_have_text("New transactions: 1")

    shop.wash(pin="000000")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("Wrong PIN")

    live.click()
    expect(live).to_contain_text("Paused")
    shop.wash()
    page.get_by_role("button", name="Paused. Let the list go on").click()
    expect(rows).to_have_count(3)

    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", name="交易", exact=True)).to_be_visible()
    expect(rows.nth(1)).to_contain_text("密码错误")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"

    page.get_by_role("link", name="已拒绝").click()
    expect(rows).to_have_count(1)


def test_the_theme_is_the_devices_until_somebody_chooses(shop: Shop, page: Page) -> None:
    log_in(page)
    light = ground(page)
    page.emulate_media(color_scheme="dark")
    dark = ground(page)
    assert dark != light
    page.locator(".you summary").click()
    page.get_by_role("button", name="Light").click()
    expect(page.locator(".you-menu")).to_be_hidden()
    assert ground(page) == light
    page.reload()
    assert ground(page) == light
    page.emulate_media(color_scheme="light")
    page.locator(".you summary").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator(".you-menu")).to_be_hidden()
    assert ground(page) == dark


def test_everything_can_be_reached_with_the_keyboard(shop: Shop, page: Page) -> None:
    log_in(page)
    expect(page.locator("#live")).to_contain_text("Live")
    reached = []
    for _ in range(24):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText.trim().split('\\n')[0]"))
    assert reached[0] == "Skip to content"
    for name in ("Tessera", "Transactions", "Terminals", "Live", "中文", "All", "Approved", "Refused"):
        assert name in reached
    page.locator(".you summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Log out")).to_be_hidden()


def test_a_phone_shows_the_same_without_scrolling_sideways(shop: Shop, page: Page) -> None:
    shop.wash()
    page.set_viewport_size({"width": 360, "height": 740})
    log_in(page)
    expect(page.locator("#rows tr").first).to_contain_text("−120")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    bar = page.locator(".side").bounding_box()
    assert bar is not None
    assert bar["y"] + bar["height"] == 740
    page.locator(".you summary").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


NAMES = [
    ("Swift Roadside 迅捷道路救援", "Ring Road 环城站", "Roadside rescue"),
    ("Bright Car Care 亮洁汽车", "North Gate 北门店", "Annual inspection"),
    ("Star Cinema 星光影城", "City Square 市民广场店", "Cinema ticket"),
]
"""Merchant, store and service of a row: as long as they come, in both scripts."""

RENAME = """names => document.querySelectorAll("#rows tr").forEach((row, index) => {
  const [merchant, store, service] = names[index % names.length];
  const cell = row.querySelector(".merchant");
  cell.firstChild.textContent = merchant + " ";
  cell.querySelector(".sub").textContent = store;
  row.querySelector(".service").textContent = service;
})"""

BREAKS = """() => [...document.querySelectorAll(".merchant, .service, .status")].flatMap(cell => {
  const found = [];
  const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    for (const word of walker.currentNode.data.matchAll(/\\S+/g)) {
      const range = document.createRange();
      range.setStart(walker.currentNode, word.index);
      range.setEnd(walker.currentNode, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) found.push(word[0]);
    }
  }
  return found;
})"""
"""The words that are broken over two lines."""


def test_names_wrap_between_words(shop: Shop, page: Page) -> None:
    for pin in ("314159", "000000", "314159"):
        shop.wash(pin=pin)
    log_in(page)
    for language in ("English", "中文"):
        page.locator(".live").click()  # paused: rows that arrive would have their own names
        for width in (1360, 1280, 1000, 390):
            page.set_viewport_size({"width": width, "height": 800})
            page.evaluate(RENAME, NAMES)
            assert page.evaluate(BREAKS) == [], (language, width)
            sideways = page.evaluate(
                "[document.documentElement, document.querySelector('.scroll')]"
                ".map(part => part.scrollWidth - part.clientWidth)"
            )
            assert sideways == [0, 0], (language, width)
            # The name of the store begins a line of its own, on every screen.
            store = page.locator(".merchant .sub").first.bounding_box()
            cell = page.locator(".merchant").first.bounding_box()
            assert store is not None
            assert cell is not None
            padding = page.locator(".merchant").first.evaluate(
                "cell => parseFloat(getComputedStyle(cell).paddingLeft)"
            )
            assert abs(store["x"] - cell["x"] - padding) < 1, (language, width)
            if width >= 1280:
                rows = page.locator("#rows tr").evaluate_all("rows => rows.map(row => row.offsetHeight)")
                assert max(rows) < 85, (language, width, rows)  # two lines and the store's
        if language == "English":
            page.get_by_role("button", name="中文").click()
            expect(page.get_by_role("heading", name="交易", exact=True)).to_be_visible()


def test_without_scripts_the_list_is_a_plain_page(shop: Shop, page: Page) -> None:
    shop.wash()
    context = page.context.browser.new_context(  # type: ignore[union-attr]
        base_url=shop.address, locale="en-GB", java_script_enabled=False
    )
    plain = context.new_page()
    log_in(plain)
    expect(plain.locator("#rows tr")).to_have_count(1)
    expect(plain.locator("#live")).to_be_hidden()
    shop.wash()
    plain.get_by_role("link", name="Reload").click()
    expect(plain.locator("#rows tr")).to_have_count(2)
    context.close()


def test_whoever_is_logged_out_elsewhere_is_led_to_the_login(shop: Shop, page: Page) -> None:
    log_in(page)
    expect(page.locator("#live")).to_contain_text("Live")
    page.context.clear_cookies()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
