"""Roles composed in the site, and what changing one means for those who hold it."""

import re

import pytest

from admin.permission_words import grouped_permissions, permission_words, role_words, sentences
from ledger.permissions import ALL, PERMISSIONS, READY_MADE
from tests.admin.browsing import Browser
from tests.admin.conftest import Site
from tests.admin.people import create_person


@pytest.fixture(scope="module")
def browser(shared_site: Site) -> Browser:
    return shared_site.signed_in("enterprise")


def typed(browser: Browser, path: str, name: str, *permissions: str) -> dict[str, object]:
    return browser.hidden(path) | {"name": name, "permissions": list(permissions)}


def role_named(site: Site, name: str) -> int:
    return int(site.ask("SELECT id FROM role WHERE name = :name", name=name)[0][0])


def test_a_role_is_composed_given_changed_and_deleted_when_nobody_holds_it(
    shared_site: Site, browser: Browser
) -> None:
    site, ours = shared_site, str(shared_site.house.enterprise)
    sent = typed(browser, "/roles/new", "Night desk", "cards.view")
    for _ in range(2):  # the second does nothing
        assert browser.post("/roles/new", sent).status_code == 303
    role = role_named(site, "Night desk")
    again = browser.post("/roles/new", typed(browser, "/roles/new", "Night desk", "staff.view"))
    assert "There is a role of this name." in again.text
    assert re.search(r'value="staff.view" checked', again.text)  # what was chosen stays

    nina = site.change(lambda connection: create_person(connection, site.house.enterprise, login="nina"))
    held = site.ask("SELECT id FROM assignment WHERE staff_id = :id", id=nina)[0][0]
    given = browser.submit(f"/staff/{nina}/roles", role=f"own:{role}", unit=ours, reach="tenant")
    assert given.status_code == 303
    assert browser.submit(f"/staff/{nina}/roles/{held}/take").status_code == 303
    guest = site.signed_in("nina")
    assert (guest.get("/cards").status_code, guest.get("/points").status_code) == (200, 403)
    stale = typed(browser, f"/roles/{role}", "Night desk", "points.view")
    assert browser.post(f"/roles/{role}", stale).status_code == 303
    assert (guest.get("/cards").status_code, guest.get("/points").status_code) == (403, 200)
    assert browser.post(f"/roles/{role}", stale).status_code == 409
    assert browser.submit(f"/roles/{role}/delete").status_code == 409
    left = site.ask("SELECT id FROM assignment WHERE staff_id = :id", id=nina)[0][0]
    assert browser.submit(f"/staff/{nina}/roles/{left}/take").status_code == 303
    assert browser.submit(f"/roles/{role}/delete").status_code == 303
    assert site.ask("SELECT count(*) FROM role WHERE name = 'Night desk'") == [(0,)]
    what = site.ask("SELECT what FROM trail_line WHERE subject_kind = 'role' ORDER BY number")
    assert what == [("role.create",), ("role.change",), ("role.delete",)]


def test_a_role_that_others_hold_cannot_be_made_stronger_than_its_changer(
    shared_site: Site, browser: Browser
) -> None:
    site, ours = shared_site, str(shared_site.house.enterprise)
    browser.post(
        "/roles/new", typed(browser, "/roles/new", "Composer", "roles.change", "staff.change", "staff.view")
    )
    composer = role_named(site, "Composer")

    person = site.change(
        lambda connection: create_person(connection, site.house.enterprise, login="composer")
    )
    held = site.ask("SELECT id FROM assignment WHERE staff_id = :id", id=person)[0][0]
    browser.submit(f"/staff/{person}/roles", role=f"own:{composer}", unit=ours, reach="tenant")
    browser.submit(f"/staff/{person}/roles/{held}/take")
    weak = site.signed_in("composer")
    grab = typed(weak, f"/roles/{composer}", "Composer", "roles.change", "staff.change", "points.grant")
    assert "This goes beyond your own rights" in weak.post(f"/roles/{composer}", grab).text
    new = typed(weak, "/roles/new", "Grab", "points.grant")
    assert "This goes beyond your own rights" in weak.post("/roles/new", new).text
    unknown = typed(weak, "/roles/new", "Grab", "day.change")  # of the operator's alone: not offered
    assert weak.post("/roles/new", unknown).status_code == 200
    assert site.ask("SELECT count(*) FROM role WHERE name = 'Grab'") == [(0,)]
    assert set(site.ask("SELECT permissions FROM role WHERE id = :id", id=composer)[0][0]) == {
        "roles.change", "staff.change", "staff.view",
    }  # fmt: skip


def test_roles_of_another_tenant_are_not_there(shared_site: Site, browser: Browser) -> None:
    operator = shared_site.signed_in("operator")
    path = f"/roles/new?tenant={shared_site.other.enterprise}"
    operator.post(path, typed(operator, path, "Theirs", "cards.view"))
    theirs = role_named(shared_site, "Theirs")
    assert operator.get(f"/roles/{theirs}?tenant={shared_site.other.enterprise}").status_code == 200
    assert browser.get(f"/roles/{theirs}").status_code == 404
    assert browser.get(f"/roles/{theirs}/delete").status_code == 404
    assert "Theirs" not in browser.get("/roles").text
    foreign = browser.submit(
        "/staff/invite", organisation=str(shared_site.house.enterprise), role=f"own:{theirs}",
        reach="tenant",
    )  # fmt: skip
    assert foreign.status_code == 404


def test_every_permission_and_role_has_its_words(shared_site: Site) -> None:
    with shared_site.app.test_request_context():
        assert all(permission_words(name) != name for name in ALL)
        for kind, roles in READY_MADE.items():
            offered = [name for _heading, group in grouped_permissions(kind) for name, _words in group]
            assert sorted(offered) == sorted(PERMISSIONS[kind])
            for role, permissions in roles.items():
                assert role_words(role) != role
                assert len(sentences(permissions, kind)) == len(permissions)
