"""What changes a merchant or a store: a new one, its details, closing, opening again."""

from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l

from admin import current
from admin.access import requires
from admin.forms import MarkedForm
from admin.language import gettext as _
from admin.merchant_forms import (
    DetailsForm,
    MerchantForm,
    NewStoreForm,
    StoreForm,
    hours_words,
    line_field,
    place_words,
    state_mark,
)
from admin.merchants import BIGGEST, blueprint, merchant_page, seen_merchant, seen_store, store_page
from ledger import merchant_details, organisations
from ledger.database import Connection
from ledger.keyring import Keyring
from ledger.merchant_details import (
    Details,
    MerchantLine,
    StoreLine,
    StorePlace,
    find_merchant,
    find_store,
    read_contacts,
    read_details,
)
from ledger.organisations import OrganisationRefused

__all__ = ["blueprint"]

STEPS = ("close", "reopen")


class ReasonForm(MarkedForm):
    """A step that wants no more than a yes."""

    reason = line_field(_l("Reason"), description=_l("Optional; it stands in the audit trail."))


class _Taken(Exception):
    """Another merchant has the code. The form may be sent again, with another one."""


class _Stale(Exception):
    """It is not any more what the form was made for."""


def _stale() -> str:
    return _(
        "Somebody has changed this since you opened the form, perhaps you by a second click. "
        "Look at it and decide again. Nothing was changed now."
    )


# ---- new ones ----------------------------------------------------------------------------------------


@blueprint.route("/merchants/new", methods=["GET", "POST"])
@requires("merchants.change")
def new() -> ResponseReturnValue:
    """A new merchant with its first store."""
    form = MerchantForm()
    if form.validate_on_submit():
        try:
            with current.database().transaction(current.scope()) as connection:
                first = form.claim(connection, current.staff().tenant_id)
                made = _make_merchant(connection, form) if first else None
        except _Taken:
            form.code.errors = [*form.code.errors, _("Another merchant has this code.")]
        else:
            if made is None:
                return _sent_before(url_for("merchants.overview"))
            flash(_("The merchant is entered. Its prices and terminals come next."))
            return redirect(url_for("merchants.one", merchant=made), code=303)
    form.fresh()
    return render_template("merchants/new.html", form=form)


def _sent_before(back: str) -> ResponseReturnValue:
    flash(_("This form was sent before: what it makes exists, and nothing was made twice."), "wait")
    return redirect(back, code=303)


def _make_merchant(connection: Connection, form: MerchantForm) -> int:
    made = merchant_details.create_merchant(
        connection,
        code=form.code.data,
        name=form.name.data,
        store_code=form.store_code.data,
        store_name=form.store_name.data,
    )
    if made is None:
        raise _Taken
    merchant, store = made
    after = {"code": form.code.data, "name": form.name.data, "store": store}
    current.record(connection, "merchant.create", tenant=merchant, kind="merchant", id=merchant, after=after)
    return merchant


@blueprint.route(f"/merchants/<int(max={BIGGEST}):merchant>/stores/new", methods=["GET", "POST"])
@requires("merchants.change")
def new_store(merchant: int) -> ResponseReturnValue:
    """One more store of a merchant."""
    line = seen_merchant(merchant)
    if line.status != "open":
        return merchant_page(
            line, _("The merchant is closed; open it again first. Nothing was changed.")
        ), 409
    form = NewStoreForm()
    if form.validate_on_submit():
        try:
            with current.database().transaction(current.scope()) as connection:
                first = form.claim(connection, current.staff().tenant_id)
                made = _make_store(connection, merchant, form) if first else None
        except OrganisationRefused as refused:
            if refused.why != "code_taken":
                return merchant_page(line, _stale()), 409
            form.code.errors = [*form.code.errors, _("Another unit of this merchant has this code.")]
        else:
            if made is None:
                return _sent_before(url_for("merchants.one", merchant=merchant))
            flash(_("The store is entered. Its terminals come next."))
            return redirect(url_for("merchants.store", store=made), code=303)
    form.fresh()
    return render_template("merchants/store_form.html", form=form, merchant=line, line=None)


def _make_store(connection: Connection, merchant: int, form: NewStoreForm) -> int:
    store = organisations.create_unit(
        connection, parent=merchant, kind="store", code=form.code.data, name=form.name.data
    )
    place = form.typed_place()
    merchant_details.save_place(connection, store, place)
    after = {"code": form.code.data, "name": form.name.data} | _place_told(place)
    current.record(connection, "store.create", tenant=merchant, kind="store", id=store, after=after)
    return store


# ---- details -----------------------------------------------------------------------------------------


@blueprint.route(f"/merchants/<int(max={BIGGEST}):merchant>/edit", methods=["GET", "POST"])
@requires("merchants.change")
def edit(merchant: int) -> ResponseReturnValue:
    """A merchant's name, contract, contacts and bank."""
    line = seen_merchant(merchant)
    form, refused = DetailsForm(), None
    if form.validate_on_submit():
        try:
            with current.database().transaction(current.scope()) as connection:
                _save_details(connection, line, form)
            flash(_("The merchant's details are saved."))
            return redirect(url_for("merchants.one", merchant=merchant), code=303)
        except _Stale:
            refused = _stale()
    with current.database().transaction(current.scope()) as connection:
        details, contacts = read_details(connection, merchant), read_contacts(connection, merchant)
    if request.method == "GET":
        form.show(line.name, details, contacts)
        form.mark.data = state_mark(line.name, details, contacts)
    page = render_template("merchants/edit.html", form=form, line=line, details=details, refused=refused)
    return (page, 409) if refused else page


def _save_details(connection: Connection, seen: MerchantLine, form: DetailsForm) -> None:
    merchant_details.lock_organisation(connection, seen.id)
    line = find_merchant(connection, seen.id)
    before, contacts = read_details(connection, seen.id), read_contacts(connection, seen.id)
    if line is None or form.mark.data != state_mark(line.name, before, contacts):
        raise _Stale
    after, people = form.details(), form.contacts()
    if form.name.data != line.name:
        organisations.rename(connection, line.id, name=form.name.data, code=line.code)
    merchant_details.save_details(connection, line.id, after, people)
    if form.account_number.data or form.account_forget.data:
        merchant_details.save_account(
            connection,
            line.id,
            form.account_number.data or None,
            Keyring.load(current.settings().secrets),
            current.random_bytes,
        )
    # People's names and numbers are not for the trail, which nobody can erase: only that they changed.
    current.record(
        connection,
        "merchant.change",
        tenant=line.id,
        kind="merchant",
        id=line.id,
        before={"name": line.name} | _details_told(before),
        after={"name": form.name.data}
        | _details_told(read_details(connection, line.id))
        | {"contacts_changed": people != contacts},
    )


def _details_told(details: Details) -> dict[str, Any]:
    days = {"contract_since": details.contract_since, "contract_until": details.contract_until}
    told = {name: day.isoformat() if day is not None else None for name, day in days.items()}
    return told | {"bank": details.bank, "account_tail": details.account_tail, "note": details.note}


@blueprint.route(f"/stores/<int(max={BIGGEST}):store>/edit", methods=["GET", "POST"])
@requires("merchants.change")
def edit_store(store: int) -> ResponseReturnValue:
    """A store's name, place and hours."""
    line, hours = seen_store(store)
    form, refused = StoreForm(), None
    if form.validate_on_submit():
        try:
            with current.database().transaction(current.scope()) as connection:
                _save_store(connection, line.merchant_id, store, form)
            flash(_("The store's details are saved."))
            return redirect(url_for("merchants.store", store=store), code=303)
        except _Stale:
            refused = _stale()
    if request.method == "GET":
        form.name.data, form.address.data, form.phone.data = line.name, line.address, line.phone
        if line.latitude is not None and line.longitude is not None:
            form.place.data = place_words(line.latitude, line.longitude)
        for weekday, span in hours.items():
            form[f"hours_{weekday}"].data = hours_words(span)
        form.mark.data = _store_mark(line, hours)
    merchant = seen_merchant(line.merchant_id)
    page = render_template(
        "merchants/store_form.html", form=form, merchant=merchant, line=line, refused=refused
    )
    return (page, 409) if refused else page


def _save_store(connection: Connection, merchant: int, store: int, form: StoreForm) -> None:
    # The tree first, as whoever closes or renames the store does: neither waits for the other in a circle.
    organisations.lock_tree(connection, merchant)
    merchant_details.lock_organisation(connection, store)
    found = find_store(connection, store)
    if found is None or form.mark.data != _store_mark(*found):
        raise _Stale
    line, hours = found
    if form.name.data != line.name:
        organisations.rename(connection, store, name=form.name.data, code=line.code)
    place = form.typed_place()
    merchant_details.save_place(connection, store, place)
    before = StorePlace(line.address, line.phone, line.latitude, line.longitude, hours)
    current.record(
        connection,
        "store.change",
        tenant=line.merchant_id,
        kind="store",
        id=store,
        before={"name": line.name} | _place_told(before),
        after={"name": form.name.data} | _place_told(place),
    )


def _store_mark(line: StoreLine, hours: dict[int, tuple[int, int]]) -> str:
    return state_mark(
        line.name, line.address, line.phone, line.latitude, line.longitude, sorted(hours.items())
    )


def _place_told(place: StorePlace) -> dict[str, Any]:
    return {
        "address": place.address,
        "phone": place.phone,
        "latitude": place.latitude,
        "longitude": place.longitude,
        "hours": {str(weekday): hours_words(span) for weekday, span in sorted((place.hours or {}).items())},
    }


# ---- closing -----------------------------------------------------------------------------------------


@blueprint.route(f"/merchants/<int(max={BIGGEST}):merchant>/<step>", methods=["GET", "POST"])
@requires("merchants.change")
def take(merchant: int, step: str) -> ResponseReturnValue:
    """Close a merchant or open it again, with a reason."""
    if step not in STEPS:
        abort(404)
    line = seen_merchant(merchant)
    if line.status == ("closed" if step == "close" else "open"):
        return merchant_page(line, _already(step)), 409
    form = ReasonForm()
    if form.validate_on_submit():
        if not _take(merchant, merchant, "merchant", step, form):
            return merchant_page(seen_merchant(merchant), _already(step)), 409
        flash(_("The merchant is closed.") if step == "close" else _("The merchant is open again."))
        return redirect(url_for("merchants.one", merchant=merchant), code=303)
    if step == "close":
        means = _(
            "None of its stores sells anything from the next message on, and its staff cannot log in. What "
            "it has sold stays, and is settled. It can be opened again."
        )
    else:
        means = _("Its open stores sell again from the next message on, at the prices that are in force.")
    title = _("Close the merchant") if step == "close" else _("Open the merchant again")
    form.mark.data = line.status
    back = url_for("merchants.one", merchant=merchant)
    return render_template(
        "merchants/step.html", form=form, words=title, means=means, name=line.name, back=back
    )


@blueprint.route(f"/stores/<int(max={BIGGEST}):store>/<step>", methods=["GET", "POST"])
@requires("merchants.change")
def take_store(store: int, step: str) -> ResponseReturnValue:
    """Close a store or open it again, with a reason."""
    if step not in STEPS:
        abort(404)
    line, hours = seen_store(store)
    if line.status == ("closed" if step == "close" else "open"):
        return store_page(line, hours, _already(step)), 409
    form = ReasonForm()
    if form.validate_on_submit():
        if not _take(store, line.merchant_id, "store", step, form):
            return store_page(*seen_store(store), _already(step)), 409
        flash(_("The store is closed.") if step == "close" else _("The store is open again."))
        return redirect(url_for("merchants.store", store=store), code=303)
    means = (
        _("Its terminals sell nothing from the next message on. What was sold stays. It can be opened again.")
        if step == "close"
        else _("Its terminals sell again from the next message on.")
    )
    title = _("Close the store") if step == "close" else _("Open the store again")
    form.mark.data = line.status
    back = url_for("merchants.store", store=store)
    return render_template(
        "merchants/step.html", form=form, words=title, means=means, name=line.name, back=back
    )


def _take(organisation: int, merchant: int, kind: str, step: str, form: ReasonForm) -> bool:
    act = organisations.close if step == "close" else organisations.reopen
    try:
        with current.database().transaction(current.scope()) as connection:
            act(connection, organisation)
            status = {"close": ("open", "closed"), "reopen": ("closed", "open")}[step]
            current.record(
                connection,
                f"{kind}.{step}",
                tenant=merchant,
                kind=kind,
                id=organisation,
                before={"status": status[0]},
                after={"status": status[1]},
                reason=form.reason.data or None,
            )
    except OrganisationRefused:
        return False
    return True


def _already(step: str) -> str:
    if step == "close":
        return _("It cannot be closed now: it is closed already, or something below it is open.")
    return _("It cannot be opened now: it is open already, or what it belongs to is closed.")
