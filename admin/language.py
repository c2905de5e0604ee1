"""The language of a page, and how times and numbers read in it."""

from datetime import date, datetime

from babel.numbers import format_compact_decimal
from flask import Flask, request
from flask_babel import (
    Babel,
    format_date,
    format_datetime,
    format_number,
    get_locale,
    to_user_timezone,
)
from flask_babel import gettext as babel_gettext

__all__ = [
    "LANGUAGES", "LANGUAGE_COOKIE", "change", "day", "gettext", "init_language", "language", "minute",
    "month", "month_year", "points", "short_day", "short_minute", "soon",
]  # fmt: skip

# What a language calls itself, and what HTML calls it (fonts and screen readers go by that).
LANGUAGES = {"en": ("English", "en"), "zh": ("中文", "zh-CN")}
LANGUAGE_COOKIE = "language"

MINUS = "\N{MINUS SIGN}"  # as wide as a plus, unlike the hyphen


def language() -> str:
    """`en` or `zh`: what was chosen, else what the browser asks for, else English."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    # Every Chinese that a browser may name (zh-CN, zh-TW, zh-Hans …) is nearer to ours than English is.
    for wanted in request.accept_languages.values():
        primary = wanted.partition("-")[0].lower()
        if primary in LANGUAGES:
            return primary
    return "en"


def init_language(app: Flask, time_zone: str) -> None:
    """Flask-Babel, the filters for times and numbers, and what templates ask about languages."""
    Babel(app, locale_selector=language, default_timezone=time_zone)
    app.jinja_env.filters.update(
        points=points,
        roughly=roughly,
        change=change,
        clock=clock,
        day=day,
        short_day=short_day,
        moment=moment,
        minute=minute,
        short_minute=short_minute,
        soon=soon,
        month=month,
        month_year=month_year,
    )
    app.context_processor(_for_templates)


def gettext(words: str, **values: object) -> str:
    """The words in the page's language, as Flask-Babel has them, and known to be text."""
    return str(babel_gettext(words, **values))


def _for_templates() -> dict[str, object]:
    code = language()
    other = "en" if code == "zh" else "zh"
    return {
        "language": code,
        "html_lang": LANGUAGES[code][1],
        "other_language": other,
        "other_language_name": LANGUAGES[other][0],
        "other_html_lang": LANGUAGES[other][1],
    }


def points(value: int) -> str:
    """12,345"""
    return str(format_number(value))


def roughly(value: int) -> str:
    """12K, or 1.2万: for the scale of a chart."""
    return format_compact_decimal(value, fraction_digits=1, locale=get_locale())


def change(value: int) -> str:
    """+120, −35 or 0"""
    if value == 0:
        return "0"
    return ("+" if value > 0 else MINUS) + points(abs(value))


def clock(moment: datetime) -> str:
    """14:03:09, in the operator's time zone, the same in both languages."""
    return str(format_datetime(moment, "HH:mm:ss"))


def day(value: date) -> str:
    """22 Nov 2026, or 2026年11月22日"""
    return str(format_date(value, "y年M月d日" if language() == "zh" else "d MMM y", rebase=False))


def short_day(value: date) -> str:
    """22 Nov, or 11月22日"""
    return str(format_date(value, "M月d日" if language() == "zh" else "d MMM", rebase=False))


def moment(value: datetime) -> str:
    """22 Nov 2026, 14:03:09, in the operator's time zone."""
    return f"{day(to_user_timezone(value).date())} {clock(value)}"


def minute(value: datetime) -> str:
    """22 Nov 2026, 14:03, in the operator's time zone: what happens by the minute, or lies far back."""
    return f"{day(to_user_timezone(value).date())} {format_datetime(value, 'HH:mm')}"


def short_minute(value: datetime) -> str:
    """22 Nov 14:03: where the year stands beside it."""
    return f"{short_day(to_user_timezone(value).date())} {format_datetime(value, 'HH:mm')}"


def soon(value: datetime, now: datetime) -> str:
    """14:03 today, else 23 Nov 14:03."""
    there, here = to_user_timezone(value).date(), to_user_timezone(now).date()
    return str(format_datetime(value, "HH:mm")) if there == here else short_minute(value)


def month(value: date) -> str:
    """Nov, or 11月"""
    return str(format_date(value, "M月" if language() == "zh" else "MMM", rebase=False))


def month_year(value: date) -> str:
    """Nov 2026, or 2026年11月"""
    return str(format_date(value, "y年M月" if language() == "zh" else "MMM y", rebase=False))
