"""What forms of this site have in common."""

import re
import threading
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse
from wtforms import DateField, StringField
from wtforms.validators import Optional

from admin.forms import MarkedForm, plain, trimmed
from ledger.database import Scope
from ledger.organisations import lock_tree
from tests.admin.conftest import Site
from tests.desk import until_somebody_waits
from tests.factories import new_txid


class Dated(MarkedForm):
    day = DateField(validators=[Optional()])


class Words(MarkedForm):
    words = StringField(filters=[trimmed], validators=[plain])


def filled(site: Site, typed: str) -> tuple[str, bool]:
    """What the form holds, and whether it takes it."""
    with site.app.test_request_context(method="POST"):
        form = Words(MultiDict({"words": typed, "mark": "active.1"}), meta={"csrf": False})
        valid = form.validate()
        assert form.mark.data == "active.1"
        return form.words.data, valid


@pytest.mark.parametrize("typed", ["", "Left in a taxi", "丢失", "50% – it's <b>", "Zoë 🙂"])
def test_words_in_one_line_are_taken_as_they_are(site: Site, typed: str) -> None:
    assert filled(site, typed) == (typed, True)


@pytest.mark.parametrize("typed", ["a\nb", "a\rb", "a\x00b", "a\tb", "\x1b[0m!", "\x7fx", "\ud800x"])
def test_control_characters_are_not(site: Site, typed: str) -> None:
    assert filled(site, typed)[1] is False


def test_white_space_around_is_no_part_of_it(site: Site) -> None:
    assert filled(site, "  two  words \n") == ("two  words", True)


@pytest.mark.parametrize(
    ("typed", "valid"),
    [("2026-11-22", True), ("", True), ("1900-01-01", True), ("9999-12-31", False), ("0001-01-01", False)],
)
def test_a_day_has_days_beside_it(site: Site, typed: str, valid: bool) -> None:
    with site.app.test_request_context(method="POST"):
        form = Dated(MultiDict({"day": typed}), meta={"csrf": False})
        assert form.validate() is valid
        assert bool(form.day.errors) is not valid


class Stale(NamedTuple):
    """A page of `{id}`, what is typed in it; and how the row is made, changed by somebody else, and read."""

    path: str
    typed: dict[str, Any]
    make: str
    change: str
    read: str


STALE = {
    "role": Stale(
        "/roles/{id}",
        {"name": "Mine", "permissions": ["cards.view"]},
        "INSERT INTO role (tenant_id, name, permissions) VALUES (:tenant, :word, '{}') RETURNING id",
        "UPDATE role SET permissions = '{members.view}' WHERE id = :id",
        "SELECT name, permissions FROM role WHERE id = :id",
    ),
    "person": Stale(
        "/staff/{id}/edit",
        {"name": "Mine", "organisation": "{tenant}", "language": "en"},
        "INSERT INTO staff (tenant_id, organisation_id, login, name, password_hash, language)"
        " VALUES (:tenant, :tenant, :word, 'Before', '-', 'en') RETURNING id",
        "UPDATE staff SET name = 'Theirs' WHERE id = :id",
        "SELECT name, organisation_id FROM staff WHERE id = :id",
    ),
    "limit": Stale(
        "/points/budget/limit",
        {"limit": "5"},
        "SELECT 0",
        "INSERT INTO approval_terms (enterprise_id, points) VALUES (:tenant, 77)",
        "SELECT points FROM approval_terms WHERE enterprise_id = :tenant",
    ),
    "terms": Stale(
        "/cards/products/terms",
        {"pin_above_points": "5", "refund_grace_days": "3"},
        "SELECT 0",
        "INSERT INTO enterprise_terms (enterprise_id, pin_above_points) VALUES (:tenant, 77)",
        "SELECT pin_above_points FROM enterprise_terms WHERE enterprise_id = :tenant",
    ),
}


@pytest.mark.parametrize("what", STALE)
def test_what_somebody_else_is_just_changing_is_not_overwritten(shared_site: Site, what: str) -> None:
    site, stale = shared_site, STALE[what]
    told: dict[str, Any] = {"tenant": site.house.enterprise, "word": new_txid().hex}
    told["id"] = site.ask(stale.make, **told)[0][0]
    browser, path = site.signed_in("enterprise"), stale.path.format(**told)
    typed = {
        name: value.format(**told) if isinstance(value, str) else value for name, value in stale.typed.items()
    }
    form, token = browser.hidden(path) | typed, browser.token()
    answers: list[TestResponse] = []
    save = threading.Thread(target=lambda: answers.append(browser.post(path, form, token=token)))
    with site.database.transaction(Scope.everything()) as connection:
        lock_tree(connection, site.house.enterprise)  # as whoever changes it at the same time
        connection.execute(text(stale.change), told)
        after = connection.execute(text(stale.read), told).one()
        save.start()
        until_somebody_waits(connection)
    save.join()
    assert answers[0].status_code in {303, 409}
    shown = browser.get(answers[0].location) if answers[0].status_code == 303 else answers[0]
    assert re.search("Somebody has (just )?changed this", shown.text)
    assert site.ask(stale.read, **told) == [tuple(after)]


OFFERING = {
    "enterprise": ("/members/new?enterprise=", "/points/budget?enterprise=", "/cards/products?enterprise="),
    "merchant": ("/terminals/new?merchant=", "/terminals/new?like="),
    "operator": ("/members/new?enterprise=", "/terminals/new?like="),
}


@pytest.mark.parametrize("login", OFFERING)
def test_an_address_chooses_only_of_what_is_offered(shared_site: Site, login: str) -> None:
    browser, other = shared_site.signed_in(login), shared_site.other
    count = "SELECT count(*) FROM trail_line WHERE what = 'missing' AND subject_id IN (:id, 'x')"
    for path in OFFERING[login]:
        foreign = other.terminal if "like" in path else other.enterprise
        if login == "operator":  # who sees everybody's
            foreign = 999_999_999
        ((before,),) = shared_site.ask(count, id=str(foreign))
        assert browser.get(f"{path}{foreign}").status_code == 404, path
        assert browser.get(f"{path}x").status_code == 200, path  # a slip: no line
        assert shared_site.ask(count, id=str(foreign)) == [(before + 1,)], path
