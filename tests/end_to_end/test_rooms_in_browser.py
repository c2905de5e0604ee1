"""Cards, terminals and the business day in a real browser."""

import os
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from ledger import books, logins, terminals
from ledger.card_details import CardDetails, card_history, find_card
from ledger.database import Scope
from ledger.keyring import Keyring
from protocol.credentials import parse_enrolment_code
from tests.end_to_end.conftest import Shop, log_in, needs_chromium
from tests.factories import NOW, create_pin_change

pytestmark = needs_chromium


def card_of(shop: Shop) -> CardDetails:
    with shop.database.transaction(Scope.everything()) as connection:
        found = find_card(connection, shop.holder.card.number)
    assert found is not None
    return found


def events(shop: Shop) -> list[str]:
    """What people of the staff did to the card, newest first."""
    with shop.database.transaction(Scope.everything()) as connection:
        return [event.what for event in card_history(connection, shop.holder.card) if event.staff_id]


def find_the_card(shop: Shop, page: Page) -> None:
    """As a person does who reads the number from the card."""
    number = shop.holder.card.number
    page.get_by_role("link", name="Cards", exact=True).click()
    spaced = " ".join(number[start : start + 4] for start in range(0, 16, 4))
    page.get_by_label("Card number, member code or name").fill(spaced)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=spaced)).to_be_visible()


def test_a_member_who_forgot_the_pin_is_helped(shop: Shop, page: Page) -> None:
    for _ in range(3):
        shop.wash(pin="000000")
    log_in(page, "en")
    find_the_card(shop, page)
    expect(page.get_by_text("Blocked", exact=True)).to_be_visible()

    page.get_by_role("link", name="Unblock the PIN").click()
    page.get_by_label("Reason (optional)").fill("Called from her own phone")
    page.get_by_role("button", name="Unblock the PIN").click()
    expect(page.get_by_text("The PIN is unblocked.")).to_be_visible()
    expect(page.get_by_text("Called from her own phone")).to_be_visible()
    assert card_of(shop).pin_tries == 0

    page.get_by_role("link", name="Give a one-time PIN code").click()
    page.get_by_role("button", name="Give a one-time PIN code").dblclick()
    expect(page.locator(".big-code")).to_be_visible()
    code = "".join(page.locator(".big-code span").all_inner_texts())
    assert len(code) == 8
    assert code.isdigit()
    assert events(shop) == ["pin_code", "pin_unblocked"]  # one of each, for all the clicking
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_text("outstanding until")).to_be_visible()
    assert code not in page.content()

    card, keyring = shop.holder.card, Keyring.load(shop.secrets)
    proof = keyring.code_verifier(card.slot, card.account_id, card.id, code)
    change = create_pin_change(shop.house, shop.holder, pin=None, code_proof=proof)
    with shop.database.transaction(Scope.everything()) as connection:
        (outcome,) = books.post(connection, [change], NOW)
    assert outcome.code == 0
    page.reload()
    expect(page.get_by_text("PIN changed at a terminal")).to_be_visible()


def test_a_lost_device_is_shut_out_and_another_takes_its_place(shop: Shop, page: Page) -> None:
    key = os.urandom(32)
    with shop.database.transaction(Scope.everything()) as connection:
        connection.exec_driver_sql(
            "UPDATE terminal SET public_key = %s, name = 'Till 1' WHERE id = %s", (key, shop.house.terminal)
        )
    log_in(page)
    page.get_by_role("link", name="Terminals", exact=True).click()
    page.get_by_role("link", name="Till 1").click()
    page.get_by_role("link", name="Revoke").click()
    expect(page.get_by_text("This cannot be taken back.")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_text("Active", exact=True)).to_be_visible()

    page.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("The terminal is revoked.")).to_be_visible()
    with shop.database.transaction(Scope.everything()) as connection:
        assert logins.login(connection, public_key=key, software="1", now=NOW) is None

    page.get_by_role("link", name="New terminal in its place").click()
    expect(page.get_by_label("Name")).to_have_value("Till 1")
    page.get_by_role("button", name="Make it").click()
    text = page.get_by_label("The same as text").input_value()
    picture = page.get_by_role("img", name="The enrolment code as a QR code").bounding_box()
    assert picture is not None
    assert picture["width"] == picture["height"] > 200
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the text").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == text
    code = parse_enrolment_code(text)
    with shop.database.transaction(Scope.everything()) as connection:
        seat = terminals.enrol(
            connection,
            enrolment_id=code.enrolment.id,
            public_key=os.urandom(32),
            model="V200t",
            software="1",
            now=NOW + timedelta(minutes=1),
        )
    assert seat is not None


def test_without_scripts_a_step_works_too(shop: Shop, page: Page) -> None:
    browser = page.context.browser
    assert isinstance(browser, Browser)
    context = browser.new_context(base_url=shop.address, locale="en-GB", java_script_enabled=False)
    plain = context.new_page()
    log_in(plain, "en")
    find_the_card(shop, plain)
    plain.get_by_role("link", name="Report lost").click()
    plain.get_by_role("button", name="Report lost").click()
    expect(plain.get_by_text("The card is reported lost.")).to_be_visible()
    assert card_of(shop).status == "lost"
    context.close()


def test_a_phone_reaches_every_room_and_none_scrolls_sideways(shop: Shop, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    log_in(page, "op")
    page.locator(".you summary").click()
    page.get_by_role("navigation", name="More").get_by_role("link", name="Business day").click()
    expect(page.get_by_role("heading", name="Business day")).to_be_visible()
    card, terminal = shop.holder.card.number, shop.house.terminal
    paths = (
        "/", "/cards", "/cards?q=member", f"/cards/{card}", f"/cards/{card}/replace", "/terminals",
        "/terminals/new", f"/terminals/{terminal}", f"/terminals/{terminal}/revoke", "/points",
        "/members", "/merchants", "/services", "/organisations", "/staff", "/roles", "/trail", "/day",
    )  # fmt: skip
    for language in ("English", "中文"):
        for path in paths:
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") == 360, (language, path)
            bar = page.locator(".side").bounding_box()
            assert bar is not None
            assert bar["y"] + bar["height"] == 740, (language, path)
        if language == "English":
            page.get_by_role("button", name="中文").click()
            expect(page.get_by_role("heading", name="营业日", exact=True)).to_be_visible()


@pytest.mark.parametrize("step", ["suspend", "replace"])
def test_a_step_is_taken_with_the_keyboard_alone(shop: Shop, page: Page, step: str) -> None:
    log_in(page, "en")
    page.goto(f"/cards/{shop.holder.card.number}")
    link = page.locator(f'a.step[href$="/{step}"]')
    for _ in range(30):
        page.keyboard.press("Tab")
        if link.evaluate("link => link === document.activeElement"):
            break
    page.keyboard.press("Enter")
    reason = page.get_by_label("Reason (optional)")
    expect(reason).to_be_visible()
    reason.focus()
    page.keyboard.type("By hand")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("The card is")
    assert events(shop)[0] in {"status", "replaced"}
