"""Staff in the site: invitations, roles given and taken, logins closed; nobody beyond their own rights."""

import re

import pytest

from tests.admin.browsing import Browser, words
from tests.admin.conftest import Site
from tests.admin.people import PASSWORD, create_person

CHOSEN = {"password": "a short walk in the sun", "again": "a short walk in the sun"}
BEYOND = "nobody gives away more than they have"


@pytest.fixture(scope="module")
def enterprise(shared_site: Site) -> Browser:
    """The enterprise's administrator."""
    return shared_site.signed_in("enterprise")


@pytest.fixture(scope="module")
def operator(shared_site: Site) -> Browser:
    return shared_site.signed_in("operator")


def person(site: Site, login: str, organisation: int, ready_made: str, reach: str = "tenant") -> int:
    """Somebody with one role, at their own unit."""

    return site.change(
        lambda connection: create_person(
            connection, organisation, login=login, name=login.title(), ready_made=ready_made, reach=reach
        )
    )


def link_in(page: str) -> str:
    """The path of the link that a page shows."""
    found = re.search(r"https?://[^/<]+(/invitation/[\w-]{43})<", page)
    assert found, words(page)
    return found[1]


def invited(
    site: Site, browser: Browser, organisation: int, role: str = "viewer", path: str = "/staff/invite"
) -> str:
    page = browser.submit(
        path, organisation=str(organisation), role=f"ready:{role}", reach="tenant",
        name="Wu Na", login="wuna",
    )  # fmt: skip
    return link_in(page.text)


def test_an_invitation_makes_a_person_once(shared_site: Site, enterprise: Browser) -> None:
    site, ours = shared_site, shared_site.house.enterprise
    link = invited(site, enterprise, ours)
    assert "Wu Na" in enterprise.get("/staff").text
    guest = site.browser()
    form = guest.get(link).text
    assert 'value="wuna"' in form
    taken = guest.post(link, CHOSEN | {"login": "Enterprise", "name": "Wu Na"})
    assert "Somebody has this login already." in taken.text
    assert "has small letters" in guest.post(link, CHOSEN | {"login": "wu na", "name": "Wu Na"}).text
    assert guest.post(link, CHOSEN | {"login": "WuNa ", "name": "Wu Na"}).location == "/login"
    assert "log in with your new password" in guest.get("/login").text
    assert guest.post(link, CHOSEN | {"login": "another", "name": "Wu Na"}).status_code == 404
    assert guest.log_in("wuna", CHOSEN["password"]).status_code == 303
    assert guest.get("/cards").status_code == 200
    assert guest.get("/staff/invite").status_code == 403
    lines = site.ask("SELECT what FROM trail_line WHERE tenant_id = :id ORDER BY number", id=ours)
    assert [what for (what,) in lines][-2:] == ["staff.invite", "staff.join"]


def test_a_form_sent_twice_makes_one_invitation(shared_site: Site, enterprise: Browser) -> None:
    ours = str(shared_site.house.enterprise)
    sent = enterprise.hidden("/staff/invite") | {
        "organisation": ours, "role": "ready:viewer", "reach": "tenant",
    }  # fmt: skip
    before = shared_site.ask("SELECT count(*) FROM invitation")[0][0]
    assert enterprise.post("/staff/invite", sent).status_code == 200
    assert enterprise.post("/staff/invite", sent).status_code == 303
    assert shared_site.ask("SELECT count(*) FROM invitation")[0][0] == before + 1


def test_a_withdrawn_or_garbled_link_is_not_good(shared_site: Site, enterprise: Browser) -> None:
    link = invited(shared_site, enterprise, shared_site.house.enterprise)
    number = shared_site.ask("SELECT max(id) FROM invitation")[0][0]
    assert enterprise.submit(f"/staff/invitations/{number}/withdraw").status_code == 303
    guest = shared_site.browser()
    for path in (link, "/invitation/abc", "/invitation/%00", link[:-1] + "é"):
        answer = guest.get(path)
        assert answer.status_code == 404, path
        assert "This link is not good" in answer.text


def test_the_operator_invites_the_first_administrator_of_a_merchant(
    shared_site: Site, operator: Browser
) -> None:
    site, merchant = shared_site, shared_site.other.merchant
    assert "Merchant" in operator.get("/staff/tenants?q=merch").text
    link = invited(site, operator, merchant, "administrator", f"/staff/invite?tenant={merchant}")
    guest = site.browser()
    guest.post(link, CHOSEN | {"login": "boss", "name": "Boss"})
    assert guest.log_in("boss", CHOSEN["password"]).status_code == 303
    assert guest.get("/terminals").status_code == 200
    assert "Boss" in operator.get(f"/staff?tenant={merchant}").text


def test_nobody_gives_more_than_they_have(shared_site: Site) -> None:
    """Somebody over one branch, who may manage its staff but holds little else."""
    site, store = shared_site, shared_site.house.store
    person(site, "keeper", store, "administrator", "below")
    keeper = site.signed_in("keeper")
    helper = person(site, "helper", store, "store_keeper", "unit")
    giving = {"role": "ready:store_keeper", "unit": str(store), "reach": "below"}
    assert keeper.submit(f"/staff/{helper}/roles", **giving | {"reach": "tenant"}).text.count(BEYOND) == 1
    assert keeper.submit(f"/staff/{helper}/roles", **giving).status_code == 303
    assert "holds exactly this already" in keeper.submit(f"/staff/{helper}/roles", **giving).text
    wide = {"organisation": str(store), "role": "ready:viewer", "reach": "tenant"}
    assert BEYOND in keeper.submit("/staff/invite", **wide).text
    # A unit above is not offered; sent all the same it is nobody's, and the trail says so.
    above = keeper.submit("/staff/invite", **wide | {"organisation": str(site.house.merchant)})
    assert above.status_code == 404
    assert site.ask(
        "SELECT subject_id FROM trail_line WHERE what = 'missing' ORDER BY number DESC LIMIT 1"
    ) == [(f"organisation {site.house.merchant}",)]
    # The merchant's administrator sits elsewhere and is not seen; one in the store has more rights.
    boss = person(site, "bigboss", store, "administrator")
    for step in ("close", "password", "sessions"):
        assert keeper.submit(f"/staff/{boss}/{step}").status_code == 403, step
    assert site.signed_in("bigboss").get("/own").status_code == 200
    held = site.ask("SELECT id FROM assignment WHERE staff_id = :id", id=boss)[0][0]
    assert keeper.submit(f"/staff/{boss}/roles/{held}/take").status_code == 403


def test_the_last_administrator_stays(shared_site: Site) -> None:
    site, theirs = shared_site, shared_site.other.enterprise
    first = person(site, "first", theirs, "administrator")
    browser = site.signed_in("first")
    held = site.ask("SELECT id FROM assignment WHERE staff_id = :id", id=first)[0][0]
    alone = browser.submit(f"/staff/{first}/roles/{held}/take")
    assert alone.status_code == 409
    assert "This is the last administrator" in alone.text
    second = person(site, "second", theirs, "administrator")
    assert browser.get(f"/staff/{first}/close").status_code == 409  # not one's own
    assert site.signed_in("second").submit(f"/staff/{first}/close").status_code == 303
    assert browser.get("/own").status_code == 303
    assert site.browser().log_in("first").status_code == 401
    operator = site.signed_in("operator")
    assert operator.submit(f"/staff/{second}/close").status_code == 409
    assert operator.submit(f"/staff/{first}/reopen").status_code == 303
    assert operator.submit(f"/staff/{second}/close").status_code == 303
    assert site.browser().log_in("first").status_code == 303


def test_a_password_link_ends_the_sessions_when_it_is_used(shared_site: Site, enterprise: Browser) -> None:
    site = shared_site
    lu = person(site, "lu", site.house.enterprise, "viewer")
    browser = site.signed_in("lu")
    earlier = link_in(enterprise.submit(f"/staff/{lu}/password").text)
    link = link_in(enterprise.submit(f"/staff/{lu}/password").text)
    assert browser.get("/own").status_code == 200
    guest = site.browser()
    assert guest.get(earlier).status_code == 404
    assert "For the login lu" in words(guest.get(link).text)
    assert guest.post(link, CHOSEN).location == "/login"
    assert browser.get("/own").status_code == 303
    assert site.browser().log_in("lu", PASSWORD).status_code == 401
    assert site.browser().log_in("lu", CHOSEN["password"]).status_code == 303


def test_who_chooses_a_password_closes_the_link_that_was_under_way(
    shared_site: Site, enterprise: Browser
) -> None:
    site = shared_site
    mo = person(site, "mo", site.house.enterprise, "viewer")
    link = link_in(enterprise.submit(f"/staff/{mo}/password").text)
    typed = {"present": PASSWORD, "password": CHOSEN["password"], "again": CHOSEN["password"]}
    assert site.signed_in("mo").post("/own/password", typed).status_code == 303
    assert site.browser().get(link).status_code == 404


def test_details_are_changed_unless_somebody_was_quicker(shared_site: Site, enterprise: Browser) -> None:
    site, ours = shared_site, str(shared_site.house.enterprise)
    ed = person(site, "ed", site.house.enterprise, "viewer")
    path, typed = f"/staff/{ed}/edit", {"organisation": ours, "language": "zh"}
    seen = enterprise.hidden(path)
    assert enterprise.post(path, seen | typed | {"name": "Ed Two"}).status_code == 303
    stale = enterprise.post(path, seen | typed | {"name": "Ed Three"})
    assert stale.status_code == 409
    assert 'value="Ed Three"' in stale.text  # what was typed stays
    assert "Type a name." in enterprise.submit(path, **typed | {"name": " "}).text
    assert site.ask("SELECT name, language FROM staff WHERE login = 'ed'") == [("Ed Two", "zh")]


def test_foreign_staff_and_tenants_are_not_there(shared_site: Site, enterprise: Browser) -> None:
    site = shared_site
    stranger = site.ask("SELECT id FROM staff WHERE login = 'merchant'")[0][0]
    for path in (f"/staff/{stranger}", f"/staff/{stranger}/close", f"/staff?tenant={site.house.merchant}",
                 f"/staff/invite?tenant={site.other.enterprise}", "/staff/tenants"):  # fmt: skip
        assert enterprise.get(path).status_code == 404, path
    assert site.ask(
        "SELECT count(*) FROM trail_line"
        " WHERE what = 'missing' AND subject_kind = 'staff' AND subject_id = :id",
        id=str(stranger),
    ) == [(2,)]
    assert "merchant" not in words(enterprise.get("/staff?q=merchant&status=all").text)


def test_the_pages_read_well_in_chinese(shared_site: Site) -> None:
    browser = shared_site.signed_in("enterprise", language="zh")
    for path in ("/staff", "/staff/invite", "/roles", "/roles/new", "/own"):
        page = words(browser.get(path).text)
        assert re.search(r"[\u4e00-\u9fff]", page), path
        assert "Administrator" not in page, path
