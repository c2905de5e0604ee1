"""Money as people read and type it: minor units with their currency, exactly. Never a float."""

import re
import unicodedata
from decimal import Decimal

from babel.numbers import format_currency, get_currency_precision
from flask_babel import get_locale

__all__ = ["CURRENCIES", "money", "parse_money", "typed_money"]

CURRENCIES = ("CNY", "HKD", "MOP", "TWD", "USD", "EUR", "JPY")
PLAIN = re.compile(r"(\d{1,12})(?:\.(\d+))?", re.ASCII)
GROUPED = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?", re.ASCII)


def digits_of(currency: str) -> int:
    """How many digits follow the point: 2 for CNY, 0 for JPY."""
    return int(get_currency_precision(currency))


def money(minor: int, currency: str) -> str:
    """CN¥20.00 or ¥20.00, as the page's language writes it."""
    amount = Decimal(minor).scaleb(-digits_of(currency))
    return str(format_currency(amount, currency, locale=get_locale()))


def typed_money(minor: int, currency: str) -> str:
    """20.00: as a form shows what may be typed again."""
    return format(Decimal(minor).scaleb(-digits_of(currency)), "f")


def parse_money(typed: str, currency: str) -> int:
    """Minor units of an amount that is typed as 20, 20.5, 20.00 or 1,234.50, also with wide digits.

    ValueError for anything else, and for more digits behind the point than the currency has.
    """
    words = unicodedata.normalize("NFKC", typed).strip()
    if GROUPED.fullmatch(words):
        words = words.replace(",", "")
    found = PLAIN.fullmatch(words)
    digits = digits_of(currency)
    if found is None or len(found[2] or "") > digits:
        raise ValueError("not an amount of money")
    return int(found[1] + (found[2] or "").ljust(digits, "0"))
