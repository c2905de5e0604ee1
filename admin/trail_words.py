"""What the trail's page says of operations, nouns and fields: in the page's words, else as they are named."""

from typing import Any

from admin.language import gettext as _

__all__ = ["deed_word", "field_word", "noun_word", "value_words"]


def noun_word(noun: str) -> str:
    """The word for a kind of subject, such as member."""
    return _nouns().get(noun, noun)


def deed_word(deed: str) -> str:
    """The words for an operation, such as member.create: noun and verb."""
    if deed == "missing":
        return _("Asked for what is not there or not theirs")
    noun, _dot, verb = deed.partition(".")
    nouns, verbs = _nouns(), _verbs()
    if noun not in nouns:
        return deed
    return f"{nouns[noun]}: {verbs.get(verb, verb)}"


def field_word(name: str) -> str:
    """The word for a field of before and after."""
    return _fields().get(name, name)


def value_words(value: Any) -> str:
    """A value of before or after, as text."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, list):
        return ", ".join(value_words(each) for each in value) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {value_words(each)}" for key, each in value.items())
    return str(value)


def _nouns() -> dict[str, str]:
    return {
        "organisation": _("Organisation"),
        "enterprise_terms": _("Terms of cards"),
        "merchant": _("Merchant"),
        "store": _("Store"),
        "staff": _("Staff"),
        "role": _("Role"),
        "invitation": _("Invitation"),
        "member": _("Member"),
        "import": _("Import of members"),
        "card": _("Card"),
        "card_batch": _("Batch of cards"),
        "card_product": _("Card product"),
        "points": _("Points"),
        "point_order": _("Order of points"),
        "budget": _("Budget"),
        "approval_terms": _("Terms of approval"),
        "service": _("Service"),
        "category": _("Category of services"),
        "price": _("Price"),
        "terminal": _("Terminal"),
        "day": _("Business day"),
        "trail": _("Audit trail"),
    }


def _verbs() -> dict[str, str]:
    return {
        "create": _("created"),
        "change": _("changed"),
        "rename": _("renamed"),
        "move": _("moved"),
        "close": _("closed down"),
        "reopen": _("opened again"),
        "delete": _("deleted"),
        "invite": _("invited"),
        "join": _("joined"),
        "withdraw": _("withdrawn"),
        "issue": _("issued"),
        "limits": _("limits changed"),
        "issued": _("issued, all of it"),
        "print": _("printed"),
        "write": _("written to chips"),
        "activate": _("activated"),
        "activated": _("activated, all of it"),
        "suspend": _("suspended"),
        "lost": _("reported lost"),
        "replace": _("replaced"),
        "unblock": _("PIN unblocked"),
        "code": _("code given"),
        "pin_code": _("PIN codes given"),
        "key": _("asked for a new key"),
        "revoke": _("revoked"),
        "upload": _("file sent"),
        "enter": _("entering asked for"),
        "entered": _("all entered"),
        "discard": _("discarded"),
        "resume": _("taken up again"),
        "download": _("downloaded"),
        "export": _("exported"),
        "erase": _("erased"),
        "look": _("personal data looked at"),
        "note": _("note written"),
        "order": _("ordered"),
        "approve": _("approved by a second person"),
        "reject": _("rejected"),
        "confirm": _("confirmed"),
        "done": _("carried out"),
        "agree": _("agreed"),
        "change_many": _("many changed at once"),
        "end": _("ended"),
        "give": _("role given"),
        "take": _("role taken away"),
        "password": _("password changed"),
        "password_link": _("link for a new password given"),
        "second_factor": _("rule for second factors changed"),
        "factor_on": _("second factor set up"),
        "factor_off": _("second factor taken away"),
        "recovery_codes": _("recovery codes made"),
        "session_end": _("session ended"),
    }


def _fields() -> dict[str, str]:
    return {
        "name": _("Name"),
        "code": _("Code"),
        "kind": _("Kind"),
        "status": _("Status"),
        "parent": _("Stands below no."),
        "unit": _("Unit no."),
        "store": _("Store no."),
        "points": _("Points"),
        "permissions": _("Permissions"),
        "fields": _("Fields"),
        "path": _("Address of the page"),
    }
