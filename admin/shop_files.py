"""Lists of merchants, services, prices and terminals as files, with what their pages were asked for."""

from collections.abc import Sequence
from typing import cast, get_args

from flask import abort, request
from flask.typing import ResponseReturnValue

from admin import merchants, services, terminals
from admin.access import requires
from admin.downloads import FORMATS, answer, in_pages
from admin.language import gettext as _
from admin.language import language
from admin.merchants import BIGGEST, STATES, WORDS_MOST, asked_id, own_merchant, seen_merchant
from admin.money import typed_money
from admin.price_changes import blueprint
from admin.prices import price_standing
from admin.terminal_words import terminal_standing
from ledger.database import Connection
from ledger.merchant_details import MerchantLine, list_merchants
from ledger.price_list import Sold, sold_at
from ledger.services import ServiceLine, list_services
from ledger.terminal_lists import Status, TerminalLine, list_terminals

__all__ = ["blueprint"]

PAGE = 500  # read at a time


def _asked(fmt: str, states: Sequence[str] = STATES) -> tuple[str, str]:
    """The words and the status that the list was asked for; 404 for what makes no sense."""
    status = request.args.get("status", "all")
    if fmt not in FORMATS or status not in states:
        abort(404)
    return request.args.get("q", "").strip()[:WORDS_MOST], status


def _name(line: ServiceLine | Sold) -> str:
    return line.name_zh if language() == "zh" else line.name


@merchants.blueprint.get("/merchants.<fmt>")
@requires("merchants.view")
def merchant_list(fmt: str) -> ResponseReturnValue:
    """The merchants; to a merchant's own staff, their own."""
    words, status = _asked(fmt)
    own = own_merchant()

    def page(connection: Connection, last: MerchantLine | None) -> list[MerchantLine]:
        after = last.id if last is not None else None
        return list_merchants(connection, words=words, status=status, after=after, most=PAGE)

    head = [
        _("Code"), _("Merchant"), _("Status"), _("Contract from"), _("Contract until"), _("Open stores"),
        _("Active terminals"),
    ]  # fmt: skip
    rows = (
        (
            line.code, line.name, merchants.shop_standing(line.status)[1], line.contract_since,
            line.contract_until, line.stores, line.terminals,
        )
        for line in in_pages(page)
        if own in {None, line.id}
    )  # fmt: skip
    return answer(fmt, "merchants", head, rows)


@services.blueprint.get("/services.<fmt>")
@requires("services.view")
def service_list(fmt: str) -> ResponseReturnValue:
    """The services with their categories."""
    words, status = _asked(fmt)
    category = asked_id("category")

    def page(connection: Connection, last: ServiceLine | None) -> list[ServiceLine]:
        after = last.code if last is not None else ""
        return list_services(
            connection, words=words, status=status, category=category, after=after, most=PAGE
        )

    head = [
        _("Code"), _("Name in English"), _("Name in Chinese"), _("Category"), _("Industry"), _("Unit"),
        _("Status"),
    ]  # fmt: skip
    zh = language() == "zh"
    rows = (
        (
            line.code, line.name, line.name_zh, line.category_zh if zh else line.category, line.industry,
            line.unit, merchants.shop_standing(line.status)[1],
        )
        for line in in_pages(page)
    )  # fmt: skip
    return answer(fmt, "services", head, rows)


@blueprint.get(f"/merchants/<int(max={BIGGEST}):merchant>/prices.<fmt>")
@requires("services.view")
def price_file(merchant: int, fmt: str) -> ResponseReturnValue:
    """What a merchant sells, and for how much."""
    _asked(fmt)
    line, today = seen_merchant(merchant), merchants.today()

    def page(connection: Connection, last: Sold | None) -> list[Sold]:
        after = last.code if last is not None else ""
        return sold_at(connection, merchant, today=today, after=after, most=PAGE)

    head = [
        _("Service code"), _("Service"), _("Unit"), _("Points a unit"), _("Least points of one purchase"),
        _("Most points of one purchase"), _("Settlement price"), _("Currency"), _("From"),
        _("Until, its last day"), _("Status"),
    ]  # fmt: skip
    rows = (
        (
            sold.code, _name(sold), sold.unit, None if sold.open else sold.points, sold.min_points,
            sold.max_points, typed_money(sold.settlement_minor, sold.currency), sold.currency, sold.since,
            sold.until, price_standing(sold.state(today))[1],
        )
        for sold in in_pages(page)
    )  # fmt: skip
    return answer(fmt, f"prices-{line.code}", head, rows)


@terminals.blueprint.get("/terminals.<fmt>")
@requires("terminals.view")
def terminal_list(fmt: str) -> ResponseReturnValue:
    """The terminals of the scope."""
    words, status = _asked(fmt, get_args(Status))

    def page(connection: Connection, last: TerminalLine | None) -> list[TerminalLine]:
        asked, after = cast("Status", status), last.id if last is not None else None
        return list_terminals(connection, words=words, status=asked, after=after, most=PAGE)

    head = [
        _("Terminal no."), _("Name"), _("Kind of device"), _("Merchant"), _("Store"), _("Status"), _("Model"),
        _("Software"), _("Last login"), _("Last message"), _("Last batch"),
    ]  # fmt: skip
    rows = (
        (
            line.id, line.name, terminals.device(line.kind), line.merchant, line.store,
            terminal_standing(line.status)[1], line.model, line.software, line.last_login_at,
            line.heard_at, line.last_batch,
        )
        for line in in_pages(page)
    )  # fmt: skip
    return answer(fmt, "terminals", head, rows)
