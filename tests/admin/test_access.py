import re
from dataclasses import replace

import pytest
from flask import g
from sqlalchemy import Connection, text
from werkzeug.exceptions import Forbidden
from werkzeug.routing import Rule

from admin import access
from ledger.permissions import ALL, PERMISSIONS, READY_MADE
from ledger.rights import Rights
from ledger.staff import staff_by_id
from tests.admin.conftest import Site
from tests.admin.people import create_person

KNOWN = ALL | {access.PUBLIC, access.SIGNED_IN}


PAGES = {
    "operator": {
        "/",
        "/transactions",
        "/members",
        "/cards",
        "/terminals",
        "/points",
        "/day",
        "/organisations",
        "/trail",
        "/staff",
        "/merchants",
        "/services",
    },
    "enterprise": {
        "/",
        "/transactions",
        "/members",
        "/cards",
        "/points",
        "/organisations",
        "/trail",
        "/staff",
    },
    "merchant": {
        "/",
        "/transactions",
        "/terminals",
        "/organisations",
        "/trail",
        "/staff",
        "/merchants",
        "/services",
    },
}
"""The first page of each room, by the kind of tenant that has it."""


def path_of(rule: Rule) -> str:
    """An address that a route answers, with 1 for every part that varies."""
    return re.sub(r"<[^>]*>", "1", rule.rule)


def test_every_route_declares_a_permission(site: Site) -> None:
    endpoints = {rule.endpoint for rule in site.app.url_map.iter_rules()}
    undeclared = {name for name in endpoints if access.permission_of(site.app, name) not in KNOWN}
    assert endpoints
    assert not undeclared


def test_only_these_are_open_to_the_world(site: Site) -> None:
    public = {
        rule.endpoint
        for rule in site.app.url_map.iter_rules()
        if access.permission_of(site.app, rule.endpoint) == access.PUBLIC
    }
    assert public == {
        "static", "bootstrap.static", "login.form", "login.second", "invitations.answer", "preferences.keep",
        "health.health",
    }  # fmt: skip


def test_every_other_route_asks_for_the_login(site: Site) -> None:
    asked = 0
    for rule in site.app.url_map.iter_rules():
        if access.permission_of(site.app, rule.endpoint) == access.PUBLIC:
            continue
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            browser = site.browser()
            path = path_of(rule)
            answer = browser.get(path) if method == "GET" else browser.post(path, {})
            assert answer.status_code == 303, (method, path)
            assert answer.location.startswith("/login"), (method, path)
            asked += 1
    assert asked >= 15


def test_a_route_without_a_permission_is_closed_even_to_those_who_are_signed_in(site: Site) -> None:
    site.app.view_functions["forgotten"] = lambda: "a secret"
    site.app.url_map.add(site.app.url_rule_class("/forgotten", endpoint="forgotten"))
    browser = site.browser()
    assert browser.get("/forgotten").status_code == 403
    browser.log_in("operator")
    answer = browser.get("/forgotten")
    assert answer.status_code == 403
    assert "a secret" not in answer.text
    assert "You may not see this page" in answer.text


def test_whoever_lacks_the_permission_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = site.browser()
    browser.log_in("operator")
    monkeypatch.setitem(READY_MADE["operator"], "administrator", frozenset())
    assert browser.get("/transactions").status_code == 403
    assert browser.get("/transactions/live").status_code == 403
    assert browser.post("/logout", {}).status_code == 303


def test_a_permission_that_nobody_knows_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match=r"transactions\.veiw"):
        access.requires("transactions.veiw")


def test_a_page_that_does_not_exist_is_just_that(site: Site) -> None:
    assert site.browser().get("/nowhere").status_code == 404


@pytest.mark.parametrize("kind", PAGES)
def test_the_menu_shows_the_rooms_that_make_sense_for_a_tenant_and_no_others(site: Site, kind: str) -> None:
    browser = site.signed_in(kind)
    menu = browser.get("/").text.partition("</nav>")[0]
    assert set(re.findall(r'class="room[^"]*" href="([^"]+)"', menu)) == PAGES[kind]


@pytest.mark.parametrize("kind", PAGES)
def test_every_route_is_open_or_closed_to_a_kind_of_tenant_by_its_permission(site: Site, kind: str) -> None:
    browser = site.signed_in(kind)
    refused = set()
    for rule in site.app.url_map.iter_rules():
        permission = access.permission_of(site.app, rule.endpoint)
        if permission in {access.PUBLIC, access.SIGNED_IN}:
            continue
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            path = path_of(rule)
            answer = browser.get(path) if method == "GET" else browser.post(path, {})
            assert (answer.status_code == 403) == (permission not in PERMISSIONS[kind]), (method, path)
            if answer.status_code == 403:
                refused.add(permission)
    assert not refused & PERMISSIONS[kind]


@pytest.mark.parametrize(("kind", "role"), [(kind, role) for kind in READY_MADE for role in READY_MADE[kind]])
def test_a_ready_made_role_opens_the_routes_of_its_permissions_and_no_others(
    shared_site: Site, kind: str, role: str
) -> None:
    site, held = shared_site, READY_MADE[kind][role]
    person = person_with(site, kind, Rights(dict.fromkeys(held)))
    opened = set()
    for rule in site.app.url_map.iter_rules():
        permission = access.permission_of(site.app, rule.endpoint)
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            allowed = permission in held or permission in {access.PUBLIC, access.SIGNED_IN}
            assert passes(site, person, rule, method) == allowed, (rule.rule, method)
            opened |= {permission} if allowed else set()
    assert opened - {access.PUBLIC, access.SIGNED_IN}


def person_with(site: Site, kind: str, rights: Rights) -> access.Person:
    """Our staff of a kind of tenant, with other rights."""

    def found(connection: Connection) -> access.Person:
        number = connection.execute(
            text("SELECT id FROM staff WHERE login = :kind"), {"kind": kind}
        ).scalar_one()
        staff = staff_by_id(connection, number)
        assert staff is not None
        return access.Person(replace(staff, rights=rights), 0, "")

    return site.change(found)


@pytest.mark.parametrize("permission", ["points.budget", "cards.terms"])
def test_what_counts_for_a_whole_tenant_needs_a_reach_over_all_of_it(
    shared_site: Site, permission: str
) -> None:
    rules = [
        rule for rule in shared_site.app.url_map.iter_rules()
        if access.permission_of(shared_site.app, rule.endpoint) == permission
    ]  # fmt: skip
    assert len(rules) == 3
    for units, may in ((None, True), (frozenset({shared_site.house.enterprise}), False)):
        person = person_with(shared_site, "enterprise", Rights({permission: units}))
        assert {passes(shared_site, person, rule, "GET") for rule in rules} == {may}


def passes(site: Site, person: access.Person, rule: Rule, method: str) -> bool:
    """Whether the guard lets somebody through to a route. Asks no view and no database."""
    with site.app.test_request_context(path_of(rule), method=method):
        g._login_user = person
        try:
            answer = access.guard()
        except Forbidden:
            return False
        assert answer is None
        return True


def test_a_role_over_one_unit_opens_every_page_of_its_permissions_there(shared_site: Site) -> None:
    """The pages themselves, which see one store of the merchant and nothing of the rest."""
    site = shared_site

    site.change(lambda connection: create_person(connection, site.house.store, login="keeper", reach="unit"))
    browser, seen = site.signed_in("keeper"), 0
    for rule in site.app.url_map.iter_rules():
        permission = access.permission_of(site.app, rule.endpoint)
        if permission in {access.PUBLIC, access.SIGNED_IN} or "GET" not in (rule.methods or set()):
            continue
        status = browser.get(path_of(rule)).status_code
        assert status < 500, rule.rule
        assert (status == 403) == (permission not in PERMISSIONS["merchant"]), rule.rule
        seen += status == 200
    assert seen >= 5


def test_the_operator_has_every_permission_and_others_what_makes_sense_for_them() -> None:
    assert PERMISSIONS["operator"] == ALL
    assert not PERMISSIONS["merchant"] & {"cards.view", "cards.change", "points.view", "day.view"}
    assert not PERMISSIONS["enterprise"] & {"terminals.view", "terminals.change", "day.view"}
