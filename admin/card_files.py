"""Files of cards: print sheets, what encoders write on chips, and letters with one-time PIN codes.

A sealed token is as good as the card itself: each file leaves a line in the trail. Codes are told once.
"""

import csv
import io
from collections.abc import Sequence
from datetime import datetime, timedelta

from flask import Blueprint, Response, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, SelectField, TextAreaField
from wtforms.validators import DataRequired

from admin import current
from admin.access import requires
from admin.card_batches import PATH, the_batch
from admin.card_chips import ChipsWrong, ndef_text, told_chips
from admin.card_layout import STOCKS
from admin.card_print import CardFace, Letter, cards_pdf, letters_pdf
from admin.card_words import grouped
from admin.cards import new_code, no_card
from admin.forms import MarkedForm, OnceForm
from admin.language import day
from admin.language import gettext as _
from admin.language import points as figure
from ledger.card_batch_work import offer_codes
from ledger.card_batches import Batch, BatchCard, card_to_print, print_cards
from ledger.card_details import CardDetails, find_card
from ledger.card_search import issuer
from ledger.database import Connection
from ledger.keyring import Keyring
from protocol.credentials import CardToken, seal

__all__ = ["LETTERS_LAST", "PART", "blueprint"]

PART = 250  # cards of one file: drawn in a few seconds, and few enough to count by hand
LETTERS_LAST = timedelta(days=30)  # letters are printed, put in envelopes, sent, and left lying

blueprint = Blueprint("cards_files", __name__)


class PartForm(MarkedForm):
    """Which cards of a large batch."""

    part = SelectField(_l("Cards"), coerce=int)

    def offer(self, lines: int) -> None:
        """Parts to choose: lines 1 to PART, and so on."""
        self.part.choices = [
            (
                start,
                _("%(first)s to %(last)s", first=figure(start + 1), last=figure(min(start + PART, lines))),
            )
            for start in range(0, max(lines, 1), PART)
        ]


class PrintForm(PartForm):
    """How cards are printed."""

    stock = SelectField(_l("Printed on"))
    marks = BooleanField(_l("With crop marks"))

    def offer(self, lines: int) -> None:
        super().offer(lines)
        self.stock.choices = [
            ("id1", _("Single cards, 85.6 × 54 mm (ID-1), for card printers")),
            ("a4", _("A4, ten cards of 85 × 54 mm")),
            ("letter", _("US Letter, ten cards of 3.5 × 2 inches")),
        ]


class ChipForm(PartForm):
    """The chips that lie ready, by what a reader says of them."""

    chips = TextAreaField(
        _l("UIDs of the chips"),
        validators=[DataRequired(_l("Give the UID of each chip, as the encoder or a reader shows it."))],
        description=_l(
            "One a line, in the order of the cards: 8, 14 or 20 hexadecimal digits; or number, comma, UID."
        ),
    )


class LetterForm(OnceForm, PartForm):
    """Codes for new PINs, printed once."""


@blueprint.route(f"{PATH}/print", methods=["GET", "POST"], endpoint="batch_print")
@requires("cards.issue")
def batch_print(batch: int) -> ResponseReturnValue:
    """Print sheets of a batch."""
    line = the_batch(batch)
    form = PrintForm()
    form.offer(line.lines)
    if not form.validate_on_submit():
        return _form("cards/print.html", form, batch=line)
    with current.database().transaction(current.scope()) as connection:
        chosen = print_cards(connection, batch, after=form.part.data, upto=form.part.data + PART)
        if not chosen:
            return _form("cards/print.html", form, batch=line, refused=_none_left()), 409
        faces = _faces(connection, chosen, line.enterprise_id, line.product)
        told = {"cards": len(chosen), "from": form.part.data + 1, "stock": form.stock.data}
        current.record(
            connection, "card_batch.print", tenant=line.enterprise_id, kind="card_batch", id=batch, after=told
        )
    name = f"cards-{batch}-{form.part.data + 1}.pdf"
    return _pdf(cards_pdf(faces, STOCKS[form.stock.data], marks=form.marks.data, title=name), name)


@blueprint.route("/cards/<number>/print", methods=["GET", "POST"])
@requires("cards.issue")
def card_print(number: str) -> ResponseReturnValue:
    """The print sheet of one card."""
    details = _asked(number)
    form = PrintForm()
    form.offer(1)
    if form.validate_on_submit() and _useful(details.status, details.expired):
        with current.database().transaction(current.scope()) as connection:
            (face,) = _faces(
                connection, [card_to_print(connection, details.card)], details.enterprise_id, details.product
            )
            told = {"issue": details.card.issue, "stock": form.stock.data}
            current.record(
                connection, "card.print", tenant=details.enterprise_id, kind="card", id=number, after=told
            )
        name = f"card-{details.card.number[-4:]}.pdf"
        return _pdf(cards_pdf([face], STOCKS[form.stock.data], marks=form.marks.data, title=name), name)
    return _asks("cards/print.html", form, details)


@blueprint.route(f"{PATH}/chips", methods=["GET", "POST"])
@requires("cards.issue")
def batch_chips(batch: int) -> ResponseReturnValue:
    """What an encoder writes on the chips of a batch."""
    line = the_batch(batch)
    form = ChipForm()
    form.offer(line.lines)
    if not form.validate_on_submit():
        return _form("cards/chips.html", form, batch=line)
    with current.database().transaction(current.scope()) as connection:
        chosen = print_cards(connection, batch, after=form.part.data, upto=form.part.data + PART)
        rows = _encoded(form, chosen)
        if rows is None:
            return _form("cards/chips.html", form, batch=line)
        told = {"cards": len(rows), "from": form.part.data + 1}
        current.record(
            connection, "card_batch.write", tenant=line.enterprise_id, kind="card_batch", id=batch, after=told
        )
    return _csv(rows, f"chips-{batch}-{form.part.data + 1}.csv")


@blueprint.route("/cards/<number>/chip", methods=["GET", "POST"])
@requires("cards.issue")
def card_chip(number: str) -> ResponseReturnValue:
    """What an encoder writes on one card's chip."""
    details = _asked(number)
    form = ChipForm()
    form.offer(1)
    if form.validate_on_submit() and _useful(details.status, details.expired):
        with current.database().transaction(current.scope()) as connection:
            rows = _encoded(form, [card_to_print(connection, details.card)])
            if rows is not None:
                told = {"issue": details.card.issue}
                current.record(
                    connection, "card.write", tenant=details.enterprise_id, kind="card", id=number, after=told
                )
                return _csv(rows, f"chip-{details.card.number[-4:]}.csv")
    return _asks("cards/chips.html", form, details)


@blueprint.route(f"{PATH}/codes", methods=["GET", "POST"])
@requires("cards.change")
def batch_codes(batch: int) -> ResponseReturnValue:
    """Letters with a one-time PIN code for each card of a batch."""
    line = the_batch(batch)
    form = LetterForm()
    form.offer(line.lines)
    form.fresh()
    if not form.validate_on_submit():
        return _form("cards/letters.html", form, batch=line)
    now = current.now()
    until = now + LETTERS_LAST
    keyring = Keyring.load(current.settings().secrets)
    with current.database().transaction(current.scope()) as connection:
        chosen = print_cards(connection, batch, after=form.part.data, upto=form.part.data + PART)
        refused = None
        if not chosen:
            refused = _none_left()
        elif not form.claim(connection, line.enterprise_id):
            refused = _("This form was sent before: its letters were made then. Open it again for new codes.")
        if refused is not None:
            return _form("cards/letters.html", form, batch=line, refused=refused), 409
        codes = [new_code() for _each in chosen]
        verifiers = [
            keyring.code_verifier(each.card.slot, each.card.account_id, each.card.id, code)
            for each, code in zip(chosen, codes, strict=True)
            if each.card is not None
        ]
        staff = current.staff().id
        offer_codes(connection, chosen, verifiers, until=until, now=now, staff=staff)
        told = {"cards": len(chosen), "from": form.part.data + 1, "until": until.isoformat()}
        current.record(
            connection, "card_batch.pin_code", tenant=line.enterprise_id, kind="card_batch", id=batch,
            after=told,
        )  # fmt: skip
    name = f"letters-{batch}-{form.part.data + 1}.pdf"
    letters = [_letter(each, code, line, until) for each, code in zip(chosen, codes, strict=True)]
    return _pdf(letters_pdf(letters, title=name), name)


def _letter(each: BatchCard, code: str, batch: Batch, until: datetime) -> Letter:
    assert each.card is not None
    lines = [
        batch.enterprise or "",
        f"{each.member} · {each.member_code}",
        _("Card ending in %(digits)s", digits=each.card.number[-4:]),
        _("At a terminal choose to change the PIN, show the card, type this code, and then the new PIN."),
        _("Good until %(day)s, for one new PIN. Keep it to yourself.", day=day(until.date())),
    ]
    return Letter(lines=lines, code=code)


def _useful(status: str, expired: bool) -> bool:
    return status in {"issued", "active", "suspended"} and not expired


def _none_left() -> str:
    return _("There is no card to print or to write: it is lost, closed, expired or not made yet.")


def _token(card: BatchCard, chip: bytes | None = None) -> str:
    key_id, key = max(Keyring.load(current.settings().secrets).card_keys.items())
    assert card.card is not None
    token = CardToken(card.card.slot, card.card.account_id, card.card.id, card.card.issue)
    return seal(token, key_id=key_id, key=key, nonce=current.random_bytes(24), chip=chip)


def _faces(
    connection: Connection, chosen: Sequence[BatchCard], enterprise: int, product: str | None
) -> list[CardFace]:
    name = issuer(connection, enterprise) or ""
    return [
        CardFace(
            token=_token(each),
            number=grouped(each.card.number),
            member=each.member,
            enterprise=name,
            product=product or "",
            last_day=_("Valid until %(day)s", day=day(each.expires_on)) if each.expires_on else "",
        )
        for each in chosen
        if each.card is not None
    ]


def _encoded(form: ChipForm, chosen: Sequence[BatchCard]) -> list[tuple[str, str, str, str]] | None:
    """A line for each chip: card number, UID, token, NDEF message; None with an error beside the field."""
    by_number = {each.card.number: each for each in chosen if each.card is not None}
    try:
        chips = told_chips(form.chips.data, list(by_number))
    except ChipsWrong as error:
        form.chips.errors = [str(error)]
        return None
    rows = []
    for number, uid in chips.items():
        token = _token(by_number[number], uid)
        rows.append((number, uid.hex().upper(), token, ndef_text(token).hex().upper()))
    return rows


def _asked(number: str) -> CardDetails:
    """The card that the address names; 404 for one that the scope does not show."""
    with current.database().transaction(current.scope()) as connection:
        details = find_card(connection, number)
    if details is None:
        no_card(number)
    return details


def _asks(page: str, form: PartForm, details: CardDetails) -> ResponseReturnValue:
    """The form of one card; refused when the card is of no use any more."""
    refused = None if _useful(details.status, details.expired) else _none_left()
    return _form(page, form, card=details, refused=refused), 409 if refused else 200


def _form(template: str, form: PartForm, **told: object) -> str:
    batch = told.get("batch")
    card = told.get("card")
    back = (
        url_for("cards_batches.one", batch=batch.id)
        if isinstance(batch, Batch)
        else url_for("cards.card", number=card.card.number)  # type: ignore[attr-defined]
    )
    return render_template(template, form=form, back=back, part=PART, **{"batch": None, "card": None} | told)


def _pdf(content: bytes, name: str) -> Response:
    return _file(content, name, "application/pdf")


def _csv(rows: Sequence[Sequence[str]], name: str) -> Response:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(("card_number", "uid", "token", "ndef"))
    writer.writerows(rows)
    return _file(file.getvalue().encode("ascii"), name, "text/csv; charset=utf-8")


def _file(content: bytes, name: str, kind: str) -> Response:
    sent = Response(content, content_type=kind)
    sent.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    sent.headers["Cache-Control"] = "no-store"
    return sent
