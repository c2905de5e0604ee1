"""When each step of a card is offered."""

from dataclasses import replace
from datetime import timedelta

import pytest

from admin.card_steps import STEPS, mark, offered, refusal, step_words
from ledger.card_details import CardDetails
from tests.admin.card_desk import CARD
from tests.admin.conftest import Site
from tests.factories import NOW


def names(card: CardDetails) -> set[str]:
    return {step.name for step in offered(card)}


@pytest.mark.parametrize(
    ("status", "steps"),
    [
        ("issued", {"code", "activate", "suspend", "lost", "close"}),
        ("active", {"code", "suspend", "lost", "replace", "close"}),
        ("suspended", {"code", "activate", "lost", "replace", "close"}),
        ("lost", {"replace", "close"}),
        ("expired", {"replace", "close"}),
        ("closed", set()),
    ],
)
def test_each_status_has_its_steps(status: str, steps: set[str]) -> None:
    assert names(replace(CARD, status=status)) == steps
    blocked = replace(CARD, status=status, pin_tries=3)
    assert names(blocked) - steps == ({"unblock"} if "code" in steps else set())


def test_a_card_whose_last_day_has_passed_gets_no_code() -> None:
    assert "code" not in names(replace(CARD, expired=True))


@pytest.mark.parametrize("status", ["issued", "active", "suspended", "lost", "expired", "closed"])
def test_a_step_that_is_not_offered_has_a_sentence_that_says_why(site: Site, status: str) -> None:
    card = replace(CARD, status=status)
    with site.app.test_request_context():
        for step in STEPS.values():
            said = refusal(step, card)
            assert (said is None) == (step.name in names(card)), step.name
            assert said is None or said.endswith(".")


def test_every_step_says_what_it_does_what_it_means_and_that_it_is_done(site: Site) -> None:
    with site.app.test_request_context():
        spoken = [step_words(step, CARD) for step in STEPS.values()]
    assert len({said.do for said in spoken}) == len(STEPS)
    assert all(said.means and said.done for said in spoken)


def test_the_mark_changes_with_what_a_second_click_would_find(site: Site) -> None:
    replaced = replace(CARD, card=replace(CARD.card, issue=2))
    suspended = replace(CARD, status="suspended")
    coded = replace(CARD, code_until=NOW)
    again = replace(CARD, code_until=NOW + timedelta(microseconds=1))
    assert len({mark(STEPS["close"], card) for card in (CARD, replaced, suspended)}) == 3
    assert len({mark(STEPS["code"], card) for card in (CARD, coded, again)}) == 3
    assert mark(STEPS["lost"], CARD) == mark(STEPS["lost"], coded)
