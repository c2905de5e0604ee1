"""Prices: what is agreed with a merchant for a service, past, present and to come; a new one; an end."""

from datetime import date

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin import current
from admin.access import requires
from admin.language import day
from admin.language import gettext as _
from admin.merchant_forms import state_mark
from admin.merchants import BIGGEST, asked_id, seen_merchant
from admin.money import CURRENCIES, typed_money
from admin.price_forms import EndForm, PriceForm, WithdrawForm
from ledger import merchants, price_list, services
from ledger.businessday import business_date
from ledger.database import Connection
from ledger.merchant_details import MerchantLine
from ledger.merchants import PriceRefused
from ledger.price_list import Agreement, State, agreements, in_the_way, sold_at
from ledger.services import ServiceLine

__all__ = ["blueprint", "terms_told"]

LISTED_MOST = 100
CODE_MOST = 40

blueprint = Blueprint("merchants_prices", __name__)


@blueprint.app_template_filter("price_standing")
def price_standing(state: State) -> tuple[str, str]:
    """How an agreement's state looks (a class of the stylesheet), and its word."""
    shown: dict[State, tuple[str, str]] = {
        "present": ("approved", _("In force")),
        "future": ("open", _("To come")),
        "past": ("idle", _("Ended")),
        "withdrawn": ("idle", _("Withdrawn")),
    }
    return shown[state]


class _Stale(Exception):
    """The agreements are not any more what the form was made for."""


def terms_told(each: Agreement) -> dict[str, object]:
    """An agreement as the trail has it."""
    told: dict[str, object] = {
        "since": each.since.isoformat() if each.since else None,
        "until": each.until.isoformat() if each.until else None,
        "points": each.points,
        "settlement_minor": each.settlement_minor,
        "currency": each.currency,
    }
    return told | ({"least": each.min_points, "most": each.max_points} if each.open else {})


def _stale() -> str:
    return _(
        "The prices have changed since you opened the form, perhaps by a second click of your own. "
        "Look at them and decide again. Nothing was changed now."
    )


def _found(merchant: int, service: int) -> tuple[MerchantLine, ServiceLine]:
    line = seen_merchant(merchant)
    with current.database().transaction(current.scope()) as connection:
        sold = services.find_service(connection, service)
    if sold is None:
        current.missing("service", service)
    return line, sold


# ---- lists -------------------------------------------------------------------------------------------


@blueprint.get(f"/merchants/<int(max={BIGGEST}):merchant>/prices")
@requires("services.view")
def at(merchant: int) -> ResponseReturnValue:
    """All that a merchant sells, by the service's code."""
    line, after = seen_merchant(merchant), request.args.get("after", "")
    if len(after) > CODE_MOST or "\x00" in after:
        abort(404)
    with current.database().transaction(current.scope()) as connection:
        today = business_date(connection) or current.now().date()
        sold = sold_at(connection, merchant, today=today, after=after, most=LISTED_MOST + 1)
    more = len(sold) > LISTED_MOST
    return render_template(
        "prices/list.html", line=line, sold=sold[:LISTED_MOST], more=more, after=after, today=today
    )


@blueprint.get(f"/merchants/<int(max={BIGGEST}):merchant>/prices/new")
@requires("prices.change")
def choose(merchant: int) -> ResponseReturnValue:
    """For which service a price is to be agreed: found by words."""
    line, words = seen_merchant(merchant), request.args.get("q", "").strip()[:100]
    after = request.args.get("after", "")
    if len(after) > CODE_MOST or "\x00" in after:
        abort(404)
    with current.database().transaction(current.scope()) as connection:
        lines = services.list_services(
            connection, words=words, status="open", after=after, most=LISTED_MOST + 1
        )
    more = len(lines) > LISTED_MOST
    return render_template(
        "prices/choose.html", line=line, lines=lines[:LISTED_MOST], more=more, words=words, after=after
    )


@blueprint.get(f"/merchants/<int(max={BIGGEST}):merchant>/prices/<int(max={BIGGEST}):service>")
@requires("services.view")
def one(merchant: int, service: int) -> ResponseReturnValue:
    """The agreements of a merchant on a service: the history, the present one, those to come."""
    return _page(*_found(merchant, service))


def _page(line: MerchantLine, service: ServiceLine, refused: str | None = None) -> str:
    with current.database().transaction(current.scope()) as connection:
        today = business_date(connection) or current.now().date()
        known = agreements(connection, line.id, service.id)
    return render_template(
        "prices/service.html", line=line, service=service, agreements=known, today=today, refused=refused
    )


# ---- a new price -------------------------------------------------------------------------------------


@blueprint.route(
    f"/merchants/<int(max={BIGGEST}):merchant>/prices/<int(max={BIGGEST}):service>/new",
    methods=["GET", "POST"],
)
@requires("prices.change")
def new(merchant: int, service: int) -> ResponseReturnValue:
    """Another price from a day on; the one that is in force then ends the day before."""
    line, sold = _found(merchant, service)
    form, refused = PriceForm(), None
    if form.validate_on_submit():
        try:
            with current.database().transaction(current.scope()) as connection:
                _agree(connection, merchant, service, form)
            flash(_("The price is agreed from %(day)s on.", day=day(form.since.data)))
            return redirect(url_for("merchants_prices.one", merchant=merchant, service=service), code=303)
        except _Stale:
            refused = _stale()
        except PriceRefused as error:
            _say(form, error, merchant, service)
    with current.database().transaction(current.scope()) as connection:
        known = agreements(connection, merchant, service)
        today = business_date(connection) or current.now().date()
    if request.method == "GET":
        _propose(form, known, today)
        form.mark.data = state_mark(known)
    page = render_template(
        "prices/form.html", form=form, line=line, service=sold, agreements=known, today=today, refused=refused
    )
    return (page, 409) if refused else page


def _propose(form: PriceForm, known: list[Agreement], today: date) -> None:
    """What the form starts with: the terms in force, or the newest."""
    form.since.data = None
    pattern = next((each for each in known if each.state(today) == "present"), known[0] if known else None)
    if pattern is None:
        return
    form.kind.data = "open" if pattern.open else "fixed"
    form.points.data = None if pattern.open else pattern.points
    form.least.data, form.most.data = pattern.min_points, pattern.max_points
    form.settlement.data = typed_money(pattern.settlement_minor, pattern.currency)
    form.currency.data = pattern.currency if pattern.currency in CURRENCIES else CURRENCIES[0]


def _agree(connection: Connection, merchant: int, service: int, form: PriceForm) -> None:
    merchants.hold_open_date(connection)  # nobody else changes prices from here on
    known = agreements(connection, merchant, service)
    if form.mark.data != state_mark(known):
        raise _Stale
    made = merchants.change_price(
        connection,
        merchant=merchant,
        service=service,
        since=form.since.data,
        until=form.until.data,
        **form.terms(),
    )
    now_known = {each.id: each for each in agreements(connection, merchant, service)}
    changed = [each for each in known if now_known[each.id] != each]
    current.record(
        connection,
        "price.agree",
        tenant=merchant,
        kind="price",
        id=made,
        before={"ended": [{"id": each.id} | terms_told(each) for each in changed]},
        after={"service": service} | terms_told(now_known[made]),
    )


def _say(form: PriceForm, error: PriceRefused, merchant: int, service: int) -> None:
    """Why the days will not do, beside the field that decides it."""
    with current.database().transaction(current.scope()) as connection:
        known = agreements(connection, merchant, service)
        today = business_date(connection) or current.now().date()
    if error.why == "passed":
        words = _("This day has passed: the business date is %(day)s.", day=day(today))
        form.since.errors = [*form.since.errors, words]
    elif error.why == "in_force":
        words = _("A price is in force on this day, and sold at; give a later day.")
        form.since.errors = [*form.since.errors, words]
    else:
        other = in_the_way(known, form.since.data, form.until.data)
        words = _("Another price holds on these days; end before it begins, or withdraw it first.")
        if other is not None and other.since is not None:
            words = _(
                "Another price holds from %(day)s on: let this one end before, or end or withdraw that one "
                "first.",
                day=day(other.since),
            )
        form.until.errors = [*form.until.errors, words]


# ---- an end ------------------------------------------------------------------------------------------


@blueprint.route(
    f"/merchants/<int(max={BIGGEST}):merchant>/prices/<int(max={BIGGEST}):service>"
    f"/<int(max={BIGGEST}):price>/end",
    methods=["GET", "POST"],
)
@requires("prices.change")
def end(merchant: int, service: int, price: int) -> ResponseReturnValue:
    """Let an agreement end sooner, or withdraw one that has not begun."""
    line, sold = _found(merchant, service)
    with current.database().transaction(current.scope()) as connection:
        known = agreements(connection, merchant, service)
        today = business_date(connection) or current.now().date()
    agreement = next((each for each in known if each.id == price), None)
    if agreement is None:
        current.missing("price", price)
    state = agreement.state(today)
    if state in {"past", "withdrawn"}:
        return _page(line, sold, _("This agreement has ended already. Nothing was changed.")), 409
    withdraw = state == "future" and asked_id("withdraw") is not None
    form: EndForm | WithdrawForm = WithdrawForm() if withdraw else EndForm()
    if form.validate_on_submit():
        try:
            with current.database().transaction(current.scope()) as connection:
                _end(connection, merchant, service, price, form)
            flash(_("The price is withdrawn.") if withdraw else _("The price has its last day."))
            return redirect(url_for("merchants_prices.one", merchant=merchant, service=service), code=303)
        except _Stale:
            return _page(line, sold, _stale()), 409
        except PriceRefused as error:
            if not isinstance(form, EndForm):
                return _page(line, sold, _stale()), 409
            form.last_day.errors = [*form.last_day.errors, _end_refused(error, agreement, today)]
    if request.method == "GET":
        form.mark.data = state_mark(known)
    return render_template(
        "prices/end.html", form=form, line=line, service=sold, agreement=agreement, withdraw=withdraw
    )


def _end(
    connection: Connection, merchant: int, service: int, price: int, form: EndForm | WithdrawForm
) -> None:
    merchants.hold_open_date(connection)
    known = agreements(connection, merchant, service)
    if form.mark.data != state_mark(known):
        raise _Stale
    last_day = form.last_day.data if isinstance(form, EndForm) else None
    price_list.end_agreement(connection, price, last_day)
    before = next(each for each in known if each.id == price)
    after = next(each for each in agreements(connection, merchant, service) if each.id == price)
    current.record(
        connection,
        "price.end" if last_day is not None else "price.withdraw",
        tenant=merchant,
        kind="price",
        id=price,
        before={"service": service} | terms_told(before),
        after=terms_told(after),
        reason=form.reason.data or None,
    )


def _end_refused(error: PriceRefused, agreement: Agreement, today: date) -> str:
    if error.why == "passed":
        first = max(today, agreement.since or today)
        return _("The last day is %(day)s at the earliest.", day=day(first))
    if agreement.until is not None:
        return _("It ends on %(day)s already; give an earlier day.", day=day(agreement.until))
    return _stale()
