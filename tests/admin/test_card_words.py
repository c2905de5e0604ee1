"""The words of a card's page."""

from dataclasses import replace

import pytest

from admin.card_words import card_standing, event_shown, grouped, limit_rows, lot_kind
from ledger.card_details import CardEvent
from ledger.limits import Limits, Product
from tests.admin.card_desk import CARD
from tests.admin.conftest import Site
from tests.factories import NOW

GOLD = Product(id=1, code="G", name="Gold", limits=Limits(limit_points=800))
EVENT = CardEvent(NOW, "status", "active", "lost", 1, 7, "Lin Wei", "Left in a taxi")


def test_a_number_is_grouped_as_it_is_printed() -> None:
    assert grouped("8600300000000058") == "8600 3000 0000 0058"


def test_every_status_has_a_word_and_the_last_day_outweighs_it(site: Site) -> None:
    statuses = ("issued", "active", "suspended", "lost", "expired", "closed")
    with site.app.test_request_context():
        assert len({card_standing(status, False)[1] for status in statuses}) == len(statuses)
        late = {status: card_standing(status, True)[1] for status in statuses}
    assert late == dict.fromkeys(("issued", "active", "suspended", "expired"), "Expired") | {
        "lost": "Reported lost",
        "closed": "Closed",
    }


def test_a_limit_is_the_cards_own_or_its_products_or_the_enterprises(site: Site) -> None:
    card = replace(
        CARD,
        product="Gold",
        own=Limits(pin_above_points=30),
        in_force=Limits(limit_points=800, day_limit_points=1_000, pin_above_points=30),
    )
    with site.app.test_request_context():
        rows = [(row.value, row.source) for row in limit_rows(card, GOLD)]
        plain = [(row.value, row.source) for row in limit_rows(CARD, None)]
    assert rows == [
        ("800 points", "Card product Gold"),
        ("1,000 points", "The enterprise"),
        ("Above 30 points", "This card"),
    ]
    assert plain == [("No limit", "–"), ("No limit", "–"), ("Every time", "–")]


@pytest.mark.parametrize(
    ("event", "what", "who", "why"),
    [
        (EVENT, "Reported lost", "Lin Wei", "Left in a taxi"),
        (replace(EVENT, to_status="active", from_status="issued"), "Activated", "Lin Wei", "Left in a taxi"),
        (
            replace(EVENT, to_status="active", from_status="suspended"),
            "Activated again",
            "Lin Wei",
            "Left in a taxi",
        ),
        (replace(EVENT, staff=None, reason=None), "Reported lost", "The operator's staff", None),
        (replace(EVENT, staff=None, staff_id=None, reason=None), "Reported lost", "–", None),
        (replace(EVENT, what="replaced", issue=4, reason=None), "Replaced by issue 4", "Lin Wei", None),
        (
            CardEvent(NOW, "pin_changed", None, None, None, None, None, "by_pin"),
            "PIN changed at a terminal",
            "Member",
            "with the PIN before",
        ),
        (
            CardEvent(NOW, "pin_changed", None, "active", None, None, None, "by_code"),
            "PIN changed at a terminal",
            "Member",
            "with a one-time code",
        ),
    ],
)
def test_an_event_says_what_happened_and_who_did_it(
    site: Site, event: CardEvent, what: str, who: str, why: str | None
) -> None:
    with site.app.test_request_context():
        assert event_shown(event) == (what, who, why)


def test_every_event_has_a_word(site: Site) -> None:
    plain = ("issued", "pin_set", "pin_unblocked", "pin_code", "limits")
    with site.app.test_request_context():
        found = {event_shown(replace(EVENT, what=what)).what for what in plain}
        kinds = {lot_kind(kind) for kind in ("granted", "purchased", "promotional")}
    assert len(found) == len(plain)
    assert len(kinds) == 3
