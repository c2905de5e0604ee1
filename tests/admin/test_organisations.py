"""The rooms of organisations: trees, what changes them, and who may."""

import re
import time

import pytest
from sqlalchemy import Connection, text

from ledger import organisations, rights
from ledger.organisations import create_child
from tests.admin.browsing import Browser, words
from tests.admin.conftest import Site
from tests.admin.people import create_person
from tests.factories import House, create_house


@pytest.fixture(scope="module")
def boss(shared_site: Site) -> Browser:
    return shared_site.signed_in("operator")


@pytest.fixture(scope="module")
def clerk(shared_site: Site) -> Browser:
    """Of our enterprise, with every right there."""
    return shared_site.signed_in("enterprise")


def unit(site: Site, parent: int, code: str, kind: str = "branch") -> int:
    return site.change(
        lambda connection: create_child(connection, parent=parent, kind=kind, code=code, name=f"Unit {code}")
    )


def facts(site: Site, organisation: int) -> tuple[str, str, int, str]:
    (row,) = site.ask(
        "SELECT name, code, parent_id, status FROM organisation WHERE id = :id", id=organisation
    )
    return row


def last_line(site: Site, tenant: int) -> tuple[str, str, str | None, str | None]:
    (row,) = site.ask(
        "SELECT what, subject_id, before, after FROM trail_line WHERE tenant_id = :tenant"
        " ORDER BY number DESC LIMIT 1",
        tenant=tenant,
    )
    return row


def test_a_unit_is_made_once_and_stands_in_the_tree_and_the_trail(shared_site: Site, clerk: Browser) -> None:
    top = shared_site.house.enterprise
    form = clerk.hidden(f"/organisations/{top}/new")
    form |= {"kind": "branch", "name": "  North ", "code": "N1"}
    assert clerk.post(f"/organisations/{top}/new", form).location == f"/organisations?at={top}"
    again = clerk.post(f"/organisations/{top}/new", form | {"code": "N2"})
    assert again.location == f"/organisations/{top}"
    assert "nothing was made twice" in clerk.get("/organisations").text
    ((made,),) = shared_site.ask("SELECT id FROM organisation WHERE code IN ('N1', 'N2') AND kind = 'branch'")
    assert "North Branch · N1" in words(clerk.get("/organisations").text)
    what, subject, before, after = last_line(shared_site, top)
    assert (what, subject, before) == ("organisation.create", str(made), None)
    assert after == f'{{"code":"N1","kind":"branch","name":"North","parent":{top}}}'


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"name": " "}, "Give it a name."),
        ({"code": ""}, "Give it a code"),
        ({"code": "OLD"}, "This code is taken."),
        ({"name": "x" * 81}, "Type at most 80 characters."),
        ({"name": "a\x00b"}, "Type it in one line"),
        ({"kind": "store"}, "Not a valid choice"),
    ],
)
def test_wrong_input_is_said_beside_its_field_and_nothing_is_lost(
    shared_site: Site, clerk: Browser, typed: dict[str, str], said: str
) -> None:
    top = shared_site.house.enterprise
    if not shared_site.ask("SELECT 1 FROM organisation WHERE code = 'OLD'"):
        unit(shared_site, top, "OLD")
    right = {"kind": "department", "name": "Kept name", "code": "KEPT"}
    answer = clerk.submit(f"/organisations/{top}/new", **right | typed)
    assert answer.status_code == 200
    assert said in answer.text
    kept = (right | typed)["code"] if "name" in typed else "Kept name"
    assert f'value="{kept}"' in answer.text
    assert not shared_site.ask("SELECT 1 FROM organisation WHERE code = 'KEPT'")


def test_renaming_is_for_what_the_page_showed(shared_site: Site, clerk: Browser) -> None:
    place = unit(shared_site, shared_site.house.enterprise, "R1")
    path = f"/organisations/{place}/rename"
    form = clerk.hidden(path)
    assert clerk.submit(path, name="Renamed", code="R2").location == f"/organisations/{place}"
    assert facts(shared_site, place)[:2] == ("Renamed", "R2")
    assert last_line(shared_site, shared_site.house.enterprise)[2:] == (
        '{"code":"R1","name":"Unit R1"}', '{"code":"R2","name":"Renamed"}',
    )  # fmt: skip
    stale = clerk.post(path, form | {"name": "Too late", "code": "R3"})
    assert stale.status_code == 409
    assert "has changed since you opened the form" in stale.text
    assert 'value="Too late"' in stale.text
    assert facts(shared_site, place)[:2] == ("Renamed", "R2")


def test_a_circular_move_is_refused_beside_the_field(shared_site: Site, clerk: Browser) -> None:
    upper = unit(shared_site, shared_site.house.enterprise, "C1")
    middle = unit(shared_site, upper, "C2")
    lower = unit(shared_site, middle, "C3")
    form = clerk.get(f"/organisations/{upper}/move").text
    assert f'value="{lower}"' not in form  # nor is it offered
    for parent in (upper, middle, lower):
        answer = clerk.submit(f"/organisations/{upper}/move", parent=str(parent))
        assert re.search(r"invalid-feedback[^>]*>A unit cannot stand below itself", answer.text)
    assert facts(shared_site, upper)[2] == shared_site.house.enterprise
    answer = clerk.submit(f"/organisations/{lower}/move", parent=str(upper))
    assert answer.location == f"/organisations/{lower}"
    assert facts(shared_site, lower)[2] == upper
    assert last_line(shared_site, shared_site.house.enterprise)[0] == "organisation.move"


def test_a_move_to_another_tenant_is_no_page(shared_site: Site, clerk: Browser) -> None:
    place = unit(shared_site, shared_site.house.enterprise, "F1")
    for foreign in (shared_site.other.enterprise, shared_site.other.merchant, 10**12):
        answer = clerk.submit(f"/organisations/{place}/move", parent=str(foreign))
        assert answer.status_code == 404
        assert last_line(shared_site, shared_site.house.enterprise)[:2] == ("missing", str(foreign))
    assert facts(shared_site, place)[2] == shared_site.house.enterprise


def test_closing_says_what_stands_there_and_opening_again_wants_an_open_place(
    shared_site: Site, boss: Browser
) -> None:
    house = shared_site.change(create_house)
    store = house.store
    lower = unit(shared_site, store, "IN", "department")
    refused = boss.submit(f"/organisations/{store}/close")
    assert refused.status_code == 409
    assert "Open units stand below it." in refused.text
    assert boss.submit(f"/organisations/{lower}/close").status_code == 303
    assert "Active terminals stand here: 1." in boss.get(f"/organisations/{store}/close").text
    assert boss.submit(f"/organisations/{store}/close", reason="Moved away").status_code == 303
    assert facts(shared_site, store)[3] == "closed"
    ((reason,),) = shared_site.ask(
        "SELECT reason FROM trail_line WHERE tenant_id = :id ORDER BY number DESC LIMIT 1", id=house.merchant
    )
    assert reason == "Moved away"
    assert "The unit above is closed." in boss.submit(f"/organisations/{lower}/reopen").text
    assert boss.get(f"/organisations/{store}/new").status_code == 409
    assert boss.submit(f"/organisations/{store}/reopen").status_code == 303
    assert boss.submit(f"/organisations/{lower}/reopen").status_code == 303


def test_nobody_closes_the_place_of_the_last_administrators_nor_their_own(
    shared_site: Site, boss: Browser
) -> None:
    house = shared_site.change(create_house)
    place = unit(shared_site, house.enterprise, "ADM")
    shared_site.change(lambda connection: create_person(connection, place, login="only"))
    assert "The last administrators" in boss.submit(f"/organisations/{place}/close").text
    shared_site.change(lambda connection: create_person(connection, house.enterprise, login="second"))
    own = shared_site.signed_in("only").submit(f"/organisations/{place}/close")
    assert "You work there" in own.text
    assert "People who work here: 1." in boss.get(f"/organisations/{place}/close").text
    assert boss.submit(f"/organisations/{place}/close").status_code == 303
    assert shared_site.browser().log_in("only").status_code != 303


def test_the_operator_makes_and_closes_enterprises(shared_site: Site, boss: Browser) -> None:
    answer = boss.submit("/organisations/enterprises/new", name="New Insurance", code="NEWINS")
    page = boss.get(answer.location).text
    assert "Nobody can log in for it yet" in page
    ((made,),) = shared_site.ask("SELECT id FROM organisation WHERE code = 'NEWINS' AND kind = 'enterprise'")
    assert last_line(shared_site, made)[0] == "organisation.create"
    taken = boss.submit("/organisations/enterprises/new", name="Another", code="NEWINS")
    assert "This code is taken." in taken.text
    assert 'value="Another"' in taken.text
    assert f'href="/organisations?tenant={made}"' in boss.get("/organisations/tenants?q=newins").text
    assert "its members keep their cards" in boss.get(f"/organisations/{made}/close").text
    assert boss.submit(f"/organisations/{made}/close").status_code == 303
    assert facts(shared_site, made)[3] == "closed"
    for step in ("close", "move"):
        assert boss.get(f"/organisations/{shared_site.house.operator}/{step}").status_code == 409


def test_a_foreign_organisation_is_no_page_and_a_line_in_the_trail(shared_site: Site, clerk: Browser) -> None:
    own = shared_site.house.enterprise
    # Names of shops are public, their structure is not.
    for foreign in (
        shared_site.other.enterprise,
        shared_site.other.merchant,
        shared_site.other.store,
        10**18,
    ):
        for path in ("", "/new", "/rename", "/move", "/close"):
            assert clerk.get(f"/organisations/{foreign}{path}").status_code == 404
        assert last_line(shared_site, own)[:2] == ("missing", str(foreign))
        assert clerk.get(f"/organisations?at={foreign}").status_code == 404
        assert clerk.get(f"/organisations?tenant={foreign}").status_code == 404
    assert clerk.get("/organisations/tenants").status_code == 404
    assert clerk.get("/organisations/enterprises/new").status_code == 404
    for step in ("rename", "close"):
        assert clerk.get(f"/organisations/{own}/{step}").status_code == 409


def test_a_right_over_some_units_reaches_no_others(shared_site: Site) -> None:
    house = shared_site.change(create_house)
    mine, theirs = unit(shared_site, house.enterprise, "MINE"), unit(shared_site, house.enterprise, "THEIRS")
    below = unit(shared_site, mine, "BELOW")

    def person(connection: Connection) -> None:
        staff = create_person(connection, mine, login="narrow")
        connection.execute(text("DELETE FROM assignment WHERE staff_id = :id"), {"id": staff})
        rights.assign(connection, staff, reach="below", ready_made="administrator")

    shared_site.change(person)
    browser = shared_site.signed_in("narrow")
    page = words(browser.get("/organisations").text)
    assert "Unit MINE" in page
    assert "Unit BELOW" in page
    assert "THEIRS" not in page
    assert "THEIRS" not in words(browser.get("/organisations?q=unit").text)
    for foreign in (theirs, house.enterprise):
        for path in ("", "/new", "/rename"):
            assert browser.get(f"/organisations/{foreign}{path}").status_code == 404
    assert browser.submit(f"/organisations/{below}/rename", name="B", code="B").status_code == 303
    assert browser.submit(f"/organisations/{mine}/new", kind="branch", name="N", code="NB").status_code == 303
    refused = browser.submit(f"/organisations/{below}/move", parent=str(theirs))
    assert "Choose a unit of the same tenant" in refused.text
    assert facts(shared_site, below)[2] == mine


def test_nobody_moves_units_into_the_reach_of_their_own_role(shared_site: Site) -> None:
    house = shared_site.change(create_house)
    mine, other = unit(shared_site, house.enterprise, "M1"), unit(shared_site, house.enterprise, "M2")

    def person(connection: Connection) -> None:
        staff = create_person(connection, mine, login="mover")
        connection.execute(text("DELETE FROM assignment WHERE staff_id = :id"), {"id": staff})
        rights.assign(connection, staff, reach="below", ready_made="member_desk")
        made = connection.execute(
            text(
                "INSERT INTO role (tenant_id, name, permissions) VALUES (:tenant, 'Keeper of the tree',"
                " ARRAY['organisations.view', 'organisations.change']) RETURNING id"
            ),
            {"tenant": house.enterprise},
        )
        rights.assign(connection, staff, reach="tenant", role=made.scalar_one())

    shared_site.change(person)
    browser = shared_site.signed_in("mover")
    refused = browser.submit(f"/organisations/{other}/move", parent=str(mine))
    assert "Your own role would reach more than before." in refused.text
    assert facts(shared_site, other)[2] == house.enterprise


def test_a_tree_of_two_thousand_is_light_and_all_of_it_can_be_reached(
    shared_site: Site, boss: Browser
) -> None:
    house: House = shared_site.change(create_house)
    shared_site.ask(
        "INSERT INTO organisation (tenant_id, parent_id, kind, code, name)"
        " SELECT :tenant, :tenant, 'branch', 'W' || n, 'Wide ' || lpad(n::text, 4, '0')"
        " FROM generate_series(1, 400) AS n RETURNING id",
        tenant=house.enterprise,
    )
    shared_site.ask(
        "INSERT INTO organisation (tenant_id, parent_id, kind, code, name)"
        " SELECT tenant_id, id, 'department', code || '.' || n, 'Deep ' || code || '.' || n"
        " FROM organisation, generate_series(1, 4) AS n WHERE tenant_id = :tenant AND kind = 'branch'"
        " RETURNING id",
        tenant=house.enterprise,
    )
    path = f"/organisations?tenant={house.enterprise}"
    boss.get(path)
    began = time.perf_counter()
    first = boss.get(path)
    took = time.perf_counter() - began
    assert len(first.data) < 130_000
    assert took < 1  # the figure of the issue is a fifth of this; a loaded machine is no proof against it
    assert "1 to 200 of 400 directly below" in words(first.text)
    assert f'href="/organisations?at={house.enterprise}&amp;skip=200"' in first.text
    second = boss.get(f"/organisations?at={house.enterprise}&skip=200").text
    assert "Wide 0201" in second
    assert "Wide 0200" not in second
    found = words(boss.get(f"{path}&q=deep+w37.3").text)
    assert "Deep W37.3 W37.3 Department In operation Enterprise" in found
    assert "Wide 0037" in found


def test_what_is_typed_into_addresses_breaks_nothing(boss: Browser) -> None:
    for query in ("q=%00", "q=" + "x" * 500, "at=x", "skip=99999999999", "skip=-1", "kind=x", "tenant=1e3"):
        assert boss.get(f"/organisations?{query}").status_code == 200, query
        assert boss.get(f"/organisations/tenants?{query}").status_code == 200, query
    assert boss.get(f"/organisations?at={10**19 - 1}").status_code == 404


def test_without_its_token_a_form_changes_nothing(shared_site: Site, clerk: Browser) -> None:
    place = unit(shared_site, shared_site.house.enterprise, "T1")
    form = clerk.hidden(f"/organisations/{place}/close")
    assert clerk.post(f"/organisations/{place}/close", form, token="").status_code == 400
    assert facts(shared_site, place)[3] == "open"
    assert organisations.KINDS["enterprise"] == ("department", "branch")
