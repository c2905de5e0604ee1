"""How a login, its browser and its outcome read."""

from admin.language import gettext as _
from ledger.login_events import Outcome

__all__ = ["browser_words", "outcome_standing"]

# In this order: each browser also names those that it is like.
BROWSERS = (
    ("MicroMessenger", "WeChat"),
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)
WORDS_MOST = 40


def browser_words(said: str) -> str:
    """`Firefox · Windows`, from what a browser says of itself."""
    browser = next((name for mark, name in BROWSERS if mark in said), None)
    system = next((name for mark, name in SYSTEMS if mark in said), None)
    known = " · ".join(name for name in (browser, system) if name is not None)
    return known or said[:WORDS_MOST] or _("Unknown browser")


def outcome_standing(outcome: Outcome) -> tuple[str, str]:
    """The look and the word of what came of a login."""
    return {
        "in": ("approved", _("Logged in")),
        "recovery": ("open", _("Logged in with a recovery code")),
        "wrong_password": ("refused", _("Wrong password")),
        "wrong_code": ("refused", _("Wrong code")),
        "paused": ("refused", _("During a pause")),
        "unknown": ("refused", _("Unknown login")),
    }[outcome]
