"""Where a page may send the browser next: only to a page of this site."""

from urllib.parse import urlsplit

from flask import url_for

__all__ = ["safe_next"]


def safe_next(target: str | None) -> str:
    """`target` when it is a path of this site, else the first page.

    Browsers read a backslash as a slash and drop control characters, so `/\\evil` and `/<tab>/evil`
    are other sites to them.
    """
    home = url_for("home.overview")
    if not target or len(target) > 2000 or not target.startswith("/"):
        return home
    if target.startswith("//") or "\\" in target or any(ord(character) <= 32 for character in target):
        return home
    parts = urlsplit(target)
    return target if not parts.scheme and not parts.netloc else home
