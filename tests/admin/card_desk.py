"""What tests of the cards' pages share."""

from ledger import books, cards
from ledger.card_details import CardDetails, card_history, find_card
from ledger.cards import Card
from ledger.limits import Limits
from ledger.postings import Outcome, Request
from tests.admin.conftest import Site
from tests.factories import NOW, Holder, create_holder, create_redeem

__all__ = ["CARD", "block_pin", "create_card", "details", "events", "path", "post", "put"]

CARD = CardDetails(
    card=Card(3, 4, 5, 1, "8600300000000058"),
    enterprise_id=1,
    member_id=6,
    member_code="1",
    member="Ann",
    status="active",
    expires_on=None,
    expired=False,
    pin_set=True,
    pin_tries=0,
    code_until=None,
    product_id=None,
    product=None,
    own=Limits(),
    in_force=Limits(),
)
"""One that nothing is the matter with."""


def create_card(site: Site, **fields: object) -> Holder:
    """A member of our house with a card."""
    return site.change(lambda connection: create_holder(connection, site.house, **fields))  # type: ignore[arg-type]


def details(site: Site, holder: Holder) -> CardDetails:
    found = site.change(lambda connection: find_card(connection, holder.card.number))
    assert found is not None
    return found


def events(site: Site, holder: Holder) -> list[tuple[str, str | None, str | None]]:
    """What was done to the card by people, by whom and why, newest first."""
    history = site.change(lambda connection: card_history(connection, holder.card))
    return [(event.what, event.staff, event.reason) for event in history if event.staff_id is not None]


def path(holder: Holder, step: str = "") -> str:
    return f"/cards/{holder.card.number}" + (f"/{step}" if step else "")


def block_pin(site: Site, holder: Holder) -> None:
    for _ in range(3):
        post(site, create_redeem(site.house, holder, pin="000000"))


def post(site: Site, request: Request) -> list[Outcome]:
    """What the books answer."""
    return site.change(lambda connection: books.post(connection, [request], NOW))


def put(site: Site, holder: Holder, status: str) -> None:
    site.change(lambda connection: cards.set_status(connection, holder.card, status, now=NOW))
