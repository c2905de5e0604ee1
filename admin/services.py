"""Services and their categories: what members can spend points on. All of it is data."""

from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from wtforms import SelectField
from wtforms.fields.choices import SelectChoice

from admin import current
from admin.access import requires
from admin.forms import MarkedForm, OnceForm
from admin.language import gettext as _
from admin.language import language
from admin.merchant_forms import code_field, line_field, state_mark
from admin.merchants import BIGGEST, STATES, WORDS_MOST, asked_id, own_merchant
from ledger import services
from ledger.businessday import business_date
from ledger.database import Connection
from ledger.price_list import sold_by
from ledger.services import Category, ServiceLine

__all__ = ["LISTED_MOST", "blueprint", "category_choices"]

LISTED_MOST = 50
NAME_MOST, UNIT_MOST, CODE_MOST = 60, 20, 40
NO_CATEGORY = 0

blueprint = Blueprint("services", __name__)


class ServiceFields(MarkedForm):
    """The words of a service, in both languages."""

    name = line_field(_l("Name in English"), most=NAME_MOST, needed=_l("Give it a name."))
    name_zh = line_field(_l("Name in Chinese"), most=NAME_MOST, needed=_l("Give it a name."))
    unit = line_field(
        _l("Unit"),
        most=UNIT_MOST,
        needed=_l("Say what one of it is, such as wash, hour or km."),
        description=_l("What one of it is, such as wash, hour or km: prices are for one unit."),
    )
    category = SelectField(_l("Category"), coerce=int)


class NewServiceForm(OnceForm, ServiceFields):
    """A new service."""

    code = code_field(_l("Service code"), description=_l("Terminals ask for it by this. It never changes."))


class EditServiceForm(ServiceFields):
    """Other words for a service, or its end."""

    status = SelectField(
        _l("Status"),
        choices=[
            SelectChoice("open", _l("Open: sold wherever it has a price")),
            SelectChoice("closed", _l("Closed: sold nowhere")),
        ],
    )


class CategoryForm(OnceForm):
    """A category."""

    code = code_field(_l("Category code"))
    name = line_field(_l("Name in English"), most=NAME_MOST, needed=_l("Give it a name."))
    name_zh = line_field(_l("Name in Chinese"), most=NAME_MOST, needed=_l("Give it a name."))
    industry = line_field(
        _l("Industry"), most=NAME_MOST, needed=_l("Name the industry, such as car care or leisure.")
    )
    status = SelectField(
        _l("Status"),
        choices=[
            SelectChoice("open", _l("Open: services may get it")),
            SelectChoice("closed", _l("Closed: no further services")),
        ],
    )


class _Taken(Exception):
    """Another one has the code."""


def category_choices(known: list[Category], present: int | None, nothing: str) -> list[tuple[int, str]]:
    """Of a select: nothing, then the open categories (and the one that it has) by industry."""
    zh = language() == "zh"
    return [(NO_CATEGORY, nothing)] + [
        (each.id, f"{each.industry} · {each.name_zh if zh else each.name}")
        for each in known
        if each.status == "open" or each.id == present
    ]


# ---- services ----------------------------------------------------------------------------------------


@blueprint.get("/services")
@requires("services.view")
def overview() -> ResponseReturnValue:
    """The services by code, of a category or all."""
    words, status = request.args.get("q", "").strip()[:WORDS_MOST], request.args.get("status", "all")
    after = request.args.get("after", "")
    if status not in STATES or len(after) > CODE_MOST or "\x00" in after:
        abort(404)
    category = asked_id("category")
    with current.database().transaction(current.scope()) as connection:
        lines = services.list_services(
            connection, words=words, status=status, category=category, after=after, most=LISTED_MOST + 1
        )
        known = services.categories(connection)
    return render_template(
        "services/list.html",
        lines=lines[:LISTED_MOST],
        more=len(lines) > LISTED_MOST,
        after=after,
        words=words,
        status=status,
        category=category,
        categories=known,
    )


@blueprint.get(f"/services/<int(max={BIGGEST}):service>")
@requires("services.view")
def one(service: int) -> ResponseReturnValue:
    """A service, and who sells it for how much; a merchant sees its own prices only."""
    after = asked_id("after") or 0
    with current.database().transaction(current.scope()) as connection:
        line = services.find_service(connection, service)
        today = business_date(connection) or current.now().date()
        sold = sold_by(
            connection, service, today=today, merchant=own_merchant(), after=after, most=LISTED_MOST + 1
        )
    if line is None:
        current.missing("service", service)
    return render_template(
        "services/service.html",
        line=line,
        sold=sold[:LISTED_MOST],
        more=len(sold) > LISTED_MOST,
        after=after,
        today=today,
    )


@blueprint.route("/services/new", methods=["GET", "POST"])
@requires("services.change")
def new() -> ResponseReturnValue:
    """A new service: sold as soon as a merchant has a price for it."""
    form = NewServiceForm()
    with current.database().transaction(current.scope()) as connection:
        known = services.categories(connection)
    form.category.choices = category_choices(known, None, _("None"))
    if form.validate_on_submit():
        try:
            with current.database().transaction(current.scope()) as connection:
                first = form.claim(connection, current.staff().tenant_id)
                made = _make(connection, form) if first else None
        except _Taken:
            form.code.errors = [*form.code.errors, _("Another service has this code.")]
        else:
            if made is None:
                return _sent_before(url_for("services.overview"))
            flash(_("The service is entered. It is sold where a price is agreed."))
            return redirect(url_for("services.one", service=made), code=303)
    form.fresh()
    return render_template("services/form.html", form=form, line=None)


def _sent_before(back: str) -> ResponseReturnValue:
    flash(_("This form was sent before: what it makes exists, and nothing was made twice."), "wait")
    return redirect(back, code=303)


def _make(connection: Connection, form: NewServiceForm) -> int:
    made = services.new_service(connection, code=form.code.data, **_typed(form))
    if made is None:
        raise _Taken
    tenant = current.staff().tenant_id
    after = {"code": form.code.data, **_typed(form)}
    current.record(connection, "service.create", tenant=tenant, kind="service", id=made, after=after)
    return made


def _typed(form: ServiceFields) -> dict[str, Any]:
    return {
        "name": form.name.data,
        "name_zh": form.name_zh.data,
        "unit": form.unit.data,
        "category": form.category.data or None,
    }


@blueprint.route(f"/services/<int(max={BIGGEST}):service>/edit", methods=["GET", "POST"])
@requires("services.change")
def edit(service: int) -> ResponseReturnValue:
    """Other words for a service, another category, or its end."""
    with current.database().transaction(current.scope()) as connection:
        line = services.find_service(connection, service)
        known = services.categories(connection)
    if line is None:
        current.missing("service", service)
    form, refused = EditServiceForm(), None
    form.category.choices = category_choices(known, line.category_id, _("None"))
    if form.validate_on_submit():
        if _change(service, form):
            flash(_("The service is changed."))
            return redirect(url_for("services.one", service=service), code=303)
        refused = _stale()
    if request.method == "GET":
        form.name.data, form.name_zh.data, form.unit.data = line.name, line.name_zh, line.unit
        form.category.data, form.status.data = line.category_id or NO_CATEGORY, line.status
        form.mark.data = state_mark(_told(line))
    page = render_template("services/form.html", form=form, line=line, refused=refused)
    return (page, 409) if refused else page


def _change(service: int, form: EditServiceForm) -> bool:
    with current.database().transaction(current.scope()) as connection:
        line = services.find_service(connection, service, lock=True)
        if line is None or form.mark.data != state_mark(_told(line)):
            return False
        after = {**_typed(form), "status": form.status.data}
        services.change_service(connection, service, **after)
        current.record(
            connection,
            "service.change",
            tenant=current.staff().tenant_id,
            kind="service",
            id=service,
            before=_told(line),
            after=after,
        )
    return True


def _told(line: ServiceLine) -> dict[str, str | int | None]:
    return {
        "name": line.name, "name_zh": line.name_zh, "unit": line.unit, "category": line.category_id,
        "status": line.status,
    }  # fmt: skip


def _stale() -> str:
    return _(
        "Somebody has changed this since you opened the form, perhaps you by a second click. "
        "Look at it and decide again. Nothing was changed now."
    )


# ---- categories --------------------------------------------------------------------------------------


@blueprint.get("/services/categories")
@requires("services.view")
def categories() -> ResponseReturnValue:
    """The categories by industry."""
    with current.database().transaction(current.scope()) as connection:
        known = services.categories(connection)
    return render_template("services/categories.html", categories=known)


@blueprint.route("/services/categories/new", methods=["GET", "POST"])
@requires("services.change")
def new_category() -> ResponseReturnValue:
    """A new category."""
    form = CategoryForm()
    if form.validate_on_submit():
        try:
            with current.database().transaction(current.scope()) as connection:
                first = form.claim(connection, current.staff().tenant_id)
                if first:
                    _save_category(connection, None, form)
        except _Taken:
            form.code.errors = [*form.code.errors, _("Another category has this code.")]
        else:
            if not first:
                return _sent_before(url_for("services.categories"))
            flash(_("The category is entered."))
            return redirect(url_for("services.categories"), code=303)
    form.fresh()
    return render_template("services/category.html", form=form, line=None)


@blueprint.route(f"/services/categories/<int(max={BIGGEST}):category>", methods=["GET", "POST"])
@requires("services.change")
def edit_category(category: int) -> ResponseReturnValue:
    """Other words for a category, or its end."""
    with current.database().transaction(current.scope()) as connection:
        line = services.find_category(connection, category)
    if line is None:
        current.missing("category", category)
    form, refused = CategoryForm(), None
    form.code.data = line.code  # it stays
    if form.validate_on_submit():
        with current.database().transaction(current.scope()) as connection:
            services.lock_category(connection, category)
            line = services.find_category(connection, category) or line
            fresh = form.mark.data == state_mark(_category_told(line))
            if fresh:
                _save_category(connection, line, form)
        if fresh:
            flash(_("The category is changed."))
            return redirect(url_for("services.categories"), code=303)
        refused = _stale()
    if request.method == "GET":
        form.name.data, form.name_zh.data = line.name, line.name_zh
        form.industry.data, form.status.data = line.industry, line.status
        form.mark.data = state_mark(_category_told(line))
    page = render_template("services/category.html", form=form, line=line, refused=refused)
    return (page, 409) if refused else page


def _save_category(connection: Connection, line: Category | None, form: CategoryForm) -> None:
    after = {name: form[name].data for name in ("name", "name_zh", "industry", "status")}
    code = line.code if line is not None else form.code.data
    saved = services.save_category(connection, line.id if line else None, code=code, **after)
    if saved is None:
        raise _Taken
    current.record(
        connection,
        "category.change" if line is not None else "category.create",
        tenant=current.staff().tenant_id,
        kind="category",
        id=saved,
        before=_category_told(line) if line is not None else None,
        after={"code": code} | after,
    )


def _category_told(line: Category) -> dict[str, str]:
    return {
        "code": line.code, "name": line.name, "name_zh": line.name_zh, "industry": line.industry,
        "status": line.status,
    }  # fmt: skip
