"""What staff may do to a card, and what they may not."""

import re
import threading
from datetime import timedelta

import pytest

from admin.cards import REASON_MOST
from ledger import cards
from ledger.database import Scope
from tests.admin.browsing import words
from tests.admin.card_desk import block_pin, create_card, details, events, path, post, put
from tests.admin.conftest import Site
from tests.desk import until_somebody_waits
from tests.factories import NOW, TODAY, create_redeem

STEPS = {
    "suspend": ("suspended", "Suspended"),
    "lost": ("lost", "Reported lost"),
    "close": ("closed", "Closed"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("login", ["operator", "enterprise"])
def test_a_step_changes_the_status_and_is_noted_with_who_and_why(site: Site, step: str, login: str) -> None:
    holder = create_card(site)
    browser = site.signed_in(login)
    answer = browser.submit(path(holder, step), reason="  The member asked  ")
    assert (answer.status_code, answer.location) == (303, path(holder))
    status, word = STEPS[step]
    assert details(site, holder).status == status
    assert events(site, holder) == [("status", "Lin Wei", "The member asked")]
    page = words(browser.get(path(holder)).text)
    assert f"{word} Lin Wei The member asked" in page
    assert "The card is" in page  # said once
    assert "The card is" not in words(browser.get(path(holder)).text)


def test_a_suspended_card_is_activated_again(site: Site) -> None:
    holder = create_card(site)
    put(site, holder, "suspended")
    browser = site.signed_in("enterprise")
    assert "Activate again" in browser.get(path(holder)).text
    assert browser.submit(path(holder, "activate")).status_code == 303
    assert details(site, holder).status == "active"
    assert events(site, holder) == [("status", "Lin Wei", None)]


def test_a_blocked_pin_is_unblocked(site: Site) -> None:
    holder = create_card(site)
    block_pin(site, holder)
    browser = site.signed_in("enterprise")
    assert browser.submit(path(holder, "unblock"), reason="Was drunk").status_code == 303
    assert details(site, holder).pin_tries == 0
    assert events(site, holder) == [("pin_unblocked", "Lin Wei", "Was drunk")]
    (outcome,) = post(site, create_redeem(site.house, holder))
    assert outcome.code == 0


def test_a_replacement_kills_the_old_card_and_says_that_a_new_one_is_to_be_printed(site: Site) -> None:
    holder = create_card(site)
    put(site, holder, "lost")
    browser = site.signed_in("enterprise")
    day = TODAY + timedelta(days=400)
    assert browser.submit(path(holder, "replace"), expires_on=day.isoformat()).status_code == 303
    card = details(site, holder)
    assert (card.status, card.card.issue, card.expires_on) == ("active", 2, day)
    page = words(browser.get(path(holder)).text)
    assert "the old QR code and chip are dead. Now print the new card." in page
    assert "Replaced by issue 2" in page
    (outcome,) = post(site, create_redeem(site.house, holder))
    assert outcome.code == 1025


def test_an_expired_card_is_replaced_by_one_that_is_good_for_longer(site: Site) -> None:
    holder = create_card(site, card_expires_on=TODAY - timedelta(days=1))
    browser = site.signed_in("enterprise")
    for typed in ("", (TODAY - timedelta(days=1)).isoformat()):
        answer = browser.submit(path(holder, "replace"), expires_on=typed, reason="Ran out")
        assert answer.status_code == 200
        assert "Give a day that is still to come" in answer.text
        assert 'value="Ran out"' in answer.text
    answer = browser.submit(path(holder, "replace"), expires_on="32.13.2026")
    assert "Not a valid date value." in answer.text
    chinese = site.signed_in("enterprise", language="zh").submit(path(holder, "replace"), expires_on="x")
    assert chinese.status_code == 200
    assert "Not a valid" not in chinese.text
    assert details(site, holder).card.issue == 1
    assert browser.submit(path(holder, "replace"), expires_on=TODAY.isoformat()).status_code == 303
    assert details(site, holder).card.issue == 2


def test_what_cannot_be_taken_back_is_said_before(site: Site) -> None:
    holder = create_card(site)
    browser = site.signed_in("enterprise")
    for step in ("lost", "replace", "close"):
        assert "This cannot be taken back." in browser.get(path(holder, step)).text
    for step in ("suspend", "code"):
        assert "This cannot be taken back." not in browser.get(path(holder, step)).text
    assert details(site, holder).status == "active"


@pytest.mark.parametrize(
    ("status", "step", "said"),
    [
        ("active", "activate", "The card is active already."),
        ("active", "unblock", "The PIN is not blocked."),
        ("suspended", "suspend", "The card is suspended already."),
        ("lost", "activate", "it can only be replaced or closed"),
        ("lost", "code", "it can only be replaced or closed"),
        ("closed", "replace", "The card is closed, for good."),
        ("closed", "lost", "The card is closed, for good."),
        ("closed", "unblock", "The card is closed, for good."),
    ],
)
def test_what_cannot_be_done_is_not_offered_and_refused_when_sent_anyway(
    site: Site, status: str, step: str, said: str
) -> None:
    holder = create_card(site)
    if status != "active":
        put(site, holder, status)
    browser = site.signed_in("enterprise")
    assert f'href="{path(holder, step)}"' not in browser.get(path(holder)).text
    before = details(site, holder)
    for answer in (
        browser.get(path(holder, step)),
        browser.post(path(holder, step), {"mark": f"{status}.1"}),
    ):
        assert answer.status_code == 409
        assert said in words(answer.text)
        assert "Nothing was changed." in words(answer.text)
    assert details(site, holder) == before
    assert events(site, holder) == []


@pytest.mark.parametrize("step", ["suspend", "lost", "replace", "close", "code"])
def test_a_form_that_is_sent_twice_does_nothing_twice(site: Site, step: str) -> None:
    holder = create_card(site)
    browser = site.signed_in("enterprise")
    form = browser.hidden(path(holder, step))
    assert browser.post(path(holder, step), form).status_code in {200, 303}
    after = details(site, holder)
    again = browser.post(path(holder, step), form)
    assert again.status_code == 409
    assert "Nothing was changed" in words(again.text)
    assert details(site, holder) == after
    assert len(events(site, holder)) == 1


def test_a_form_that_is_too_old_does_nothing(site: Site) -> None:
    holder = create_card(site)
    browser = site.signed_in("enterprise")
    form = browser.hidden(path(holder, "close"))
    site.change(lambda connection: cards.replace_card(connection, holder.card, now=NOW))
    answer = browser.post(path(holder, "close"), form)
    assert answer.status_code == 409
    assert "The card has changed since you opened the form" in answer.text
    assert details(site, holder).status == "active"


def test_a_form_without_its_token_does_nothing(site: Site) -> None:
    holder = create_card(site)
    browser = site.signed_in("enterprise")
    form = browser.hidden(path(holder, "lost"))
    answer = browser.post(path(holder, "lost"), form, token="")
    assert answer.status_code == 400
    assert "This form is no longer valid" in answer.text
    assert details(site, holder).status == "active"


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("x" * (REASON_MOST + 1), f"Type at most {REASON_MOST} characters."),
        ("two\nlines", "Type it in one line"),
        ("a\x00b", "Type it in one line"),
    ],
)
def test_a_reason_that_cannot_be_kept_is_said_beside_the_field(site: Site, reason: str, said: str) -> None:
    holder = create_card(site)
    answer = site.signed_in("enterprise").submit(path(holder, "suspend"), reason=reason)
    assert answer.status_code == 200
    assert said in answer.text
    assert re.search(r'name="reason"[^>]*is-invalid|is-invalid[^>]*name="reason"', answer.text)
    assert reason[:2] in answer.text
    assert details(site, holder).status == "active"


def test_a_reason_is_words_and_never_markup(site: Site) -> None:
    holder = create_card(site)
    browser = site.signed_in("enterprise")
    browser.submit(path(holder, "suspend"), reason="<b>'\"&</b>")
    assert "&lt;b&gt;&#39;&#34;&amp;&lt;/b&gt;" in browser.get(path(holder)).text


def test_an_unknown_step_is_no_page(site: Site) -> None:
    holder = create_card(site)
    browser = site.signed_in("operator")
    assert browser.get(path(holder, "explode")).status_code == 404
    assert browser.post(path(holder, "explode"), {}).status_code == 404


def test_an_enterprise_does_not_see_who_of_the_operator_did_it(site: Site) -> None:
    holder = create_card(site)
    site.signed_in("operator").submit(path(holder, "suspend"))
    assert "Suspended The operator's staff" in words(site.signed_in("enterprise").get(path(holder)).text)


def test_a_step_waits_for_whoever_has_the_card_and_is_decided_anew(site: Site) -> None:
    holder = create_card(site)
    browser = site.signed_in("enterprise")
    form = browser.hidden(path(holder, "suspend"))
    answers = []
    sending = threading.Thread(
        target=lambda: answers.append(browser.post(path(holder, "suspend"), form)),
    )
    with site.database.transaction(Scope.everything()) as connection:
        cards.set_status(connection, holder.card, "lost", now=NOW)
        sending.start()
        until_somebody_waits(connection)
    sending.join()
    assert answers[0].status_code == 409
    assert "it can only be replaced or closed" in answers[0].text
    assert details(site, holder).status == "lost"
