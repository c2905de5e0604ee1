"""Whatever is sent to the site, it answers: pages are walked by their links, and each form and each query
parameter found gets values that nobody should send. A sample of them; by hand, all:

    TESSERA_FUZZ=all pytest tests/admin/test_any_input.py      (a number is another seed of the sample)
"""

import os
import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from sqlalchemy import Connection, text
from werkzeug.test import TestResponse

from ledger.trail import Actor
from tests.admin.browsing import Browser
from tests.admin.conftest import Site
from tests.admin.found_forms import FoundForm, offer, pattern
from tests.admin.people import PASSWORD
from tests.factories import create_holder
from tests.member_factories import create_known_member
from tests.ordering import create_order

MODE = os.environ.get("TESSERA_FUZZ", "20261123")
EVERY_VALUE = MODE == "all"

SCRIPT = "'\"><script>alert(1)</script>"
# What is sent for one name: each value of the tuple once, so () leaves it out.
HOSTILE: list[tuple[bytes, ...]] = [
    (), (b"",), (b"1", b"x"), (b"-1",), ("²".encode(),), ("１２".encode(),), (b"9223372036854775808",),
    (b"1" * 5000,), (b"99999999999.99",), (b"NaN",), (b"1e400",), (b"0001-01-01",), (b"9999-12-31",),
    (b"2026-02-30",), (b"a\0b",), (b"\x1b[0m\r\n\x7f",), (b"x" * 3000,), ("😀".encode() * 50,),
    (b"\xed\xa0\x80",), (b"\xff\xfe",), (b"=1+1",), (b"@SUM(A1)",), (SCRIPT.encode(),), (b"{{7*7}}%s%(x)s",),
    (b"../../etc/passwd",), (b"//example.org",),
]  # fmt: skip
# So that the one hostile value of a form is not hidden behind fields that are still empty.
PLAUSIBLE = {
    "amount": "10.00", "code": "Q1", "codes": "K1 5", "day": "2026-12-01", "email": "a@example.org",
    "login": "someone", "name": "A name", "name_zh": "名", "number": "1", "paid": "10.00",
    "password": PASSWORD, "points": "10", "reason": "because", "settlement": "20.00", "since": "2026-12-01",
    "until": "2026-12-31",
}  # fmt: skip
# Names as hostile as the values, in everything that the pages show.
NAMES = ("organisation", "service", "terminal", "staff", "member")


@pytest.fixture(scope="module")
def furnished(shared_site: Site) -> Site:
    """A site in which every room has something to show."""

    def furnish(connection: Connection) -> None:
        house = shared_site.house
        create_known_member(connection, house)
        maker = connection.execute(text("SELECT id, name FROM staff WHERE login = 'enterprise'")).one()
        create_order(connection, house, Actor(maker.id, maker.name), [(create_holder(connection, house), 10)])
        for table in NAMES:
            connection.execute(text(f"UPDATE {table} SET name = :name || id"), {"name": SCRIPT})

    shared_site.change(furnish)
    return shared_site


class Visitor:
    """Somebody signed in, who notes down every answer that is a fault."""

    def __init__(self, site: Site, kind: str) -> None:
        self.site, self.kind = site, kind
        self.browser = self._sign_in()
        self.forms: dict[tuple[str, ...], FoundForm] = {}
        self.queries: dict[str, tuple[str, set[str]]] = {}
        self.asked = 0
        self.faults: list[str] = []
        self.escaped = 0

    def _sign_in(self) -> Browser:
        self.site.clock.advance(timedelta(hours=1))  # wrong passwords were among what was sent
        return self.site.signed_in(self.kind)

    def note(self, answer: TestResponse, *what: object) -> None:
        self.asked += 1
        if answer.status_code >= 500:
            self.faults.append(f"{answer.status_code} {what}"[:400])
        if "html" in answer.content_type and "<script>" in answer.text:
            self.faults.append(f"a script on the page {what}"[:400])
        self.escaped += "html" in answer.content_type and "&lt;script&gt;" in answer.text
        if answer.status_code == 303 and answer.location.startswith("/login"):
            self.browser = self._sign_in()

    def walk(self) -> None:
        """Visit the pages that links and searches lead to, one of each kind, and keep what they offer."""
        to_do, seen = ["/"], Counter[str]()
        while to_do:
            address = to_do.pop(0)
            if seen[pattern(address)] == (2 if EVERY_VALUE else 1) or address.startswith("/static"):
                continue
            seen[pattern(address)] += 1
            answer = self.browser.get(address)
            self.note(answer, "GET", address)
            if answer.status_code != 200 or "html" not in answer.content_type:
                continue
            offered = offer(address, answer.text)
            to_do += [*offered.links, *(form.action for form in offered.forms if form.method == "get")]
            for form in offered.forms:
                if form.method == "post" and form.action != "/logout":
                    self.forms.setdefault(form.key, form)
            for path, names in offered.queries().items():
                if names:
                    self.queries.setdefault(pattern(path), (path, set()))[1].update(names)

    def ask(self, path: str, names: Sequence[str], values: tuple[bytes, ...]) -> None:
        """Give these values to each of the parameters."""
        query = urlencode([(name, value) for name in names for value in values])
        self.note(self.browser.get(f"{path}?{query}"), "GET", path, names, values)

    def send(self, form: FoundForm, spoilt: str, values: tuple[bytes, ...]) -> None:
        """Send the form as its page has it now, with these values for one of its fields."""
        page = self.browser.get(form.page)
        now = next((one for one in offer(form.page, page.text).forms if one.key == form.key), form)
        pairs: list[tuple[str, bytes]] = []
        for name in [*now.fields, *now.files]:
            usual = (now.fields.get(name) or PLAUSIBLE.get(name, "")).encode()
            pairs += [(name, value) for value in (values if name == spoilt else (usual,))]
        self.note(now.send(self.browser, pairs), "POST", now.action, spoilt, values)


# In this order, for the operator could close the others.
@pytest.mark.parametrize("kind", ["merchant", "enterprise", "operator"])
def test_nothing_that_is_sent_makes_the_site_fail(furnished: Site, kind: str) -> None:
    other = furnished.other
    foreign = [(str(number).encode(),) for number in (other.enterprise, other.merchant, other.store)]
    hostile = HOSTILE + foreign
    chance = random.Random(MODE)
    visitor = Visitor(furnished, kind)
    visitor.walk()
    assert len(visitor.forms) > 10
    assert len(visitor.queries) > 5
    assert visitor.escaped > 10, "the hostile names are shown"
    for path, names in visitor.queries.values():
        ordered = sorted(names)
        for values in hostile if EVERY_VALUE else chance.sample(hostile, 2):
            visitor.ask(path, ordered, values)
            for name in ordered if EVERY_VALUE else ():
                visitor.ask(path, [name], values)
    for form in visitor.forms.values():
        fields = sorted({*form.fields, *form.files} - {"csrf_token"})
        every = [(name, values) for name in fields for values in hostile]
        for name, values in every if EVERY_VALUE else chance.sample(every, min(1, len(every))):
            visitor.send(form, name, values)
    assert not visitor.faults, f"with TESSERA_FUZZ={MODE}, of {visitor.asked}:\n" + "\n".join(visitor.faults)
