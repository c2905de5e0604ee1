"""What a page of the site offers: its links, and its forms with what a browser would send of them."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from werkzeug.test import TestResponse

from tests.admin.browsing import Browser

__all__ = ["FoundForm", "Offer", "offer", "pattern"]

BOUNDARY = "a-line-that-is-in-no-value"


@dataclass
class FoundForm:
    """A form as it stands on `page`: the address it goes to, and the value of each field."""

    page: str
    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)

    @property
    def key(self) -> tuple[str, ...]:
        """The same for the same form of another thing."""
        return (self.method, pattern(self.action), *sorted(self.fields), *sorted(self.files))

    def send(self, browser: Browser, pairs: list[tuple[str, bytes]]) -> TestResponse:
        """Send these fields, byte for byte, as a browser would send the form."""
        if not self.files:
            body, content_type = urlencode(pairs).encode(), "application/x-www-form-urlencoded"
        else:
            parts = [
                f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'.encode()
                + (b'; filename="a.csv"' if name in self.files else b"") + b"\r\n\r\n" + value + b"\r\n"
                for name, value in pairs
            ]  # fmt: skip
            body = b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])
            content_type = f"multipart/form-data; boundary={BOUNDARY}"
        return browser.client.post(
            self.action, data=body, content_type=content_type, headers=browser.headers, buffered=True
        )


@dataclass
class Offer:
    """What can be done from a page: `links` are addresses of this site, with their queries."""

    links: list[str]
    forms: list[FoundForm]

    def queries(self) -> dict[str, set[str]]:
        """The names of the parameters that links and forms give to an address, by its path."""
        asked = [(link, [name for name, _ in parse_qsl(urlsplit(link).query)]) for link in self.links]
        asked += [(form.action, list(form.fields)) for form in self.forms if form.method == "get"]
        found: dict[str, set[str]] = {}
        for address, names in asked:
            found.setdefault(urlsplit(address).path, set()).update(names)
        return found


def pattern(address: str) -> str:
    """The address without its query and with N for each number: one for all pages of a kind."""
    return re.sub(r"\d+", "N", urlsplit(address).path)


def offer(page: str, html: str) -> Offer:
    """What the page at this address offers."""
    reader = _Reader(page)
    reader.feed(html)
    return Offer(reader.links, reader.forms)


class _Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.page = page
        self.links: list[str] = []
        self.forms: list[FoundForm] = []
        self._form: FoundForm | None = None
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in told:
            link = urljoin(self.page, told["href"]).partition("#")[0]
            if link.startswith("/") and not link.startswith("//"):
                self.links.append(link)
        elif tag == "form":
            action = urljoin(self.page, told.get("action") or self.page)
            self._form = FoundForm(self.page, told.get("method", "get").lower(), action)
            self.forms.append(self._form)
        elif self._form is not None:
            self._field(self._form, tag, told)

    def _field(self, form: FoundForm, tag: str, told: dict[str, str]) -> None:
        name, value = told.get("name", ""), told.get("value", "")
        if tag == "option":
            if "selected" in told or not form.fields[self._select]:
                form.fields[self._select] = value
        elif not name:
            return
        elif tag == "select":
            self._select = name
            form.fields.setdefault(name, "")
        elif told.get("type") == "file":
            form.files.add(name)
        elif tag in {"textarea", "button"}:
            form.fields.setdefault(name, value)
        elif tag == "input" and (
            told.get("type") not in {"checkbox", "radio"} or "checked" in told or not form.fields.get(name)
        ):
            form.fields[name] = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
