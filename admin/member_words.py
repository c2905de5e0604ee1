"""Words about members, and their personal data as this person may see it: masked, unless it was asked for."""

from admin import current
from admin.language import gettext as _
from ledger import personal
from ledger.keyring import Keyring
from ledger.member_desk import ERASED
from ledger.personal import PersonalKeys

__all__ = [
    "fault_words",
    "field_name",
    "identity_shown",
    "keys",
    "member_name",
    "member_standing",
    "phone_shown",
]


def keys() -> PersonalKeys:
    """What seals and finds personal data."""
    return PersonalKeys(Keyring.load(current.settings().secrets).personal_key, current.random_bytes)


def phone_shown(member: int, sealed: bytes | None, *, clear: bool = False) -> str:
    """138****5678, or the phone in full; a dash for none."""
    phone = keys().open_field(member, "phone", sealed)
    if phone is None:
        return "–"
    return personal.shown_phone(phone) if clear else personal.masked_phone(phone)


def identity_shown(member: int, sealed: bytes | None, *, clear: bool = False) -> str:
    """110***********0018, or the number in full; a dash for none."""
    number = keys().open_field(member, "identity", sealed)
    if number is None:
        return "–"
    return number if clear else personal.masked_identity(number)


def member_name(name: str) -> str:
    """The name, or that the person is erased."""
    return _("Erased") if name == ERASED else name


def member_standing(status: str, erased: bool) -> tuple[str, str]:
    """How a member's status looks (a class of the stylesheet), and its word."""
    if erased:
        return "idle", _("Erased")
    return ("approved", _("Active")) if status == "active" else ("idle", _("Closed"))


def field_name(field: str) -> str:
    """What a field is called on pages and in files."""
    words: dict[str, str] = {
        "code": _("Member code"),
        "name": _("Full name"),
        "phone": _("Phone"),
        "identity": _("Identity number"),
        "plates": _("Plate"),
        "unit": _("Unit code"),
        "line": _("Line"),
    }
    return words[field]


def fault_words(fault: str) -> str:
    """A fault of a line or a field, `field.why`, as a sentence that says what to do."""
    _field, _dot, why = fault.partition(".")
    special: dict[str, str] = {
        "phone.country": _("Give the phone with its country's code, such as +41 79 123 45 67."),
        "phone.digits": _("The phone has too few or too many digits."),
        "phone.letters": _("A phone has digits only."),
        "identity.check": _("The last sign of the identity number does not fit the others: one is mistyped."),
        "identity.length": _("An identity number has 5 to 20 signs."),
        "identity.letters": _("An identity number has letters and digits only."),
        "identity.rounded": _(
            "The spreadsheet has rounded the number: make the column text and type it again."
        ),
        "plates.letters": _("A plate has letters and digits only."),
        "plates.length": _("A plate has 4 to 10 signs. Put a comma between two plates."),
        "plates.many": _("At most ten plates."),
        "unit.unknown": _("There is no such unit, or it is not one of yours."),
        "unit.missing": _("Name the unit."),
        "line.wide": _("There is something beyond the last named column."),
    }
    common: dict[str, str] = {
        "missing": _("This is missing."),
        "long": _("This is too long."),
        "signs": _("Type it in one line, with letters, digits and signs only."),
        "twice": _("An earlier line of the file has the same."),
        "taken": _("Another member has the same."),
    }
    return special.get(fault) or common.get(why) or fault
