"""Merchants and their stores: the list, and the page of each."""

from datetime import date

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin import current
from admin.access import requires
from admin.language import gettext as _
from admin.merchant_forms import hours_words, place_words
from admin.money import money
from ledger.businessday import business_date
from ledger.merchant_details import (
    MerchantLine,
    StoreLine,
    find_merchant,
    find_store,
    list_merchants,
    read_contacts,
    read_details,
    stores_of,
)
from ledger.price_list import sold_at
from ledger.terminal_lists import list_terminals

__all__ = [
    "BIGGEST", "LISTED_MOST", "asked_id", "blueprint", "merchant_page", "own_merchant", "seen_merchant",
    "seen_store",
]  # fmt: skip

LISTED_MOST = 50  # of a page; the next one is a click away
WORDS_MOST = 100
BIGGEST = 2**63 - 1  # of the database's ids
STATES = ("all", "open", "closed")

blueprint = Blueprint("merchants", __name__)
for word in (money, place_words, hours_words):
    blueprint.add_app_template_filter(word)


@blueprint.app_template_filter("shop_standing")
def shop_standing(status: str) -> tuple[str, str]:
    """How a merchant's, a store's or a service's status looks (a class of the stylesheet), and its word."""
    return ("approved", _("Active")) if status == "open" else ("idle", _("Not active"))


def today() -> date:
    """The open business date; before the first one, the day by the clock."""
    with current.database().transaction(current.scope()) as connection:
        return business_date(connection) or current.now().date()


def own_merchant() -> int | None:
    """The merchant whose staff asks; None for the operator's, who see all."""
    staff = current.staff()
    return staff.tenant_id if staff.tenant_kind == "merchant" else None


def asked_id(name: str) -> int | None:
    """A number of the address's query; 404 for what is none."""
    asked = request.args.get(name)
    if asked is None:
        return None
    if not (asked.isascii() and asked.isdigit() and len(asked) <= 19 and 0 < int(asked) <= BIGGEST):
        abort(404)
    return int(asked)


def seen_merchant(merchant: int) -> MerchantLine:
    """A merchant that this person may see; else 404 and a line in the trail. Names alone are public."""
    own = own_merchant()
    line = None
    if own is None or own == merchant:
        with current.database().transaction(current.scope()) as connection:
            line = find_merchant(connection, merchant)
    if line is None:
        current.missing("merchant", merchant)
    return line


def seen_store(store: int) -> tuple[StoreLine, dict[int, tuple[int, int]]]:
    """A store and its hours, in the same way."""
    with current.database().transaction(current.scope()) as connection:
        found = find_store(connection, store)
    if found is None or own_merchant() not in {None, found[0].merchant_id}:
        current.missing("store", store)
    return found


@blueprint.get("/merchants")
@requires("merchants.view")
def overview() -> ResponseReturnValue:
    """The merchants by name; to a merchant's own staff, their own."""
    own = own_merchant()
    if own is not None:
        return redirect(url_for("merchants.one", merchant=own), code=303)
    words, status = request.args.get("q", "").strip()[:WORDS_MOST], request.args.get("status", "all")
    if status not in STATES:
        abort(404)
    after = asked_id("after")
    with current.database().transaction(current.scope()) as connection:
        lines = list_merchants(connection, words=words, status=status, after=after, most=LISTED_MOST + 1)
        today = business_date(connection)
    return render_template(
        "merchants/list.html",
        lines=lines[:LISTED_MOST],
        more=len(lines) > LISTED_MOST,
        after=after,
        words=words,
        status=status,
        today=today,
    )


@blueprint.get(f"/merchants/<int(max={BIGGEST}):merchant>")
@requires("merchants.view")
def one(merchant: int) -> ResponseReturnValue:
    """A merchant: contract, contacts, bank; its stores, its services, its terminals."""
    return merchant_page(seen_merchant(merchant))


def merchant_page(line: MerchantLine, refused: str | None = None) -> str:
    """The page of a merchant that may be seen; `refused` is said on top."""
    with current.database().transaction(current.scope()) as connection:
        today = business_date(connection) or current.now().date()
        stores = stores_of(connection, line.id, after=asked_id("store"), most=LISTED_MOST + 1)
        sold = sold_at(connection, line.id, today=today, most=LISTED_MOST + 1)
        terminals = list_terminals(connection, merchant=line.id, most=LISTED_MOST + 1)
        details, contacts = read_details(connection, line.id), read_contacts(connection, line.id)
    return render_template(
        "merchants/merchant.html",
        line=line,
        details=details,
        contacts=contacts,
        stores=stores[:LISTED_MOST],
        more_stores=len(stores) > LISTED_MOST,
        sold=sold[:LISTED_MOST],
        more_sold=len(sold) > LISTED_MOST,
        terminals=terminals[:LISTED_MOST],
        more_terminals=len(terminals) > LISTED_MOST,
        refused=refused,
        today=today,
        now=current.now(),
    )


@blueprint.get(f"/stores/<int(max={BIGGEST}):store>")
@requires("merchants.view")
def store(store: int) -> ResponseReturnValue:
    """A store: its place, its hours, its terminals."""
    return store_page(*seen_store(store))


def store_page(line: StoreLine, hours: dict[int, tuple[int, int]], refused: str | None = None) -> str:
    """The page of a store that may be seen; `refused` is said on top."""
    with current.database().transaction(current.scope()) as connection:
        terminals = list_terminals(connection, store=line.id, most=LISTED_MOST + 1)
    return render_template(
        "merchants/store.html",
        line=line,
        hours=hours,
        terminals=terminals[:LISTED_MOST],
        more_terminals=len(terminals) > LISTED_MOST,
        refused=refused,
        now=current.now(),
    )
