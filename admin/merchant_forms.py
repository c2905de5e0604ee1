"""Forms of merchants and stores, and how places and opening hours are typed and read."""

import hashlib
import re
import unicodedata
from decimal import Decimal
from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, DateField, Field, StringField, TextAreaField, ValidationError
from wtforms.validators import DataRequired, Length, Optional, Regexp

from admin.forms import MarkedForm, OnceForm, plain, trimmed
from admin.language import gettext as _
from ledger.merchant_details import Contact, Details, StorePlace

__all__ = [
    "CODE_MOST", "CONTACTS_MOST", "DetailsForm", "MerchantForm", "NewStoreForm", "StoreForm", "code_field",
    "hours_words", "line_field", "place_words", "state_mark",
]  # fmt: skip

NAME_MOST, CODE_MOST, LINE_MOST, NOTE_MOST = 100, 40, 200, 2_000
CONTACTS_MOST = 3
CONTACT_PARTS = ("name", "post", "phone", "email")
DAY_MINUTES = 1_440
MICRO = 1_000_000
HOURS = re.compile(r"(\d{1,2}):(\d{2})\s*(?:-|–|—|~|至|到)\s*(\d{1,2}):(\d{2})", re.ASCII)
PLACE = re.compile(r"([+-]?\d{1,3}(?:\.\d{1,6})?)\s*[,;\s]\s*([+-]?\d{1,3}(?:\.\d{1,6})?)", re.ASCII)
ACCOUNT = re.compile(r"[0-9A-Z]{6,34}", re.ASCII)  # an IBAN has 34 at most


def state_mark(*parts: object) -> str:
    """A short text that changes with what a form was made for: one sent later than that is stale."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def line_field(label: Any, *, most: int = LINE_MOST, needed: Any = None, **more: Any) -> StringField:
    """Words in one line; `needed` is what is said when there are none."""
    first = DataRequired(needed) if needed is not None else Optional()
    length = Length(max=most, message=_l("Type at most %(max)d characters."))
    return StringField(label, filters=[trimmed], validators=[first, plain, length], **more)


def code_field(label: Any, **more: Any) -> StringField:
    """A code: it names a thing in files and on other systems, and never changes."""
    return StringField(
        label,
        filters=[trimmed],
        validators=[
            DataRequired(_l("Give it a code, such as M001.")),
            Length(max=CODE_MOST, message=_l("Type at most %(max)d characters.")),
            Regexp(r"[A-Za-z0-9._-]+\Z", message=_l("Letters, digits and . _ - only, without spaces.")),
        ],
        **more,
    )


class MerchantForm(OnceForm):
    """A new merchant with its first store."""

    code = code_field(_l("Merchant code"), description=_l("It stays as it is, for files and statements."))
    name = line_field(_l("Name"), most=NAME_MOST, needed=_l("Give the merchant its name."))
    store_code = code_field(_l("Code of its first store"))
    store_name = line_field(
        _l("Name of its first store"), most=NAME_MOST, needed=_l("Give the store its name.")
    )

    def validate_store_code(self, field: Field) -> None:
        """Within a merchant no two have one code, itself included."""
        if field.data == self.code.data:
            raise ValidationError(_("This is the merchant's own code. Choose another for the store."))


class DetailsForm(MarkedForm):
    """What the operator keeps of a merchant. The account's number is typed to change it, never shown."""

    name = line_field(_l("Name"), most=NAME_MOST, needed=_l("Give the merchant its name."))
    contract_since = DateField(_l("Contract from"), validators=[Optional()])
    contract_until = DateField(_l("Contract until, its last day"), validators=[Optional()])
    bank = line_field(_l("Bank"))
    account_name = line_field(_l("Account holder"))
    account_number = StringField(
        _l("New account number"),
        filters=[trimmed],
        description=_l("Empty: it stays as it is. Kept sealed; pages show its last four digits."),
    )
    account_forget = BooleanField(_l("Remove the account number"))
    contact_1_name = line_field(_l("Name"), most=NAME_MOST)
    contact_1_post = line_field(_l("Position"), most=NAME_MOST)
    contact_1_phone = line_field(_l("Telephone"), most=NAME_MOST)
    contact_1_email = line_field(_l("E-mail"), most=NAME_MOST)
    contact_2_name = line_field(_l("Name"), most=NAME_MOST)
    contact_2_post = line_field(_l("Position"), most=NAME_MOST)
    contact_2_phone = line_field(_l("Telephone"), most=NAME_MOST)
    contact_2_email = line_field(_l("E-mail"), most=NAME_MOST)
    contact_3_name = line_field(_l("Name"), most=NAME_MOST)
    contact_3_post = line_field(_l("Position"), most=NAME_MOST)
    contact_3_phone = line_field(_l("Telephone"), most=NAME_MOST)
    contact_3_email = line_field(_l("E-mail"), most=NAME_MOST)
    note = TextAreaField(
        _l("Note"),
        filters=[trimmed],
        validators=[Length(max=NOTE_MOST, message=_l("Type at most %(max)d characters."))],
    )

    def show(self, name: str, details: Details, contacts: list[Contact]) -> None:
        """Fill the form with what is kept."""
        self.name.data = name
        for field in ("contract_since", "contract_until", "bank", "account_name", "note"):
            self[field].data = getattr(details, field)
        for number, contact in enumerate(contacts[:CONTACTS_MOST], 1):
            for part in CONTACT_PARTS:
                self[f"contact_{number}_{part}"].data = getattr(contact, part)

    def details(self) -> Details:
        """What was typed, but the account's number."""
        return Details(
            contract_since=self.contract_since.data,
            contract_until=self.contract_until.data,
            bank=self.bank.data or None,
            account_name=self.account_name.data or None,
            note=self.note.data or None,
        )

    def contacts(self) -> list[Contact]:
        """Those that have a name, in their order."""
        typed = [
            [self[f"contact_{number}_{part}"].data or None for part in CONTACT_PARTS]
            for number in range(1, CONTACTS_MOST + 1)
        ]
        return [Contact(name, *rest) for name, *rest in typed if name]

    def validate_contract_until(self, field: Field) -> None:
        since = self.contract_since.data
        if field.data is not None and since is not None and field.data < since:
            raise ValidationError(_("The last day is before the first."))

    def validate_account_number(self, field: Field) -> None:
        if not field.data:
            return
        field.data = re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", field.data)).upper()
        if not ACCOUNT.fullmatch(field.data):
            raise ValidationError(_("An account number has 6 to 34 digits, or letters as an IBAN has."))
        if self.account_forget.data:
            raise ValidationError(_("Type a number, or have it removed; not both."))

    def validate_note(self, field: Field) -> None:
        if "\x00" in (field.data or ""):
            raise ValidationError(_("Type it with letters, digits and signs only."))

    def validate(self, extra_validators: Any = None) -> bool:
        """Contacts too: who has a phone has a name."""
        valid = bool(super().validate(extra_validators))
        for number in range(1, CONTACTS_MOST + 1):
            name, email = self[f"contact_{number}_name"], self[f"contact_{number}_email"]
            others = [self[f"contact_{number}_{part}"].data for part in ("post", "phone", "email")]
            if any(others) and not name.data:
                name.errors = [*name.errors, _("Give the person's name, too.")]
                valid = False
            if email.data and not looks_like_email(email.data):
                email.errors = [*email.errors, _("This is no e-mail address.")]
                valid = False
        return valid


def looks_like_email(typed: str) -> bool:
    """Whether mail could be sent there: one at-sign, and a point behind it."""
    return re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", typed) is not None


class PlaceFields(FlaskForm):  # type: ignore[misc]
    """Where a store is and when it is open."""

    address = line_field(_l("Address"))
    phone = line_field(_l("Telephone"), most=NAME_MOST)
    place = StringField(
        _l("Latitude and longitude"),
        filters=[trimmed],
        description=_l("In degrees (WGS 84), such as 39.904200, 116.407396."),
    )
    hours_1 = StringField(_l("Monday"), filters=[trimmed])
    hours_2 = StringField(_l("Tuesday"), filters=[trimmed])
    hours_3 = StringField(_l("Wednesday"), filters=[trimmed])
    hours_4 = StringField(_l("Thursday"), filters=[trimmed])
    hours_5 = StringField(_l("Friday"), filters=[trimmed])
    hours_6 = StringField(_l("Saturday"), filters=[trimmed])
    hours_7 = StringField(_l("Sunday"), filters=[trimmed])

    def validate_place(self, field: Field) -> None:
        if field.data:
            parse_place(field.data)

    def validate(self, extra_validators: Any = None) -> bool:
        """The seven days, too."""
        valid = bool(super().validate(extra_validators))
        for weekday in range(1, 8):
            field = self[f"hours_{weekday}"]
            try:
                parse_hours(field.data or "")
            except ValidationError as error:
                field.errors = [*field.errors, str(error)]
                valid = False
        return valid

    def typed_place(self) -> StorePlace:
        """What was typed; ask after `validate`."""
        latitude, longitude = parse_place(self.place.data) if self.place.data else (None, None)
        days = {weekday: parse_hours(self[f"hours_{weekday}"].data or "") for weekday in range(1, 8)}
        return StorePlace(
            address=self.address.data or None,
            phone=self.phone.data or None,
            latitude=latitude,
            longitude=longitude,
            hours={weekday: span for weekday, span in days.items() if span is not None},
        )


class StoreForm(PlaceFields, MarkedForm):
    """A store's name, place and hours."""

    name = line_field(_l("Name"), most=NAME_MOST, needed=_l("Give the store its name."))


class NewStoreForm(PlaceFields, OnceForm):
    """One more store of a merchant."""

    code = code_field(_l("Store code"), description=_l("It stays as it is, for files and statements."))
    name = line_field(_l("Name"), most=NAME_MOST, needed=_l("Give the store its name."))


def parse_hours(typed: str) -> tuple[int, int] | None:
    """Minutes of the day of 09:00-21:00; closing before opening is on the next day. None for nothing.

    ValidationError for anything else.
    """
    words = unicodedata.normalize("NFKC", typed).strip()
    if not words:
        return None
    found = HOURS.fullmatch(words)
    if found is None:
        raise ValidationError(_("Type it as 09:00-21:00; leave it empty for a day on which it is closed."))
    hour, minute, closing_hour, closing_minute = (int(part) for part in found.groups())
    opens, closes = hour * 60 + minute, closing_hour * 60 + closing_minute
    if minute > 59 or closing_minute > 59 or opens >= DAY_MINUTES or closes > DAY_MINUTES:
        raise ValidationError(_("There is no such time of day."))
    return opens, closes if closes > opens else closes + DAY_MINUTES


def parse_place(typed: str) -> tuple[int, int]:
    """Latitude and longitude in millionths of a degree. ValidationError for what is no place on earth."""
    found = PLACE.fullmatch(unicodedata.normalize("NFKC", typed).strip())
    if found is None:
        raise ValidationError(
            _("Type two numbers with at most 6 digits behind the point: latitude, longitude.")
        )
    latitude, longitude = (int(Decimal(part) * MICRO) for part in found.groups())
    if abs(latitude) > 90 * MICRO or abs(longitude) > 180 * MICRO:
        raise ValidationError(
            _("A latitude lies between -90 and 90, a longitude between -180 and 180; latitude first.")
        )
    return latitude, longitude


def place_words(latitude: int, longitude: int) -> str:
    """39.904200, 116.407396"""
    return f"{Decimal(latitude) / MICRO:.6f}, {Decimal(longitude) / MICRO:.6f}"


def hours_words(span: tuple[int, int]) -> str:
    """09:00-21:00, as it may be typed again."""
    opens, closes = span
    until = closes - DAY_MINUTES if closes > DAY_MINUTES else closes
    return f"{opens // 60:02d}:{opens % 60:02d}-{until // 60:02d}:{until % 60:02d}"
