"""What people look for among transactions: a form that asks with GET, so that each search has an address."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _l
from werkzeug.datastructures import MultiDict
from wtforms import Form, SelectField, StringField
from wtforms.validators import Length

from admin import current
from admin.forms import trimmed
from admin.language import day, minute, points
from admin.language import gettext as _
from admin.transaction_words import kind_names, reason
from ledger.database import Connection
from ledger.transaction_lists import Asked, accounts_of_card, accounts_of_member
from ledger.transaction_names import Named, Noun, named
from ledger.walks import NO_BOUND
from protocol.codes import CODES

__all__ = ["Chip", "FilterForm", "Wanted", "wanted"]

WORDS_MOST = 100
NOUNS: dict[str, Noun] = {
    "enterprise": "enterprise", "merchant": "merchant", "store": "store", "terminal": "terminal",
    "service": "service",
}  # fmt: skip
HIDDEN_FROM = {
    "operator": (),
    "enterprise": ("enterprise", "terminal", "batch"),
    "merchant": ("member", "enterprise", "merchant"),
}


def _words(label: Any, **more: Any) -> StringField:
    longest = Length(max=WORDS_MOST, message=_l("Type at most %(max)d characters."))
    return StringField(label, filters=[trimmed], validators=[longest], render_kw=more)


class FilterForm(Form):  # type: ignore[misc]
    """Every column that one can look for. What is left empty fits everything."""

    no = _words(_l("Transaction no."), inputmode="numeric")
    txid = _words(_l("Terminal's id (txid)"))
    reference = _words(_l("Reference"))
    card = _words(_l("Card, or its last four"), inputmode="numeric")
    member = _words(_l("Member code"))
    enterprise = _words(_l("Enterprise"))
    merchant = _words(_l("Merchant"))
    store = _words(_l("Store"))
    terminal = _words(_l("Terminal"))
    batch = _words(_l("Batch"), inputmode="numeric")
    service = _words(_l("Service"))
    kind = SelectField(_l("Kind"), validate_choice=False)
    code = SelectField(_l("Refused because"), validate_choice=False)
    points_from = _words(_l("Points from"), inputmode="numeric")
    points_to = _words(_l("Points to"), inputmode="numeric")
    since = _words(_l("Business date from"), type="date")
    until = _words(_l("Business date to"), type="date")
    posted_from = _words(_l("Time from"), type="datetime-local")
    posted_to = _words(_l("Time to"), type="datetime-local")


class Chip(NamedTuple):
    """One thing that is looked for, in words, and the names in the address that say it."""

    name: str
    label: str
    words: str


class Wanted(NamedTuple):
    """What an address looks for. `asked` is None where something makes no sense: the form says what."""

    form: FilterForm
    asked: Asked | None
    chips: list[Chip]
    args: dict[str, str]


class _Wrong(Exception):
    """What was typed makes no sense; the text says why, beside its field."""


def wanted(connection: Connection, typed: Mapping[str, str], tenant_kind: str) -> Wanted:
    """Read an address. Names of merchants and the like are looked up in the scope."""
    form = FilterForm(MultiDict(typed))
    for name in HIDDEN_FROM[tenant_kind]:
        del form[name]
    form.kind.choices = [("", _("All")), *kind_names().items()] if "kind" in form else []
    form.code.choices = [
        ("", _("All")),
        *((str(info.code), reason(info.code)) for info in CODES if info.code),
    ]
    args = {field.name: field.data for field in form if field.data}
    right = form.validate()
    asked, chips = Asked(), []
    for name, words in args.items():
        if form[name].errors:
            continue
        try:
            fields, shown = _read(connection, form, name, words, tenant_kind)
        except _Wrong as wrong:
            form[name].errors = [*form[name].errors, str(wrong)]
            right = False
            continue
        asked = _joined(asked, fields)
        chips.append(Chip(name, str(form[name].label.text), shown))
    if right:
        right = _in_order(form, asked)
    return Wanted(form, asked if right else None, chips, args)


def _joined(asked: Asked, fields: dict[str, Any]) -> Asked:
    if asked.accounts is not None and "accounts" in fields:  # a card and a member: who is both
        both = tuple(account for account in asked.accounts if account in fields["accounts"])
        fields = fields | {"accounts": both}
    # A terminal's merchant is only where to look: who typed another merchant finds nothing.
    if asked.merchant is not None and "merchant" in fields and fields["merchant"] != asked.merchant:
        fields = fields | {"accounts": (), "merchant": asked.merchant}
    return replace(asked, **fields)


def _in_order(form: FilterForm, asked: Asked) -> bool:
    right = True
    for first, last in (("points_from", "points_to"), ("since", "until"), ("posted_from", "posted_to")):
        lower, upper = getattr(asked, first), getattr(asked, last)
        if lower is not None and upper is not None and lower > upper:
            form[last].errors = [_("This is before where it begins.")]
            right = False
    if asked.batch is not None and asked.terminal is None:
        form.batch.errors = [_("Name the terminal, too: each counts its own batches.")]
        right = False
    return right


def _read(
    connection: Connection, form: FilterForm, name: str, words: str, tenant_kind: str
) -> tuple[dict[str, Any], str]:
    """What a field asks for, and how its chip says it. _Wrong for what makes no sense."""
    if name in NOUNS:
        found = _one(named(connection, NOUNS[name], words))
        fields: dict[str, Any] = {name: found.id}
        if found.merchant is not None and tenant_kind != "merchant":
            fields["merchant"] = found.merchant
        return fields, found.name
    return READERS[name](connection, words)


def _one(found: list[Named]) -> Named:
    if not found:
        raise _Wrong(_("Nothing is called like this."))
    if len(found) > 1:
        names = ", ".join(f"{each.name} (#{each.id})" for each in found[:5])
        raise _Wrong(
            _("Several are called like this: %(names)s. Type one's whole name or number.", names=names)
        )
    return found[0]


Read = tuple[dict[str, Any], str]


def _number(words: str, *, most: int = NO_BOUND - 1) -> int:
    digits = words.replace(",", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19 and int(digits) <= most):
        raise _Wrong(_("Type a whole number."))
    return int(digits)


def _no(_connection: Connection, words: str) -> Read:
    return {"id": _number(words.removeprefix("#"))}, words


def _txid(_connection: Connection, words: str) -> Read:
    try:
        return {"txid": UUID(words)}, words
    except ValueError:
        raise _Wrong(_("This is not a txid: 32 digits and letters from a to f.")) from None


def _reference(_connection: Connection, words: str) -> Read:
    if "\x00" in words:  # PostgreSQL's text has no NUL
        raise _Wrong(_("Nothing is called like this."))
    return {"reference": words}, words


def _card(connection: Connection, words: str) -> Read:
    digits = words.replace(" ", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) in {4, 16}):
        raise _Wrong(_("Type the 16 digits of the card, or its last four."))
    shown = f"•••• {digits[-4:]}"
    if len(digits) == 4 or current.staff().tenant_kind == "merchant":  # a merchant knows no whole numbers
        return {"tail": digits[-4:]}, shown
    accounts = accounts_of_card(connection, digits)
    if not accounts:
        raise _Wrong(_("There is no such card."))
    return {"accounts": accounts, "tail": digits[-4:]}, shown


def _member(connection: Connection, words: str) -> Read:
    accounts = () if "\x00" in words else accounts_of_member(connection, words)
    if not accounts:
        raise _Wrong(_("There is no member with this code."))
    return {"accounts": accounts}, words


def _batch(_connection: Connection, words: str) -> Read:
    return {"batch": _number(words)}, words


def _kind(_connection: Connection, words: str) -> Read:
    names = kind_names()
    if words not in names:
        raise _Wrong(_("Choose one of the list."))
    return {"kind": words}, names[words]


def _code(_connection: Connection, words: str) -> Read:
    code = _number(words)
    if code not in {info.code for info in CODES if info.code}:
        raise _Wrong(_("Choose one of the list."))
    return {"code": code}, reason(code)


def _points(name: str) -> Callable[[Connection, str], Read]:
    def read(_connection: Connection, words: str) -> Read:
        value = _number(words)
        return {name: value}, points(value)

    return read


def _date(name: str) -> Callable[[Connection, str], Read]:
    def read(_connection: Connection, words: str) -> Read:
        try:
            value = date.fromisoformat(words)
        except ValueError:
            raise _Wrong(_("Type a date such as 2026-11-22.")) from None
        return {name: value}, day(value)

    return read


def _time(name: str, more: timedelta) -> Callable[[Connection, str], Read]:
    def read(_connection: Connection, words: str) -> Read:
        try:
            local = datetime.fromisoformat(words)
            if local.tzinfo is not None or not 1 < local.year < 9999:
                raise ValueError
        except ValueError:
            raise _Wrong(_("Type a date and a time such as 2026-11-22 14:03.")) from None
        moment = local.replace(tzinfo=ZoneInfo(current.settings().time_zone))
        return {name: moment + (more if local.second == 0 else timedelta(0))}, minute(moment)

    return read


READERS: dict[str, Callable[[Connection, str], Read]] = {
    "no": _no,
    "txid": _txid,
    "reference": _reference,
    "card": _card,
    "member": _member,
    "batch": _batch,
    "kind": _kind,
    "code": _code,
    "points_from": _points("points_from"),
    "points_to": _points("points_to"),
    "since": _date("since"),
    "until": _date("until"),
    "posted_from": _time("posted_from", timedelta(0)),
    # To the end of the minute that was typed.
    "posted_to": _time("posted_to", timedelta(seconds=59, microseconds=999_999)),
}
