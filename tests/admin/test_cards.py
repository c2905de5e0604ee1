"""Finding a card, and its page."""

from datetime import timedelta
from urllib.parse import quote

from sqlalchemy import Connection

from admin.cards import FOUND_MOST, WORDS_MOST
from ledger import cards, limits
from ledger.limits import Limits, Terms
from ledger.members import create_member
from tests.admin.browsing import words
from tests.admin.card_desk import block_pin, create_card, details, path, post
from tests.admin.conftest import Site
from tests.factories import NOW, TODAY, create_holder, create_pin_change

# ---- finding -----------------------------------------------------------------------------------------


def test_a_number_leads_to_its_card_however_it_is_spaced(site: Site) -> None:
    holder = create_card(site)
    browser, number = site.signed_in("operator"), holder.card.number
    spaced = " ".join((number[:4], number[4:8], number[8:12], number[12:]))
    for typed in (number, spaced, f"  {spaced} "):
        answer = browser.get(f"/cards?q={quote(typed)}")
        assert (answer.status_code, answer.location) == (303, path(holder))


def test_a_member_is_found_by_code_or_name(site: Site) -> None:
    def act(connection: Connection) -> str:
        account = create_member(connection, enterprise=site.house.enterprise, code="V0017", name="Wang Fang")
        return cards.issue_card(connection, account, now=NOW, status="issued").number

    number = site.change(act)
    browser = site.signed_in("enterprise")
    for typed in ("v0017", "V00", "wang", "FANG"):
        page = browser.get(f"/cards?q={typed}").text
        assert f'href="/cards/{number}"' in page
        assert "Wang Fang V0017" in words(page)
        assert "Not active yet" in words(page)
        assert f'value="{typed}"' in page


def test_what_is_not_there_is_said_with_what_to_try(site: Site) -> None:
    browser = site.signed_in("operator")
    for typed in ("8600000000000000", "nobody", "%00", "<script>"):
        page = browser.get(f"/cards?q={quote(typed, safe='%')}").text
        assert "No card found" in page
        assert "<script>" not in page.partition("<main")[2]
    assert "No card found" not in browser.get("/cards").text


def test_more_than_a_list_holds_is_said(site: Site) -> None:
    def act(connection: Connection) -> None:
        account = create_member(connection, enterprise=site.house.enterprise, code="1", name="Many")
        for _ in range(FOUND_MOST + 1):
            cards.issue_card(connection, account, now=NOW)

    site.change(act)
    page = site.signed_in("operator").get("/cards?q=many").text
    assert page.count('class="go"') == FOUND_MOST
    assert f"The first {FOUND_MOST}. Type more" in page


def test_too_much_to_look_for_is_said_beside_the_field_and_kept(site: Site) -> None:
    typed = "x" * (WORDS_MOST + 1)
    page = site.signed_in("operator").get(f"/cards?q={typed}").text
    assert f"Type at most {WORDS_MOST} characters." in page
    assert f'value="{typed}"' in page


def test_an_enterprise_finds_its_own_cards_and_no_other(site: Site) -> None:
    foreign = site.change(lambda connection: create_holder(connection, site.other))
    browser = site.signed_in("enterprise")
    assert "No card found" in browser.get(f"/cards?q={foreign.card.number}").text
    assert "No card found" in browser.get("/cards?q=Member").text
    assert site.signed_in("operator").get(f"/cards?q={foreign.card.number}").status_code == 303


# ---- the page ----------------------------------------------------------------------------------------


def test_the_page_says_how_the_card_stands(site: Site) -> None:
    holder = create_card(site, points=700, expires_on=TODAY + timedelta(days=9), card_expires_on=TODAY)
    member = details(site, holder).member
    page = words(site.signed_in("enterprise").get(path(holder)).text)
    number = holder.card.number
    assert f"{number[:4]} {number[4:8]} {number[8:12]} {number[12:]}" in page
    assert member in page
    assert (
        "Status Active Points 700 Issue 1 Last day 22 Nov 2026 Card product – PIN Set Wrong tries 0 of 3"
        in page
    )
    assert "One-time PIN code None" in page
    assert "1 Dec 2026 Granted 700" in page
    assert "PIN set" in page


def test_the_page_says_which_limits_hold_and_who_set_them(site: Site) -> None:
    holder = create_card(site, limit_points=600)

    def act(connection: Connection) -> None:
        enterprise = site.house.enterprise
        limits.set_terms(connection, enterprise, Terms(limit_points=900, pin_above_points=50))
        gold = Limits(limit_points=800, day_limit_points=2_000)
        product = limits.create_product(connection, enterprise=enterprise, code="G", name="Gold", limits=gold)
        own = Limits(limit_points=600)
        limits.set_limits(connection, holder.card, product_id=product, limits=own, now=NOW)

    site.change(act)
    page = words(site.signed_in("operator").get(path(holder)).text)
    assert "One purchase 600 points This card" in page
    assert "One business date 2,000 points Card product Gold" in page
    assert "PIN needed Above 50 points The enterprise" in page
    assert "Limits changed" in page


def test_without_limits_the_page_says_so(site: Site) -> None:
    page = words(site.signed_in("operator").get(path(create_card(site))).text)
    assert "One purchase No limit – One business date No limit – PIN needed Every time The enterprise" in page
    assert "None: no points of this member have a last day." in page


def test_a_blocked_pin_and_an_outstanding_code_are_shown(site: Site) -> None:
    holder = create_card(site)
    block_pin(site, holder)
    until = NOW + timedelta(days=2)
    site.change(
        lambda connection: cards.offer_pin_code(
            connection, holder.card, verifier=bytes(32), until=until, now=NOW
        )
    )
    browser = site.signed_in("operator")
    page = words(browser.get(path(holder)).text)
    assert "PIN Blocked Wrong tries 3 of 3" in page
    assert "outstanding until 24 Nov 2026 17:30" in page
    site.clock.now = until
    browser = site.signed_in("operator")
    assert "outstanding" not in browser.get(path(holder)).text


def test_a_change_of_pin_at_a_terminal_is_part_of_the_history(site: Site) -> None:
    holder = create_card(site)
    post(site, create_pin_change(site.house, holder))
    page = words(site.signed_in("operator").get(path(holder)).text)
    assert "PIN changed at a terminal Member with the PIN before" in page


def test_a_foreign_or_unknown_card_is_no_page(site: Site) -> None:
    foreign = site.change(lambda connection: create_holder(connection, site.other))
    browser = site.signed_in("enterprise")
    for number in (foreign.card.number, "8600000000000000", "1", "x", "٨" * 16, "%00"):
        assert browser.get(f"/cards/{number}").status_code == 404
        assert browser.get(f"/cards/{number}/lost").status_code == 404
        assert browser.post(f"/cards/{number}/lost", {"mark": "active.1"}).status_code == 404
    assert details(site, foreign).status == "active"


def test_the_page_is_chinese_for_who_reads_chinese(site: Site) -> None:
    holder = create_card(site)
    page = words(site.signed_in("operator", language="zh").get(path(holder)).text)
    assert "状态 正常 积分 1,000 卡序号 1" in page
    assert "冻结 挂失 换卡 注销" in page
