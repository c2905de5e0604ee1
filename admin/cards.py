"""Cards: finding one, its page, and what staff may do to it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple, NoReturn

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from wtforms import DateField, StringField
from wtforms.validators import Length, Optional

from admin import current
from admin.access import requires
from admin.card_steps import STEPS, Step, mark, offered, refusal, step_words
from admin.card_words import card_standing, event_shown, grouped, limit_rows, lot_kind, member_page
from admin.forms import MarkedForm, plain, trimmed
from admin.language import gettext as _
from ledger import cards
from ledger.businessday import business_date
from ledger.card_details import CardDetails, card_balance, card_history, find_card
from ledger.card_search import FoundCard, issuer, search_cards
from ledger.database import Connection
from ledger.keyring import Keyring
from ledger.limits import products
from ledger.reports import member_expiring

__all__ = [
    "CODE_DIGITS", "CODE_LASTS", "FOUND_MOST", "REASON_MOST", "WORDS_MOST", "blueprint", "new_code",
    "no_card", "noted", "own_enterprise",
]  # fmt: skip

FOUND_MOST = 50  # what a person looks through; for more they type more
WORDS_MOST = 100
REASON_MOST = 200
CODE_DIGITS = 8  # three tries of a hundred million
CODE_LASTS = timedelta(days=7)  # a letter takes some days

blueprint = Blueprint("cards", __name__)
for word in (grouped, card_standing, event_shown, lot_kind, member_page):
    blueprint.add_app_template_filter(word)


class StepForm(MarkedForm):
    """Why a step is taken, for the card's history."""

    reason = StringField(
        _l("Reason (optional)"),
        filters=[trimmed],
        validators=[plain, Length(max=REASON_MOST, message=_l("Type at most %(max)d characters."))],
        description=_l("Kept in the card's history, with your name."),
    )


class ReplaceForm(StepForm):
    """A replacement may be good for longer."""

    expires_on = DateField(_l("Last day of the new card (optional)"), validators=[Optional()])


class Done(NamedTuple):
    """What came of a step: why nothing was done, or else the code, if there is one, which is said once."""

    refused: str | None = None
    code: str | None = None


@blueprint.get("/cards")
@requires("cards.view")
def find() -> ResponseReturnValue:
    """Look for cards by number, or by their member's code or name."""
    words = request.args.get("q", "").strip()
    if len(words) > WORDS_MOST:
        return _found(words, [], error=_("Type at most %(max)d characters.", max=WORDS_MOST))
    with current.database().transaction(current.scope()) as connection:
        exact = find_card(connection, words)
        lines = (
            search_cards(connection, words, enterprise=own_enterprise(), most=FOUND_MOST + 1)
            if exact is None
            else []
        )
    if exact is not None:
        return redirect(url_for("cards.card", number=exact.card.number), code=303)
    return _found(words, lines)


def _found(words: str, lines: Sequence[FoundCard], error: str | None = None) -> ResponseReturnValue:
    return render_template(
        "cards/find.html",
        words=words,
        lines=lines[:FOUND_MOST],
        more=len(lines) > FOUND_MOST,
        most=FOUND_MOST,
        error=error,
    )


@blueprint.get("/cards/<number>")
@requires("cards.view")
def card(number: str) -> ResponseReturnValue:
    """One card: its state, its limits, what can be done, and its history."""
    return _page(number)


@blueprint.route("/cards/<number>/<step>", methods=["GET", "POST"])
@requires("cards.change")
def take(number: str, step: str) -> ResponseReturnValue:
    """Ask whether the step is meant, with a reason; and take it."""
    if step not in STEPS:
        abort(404)
    chosen = STEPS[step]
    with current.database().transaction(current.scope()) as connection:
        details = find_card(connection, number)
        today = business_date(connection)
    if details is None:
        no_card(number)
    refused = refusal(chosen, details)
    if refused is not None:
        return _page(number, refused), 409
    form = (ReplaceForm if step == "replace" else StepForm)()
    valid = form.validate_on_submit()
    if isinstance(form, ReplaceForm) and valid and today is not None:
        last_day = form.expires_on.data or details.expires_on
        if last_day is not None and last_day < today:
            form.expires_on.errors = [_("Give a day that is still to come: the card would be dead at once.")]
            valid = False
    if not valid:
        if request.method == "GET":
            form.mark.data = mark(chosen, details)
        words = step_words(chosen, details)
        return render_template("cards/step.html", card=details, step=chosen, words=words, form=form)
    done = _take(chosen, details, form)
    if done.refused is not None:
        return _page(number, done.refused), 409
    if done.code is not None:
        until = current.now() + CODE_LASTS
        return render_template("cards/code.html", card=details, code=done.code, until=until)
    flash(step_words(chosen, details).done)
    return redirect(url_for("cards.card", number=number), code=303)


def own_enterprise() -> int | None:
    """The enterprise whose staff asks; None for the operator's, who see all."""
    staff = current.staff()
    return None if staff.tenant_kind == "operator" else staff.tenant_id


def no_card(number: str) -> NoReturn:
    """Answer 404: what has 16 digits may be somebody's card, and leaves a line in the trail."""
    if len(number) == 16 and number.isascii() and number.isdigit():
        current.missing("card", number)
    abort(404)


def noted(connection: Connection, details: CardDetails, what: str, reason: str | None = None) -> None:
    """Tell the trail what was done to a card; `details` is how it stood before."""
    after = find_card(connection, details.card.number)
    assert after is not None
    before_told, after_told = _told(details), _told(after)
    changed = {name for name, value in after_told.items() if before_told[name] != value}
    current.record(
        connection,
        f"card.{what}",
        tenant=details.enterprise_id,
        kind="card",
        id=details.card.number,
        before={name: before_told[name] for name in changed},
        after={name: after_told[name] for name in changed},
        reason=reason,
    )


def _told(details: CardDetails) -> dict[str, Any]:
    last_day, until = details.expires_on, details.code_until
    return {
        "status": details.status,
        "issue": details.card.issue,
        "expires_on": None if last_day is None else last_day.isoformat(),
        "pin_tries": details.pin_tries,
        "pin_code_until": None if until is None else until.isoformat(),
        "product": details.product_id,
        "limit_points": details.own.limit_points,
        "day_limit_points": details.own.day_limit_points,
        "pin_above_points": details.own.pin_above_points,
    }


def _page(number: str, refused: str | None = None) -> str:
    with current.database().transaction(current.scope()) as connection:
        details = find_card(connection, number)
        if details is None:
            no_card(number)
        key = details.card
        history = card_history(connection, key)
        balance = card_balance(connection, key)
        kinds = {product.id: product for product in products(connection, details.enterprise_id)}
        losses = member_expiring(connection, key.slot, key.account_id)
        enterprise = issuer(connection, details.enterprise_id)
    return render_template(
        "cards/card.html",
        card=details,
        steps=[(step, step_words(step, details)) for step in offered(details)],
        limits=limit_rows(details, kinds.get(details.product_id or 0)),
        losses=losses,
        balance=balance,
        history=history,
        enterprise=enterprise,
        refused=refused,
        now=current.now(),
    )


def _take(step: Step, seen: CardDetails, form: StepForm) -> Done:
    """Take the step, unless the card is not any more what the page showed: decided under its lock."""
    number = seen.card.number
    with current.database().transaction(current.scope()) as connection:
        cards.locked_status(connection, seen.card)
        details = find_card(connection, number)
        if details is None:
            no_card(number)
        refused = refusal(step, details)
        if refused is None and form.mark.data != mark(step, details):
            refused = _(
                "The card has changed since you opened the form, perhaps by a second click of your own. "
                "Look at it and decide again. Nothing was changed now."
            )
        if refused is not None:
            return Done(refused)
        key, now = details.card, current.now()
        who, why = current.staff().id, form.reason.data or None
        match step.name:
            case "unblock":
                cards.unblock_pin(connection, key, now=now, staff=who, reason=why)
            case "code":
                code = new_code()
                keyring = Keyring.load(current.settings().secrets)
                verifier = keyring.code_verifier(key.slot, key.account_id, key.id, code)
                until = now + CODE_LASTS
                cards.offer_pin_code(
                    connection, key, verifier=verifier, until=until, now=now, staff=who, reason=why
                )
                noted(connection, details, "pin_code", why)
                return Done(code=code)
            case "replace":
                last_day = form.expires_on.data if isinstance(form, ReplaceForm) else None
                cards.replace_card(connection, key, now=now, staff=who, reason=why, expires_on=last_day)
            case _:
                status = {"activate": "active", "suspend": "suspended", "lost": "lost", "close": "closed"}
                cards.set_status(connection, key, status[step.name], now=now, staff=who, reason=why)
        noted(connection, details, step.name, why)
    return Done()


def new_code() -> str:
    """A one-time code of CODE_DIGITS digits."""
    # Eight bytes more than eight digits need: no digit is likelier than another by more than one in 10**11.
    return f"{int.from_bytes(current.random_bytes(8), 'big') % 10**CODE_DIGITS:0{CODE_DIGITS}d}"
