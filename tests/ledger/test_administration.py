"""Who decides who may what: the limits of giving; the last administrator, also when two decide at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from ledger import invitations, roles
from ledger.administration import (
    Beyond,
    Giver,
    LastAdministrator,
    Target,
    administrators,
    require,
    rights_over,
)
from ledger.database import Database, Scope
from ledger.first_operator import COMMAND
from ledger.permissions import PERMISSIONS, READY_MADE
from ledger.rights import Rights, assign, rights_of
from ledger.staff import create_staff
from ledger.staff_lists import set_status
from tests.conftest import TestDatabase
from tests.factories import NOW, House, create_house

PASSWORD = "a long walk in the rain"


@dataclass(frozen=True)
class World:
    database: Database
    house: House

    def person(
        self, login: str, ready_made: str = "administrator", *, reach: str = "tenant", at: int = 0
    ) -> int:
        with self.database.transaction(Scope.everything()) as connection:
            made = create_staff(
                connection, organisation_id=at or self.house.merchant, login=login, name=login,
                password=PASSWORD, ready_made=None,
            )  # fmt: skip
            assign(connection, made, reach=reach, ready_made=ready_made)
        return made

    def target(self, staff: int) -> Target:
        return Target(staff, self.house.merchant, "merchant", self.house.merchant)

    def close(self, giver: int, staff: int) -> bool:
        with self.database.transaction(Scope.tenant(self.house.merchant)) as connection:
            return set_status(connection, Giver(giver, "merchant"), self.target(staff), "closed")


@pytest.fixture
def world(database_urls: TestDatabase) -> Iterator[World]:
    database = Database(database_urls.site, pool_size=4)
    with database.transaction(Scope.everything()) as connection:
        house = create_house(connection)
    yield World(database, house)
    database.close()


# ---- what covers what ---------------------------------------------------------------------------

NAMES = sorted(PERMISSIONS["merchant"])
UNITS = st.one_of(st.none(), st.frozensets(st.integers(1, 4), max_size=3))
RIGHTS = st.dictionaries(st.sampled_from(NAMES[:5]), UNITS).map(Rights)


def reaches(rights: Rights) -> set[tuple[str, int]]:
    """Each permission with each of five units that it is held over; 0 stands for all the rest."""
    return {
        (permission, unit)
        for permission, units in rights.units.items()
        for unit in (range(5) if units is None else units)
    }


@given(RIGHTS, RIGHTS)
def test_rights_cover_others_exactly_when_they_reach_all_that_those_reach(own: Rights, other: Rights) -> None:
    # A permission over no unit is not held over anything, but is named: nobody gives away its name either.
    named = set(other.units) <= set(own.units)
    assert own.covers(other) == (named and reaches(other) <= reaches(own))
    assert own.covers(own)


def test_what_a_role_reaches_follows_the_tree(world: World) -> None:
    house = world.house
    with world.database.transaction(Scope.tenant(house.merchant)) as connection:
        for reach, units in (
            ("unit", {house.merchant}),
            ("below", {house.merchant, house.store}),
            ("tenant", None),
        ):
            given_rights = rights_over(
                connection, house.merchant, frozenset({"staff.view"}), unit=house.merchant, reach=reach
            )
            assert given_rights.units == {"staff.view": units}
        with pytest.raises(LookupError):
            rights_over(connection, house.merchant, frozenset(), unit=house.enterprise, reach="unit")
        with pytest.raises(LookupError):
            administrators(connection, house.enterprise)


# ---- the last administrator ---------------------------------------------------------------------


def test_two_administrators_who_close_each_other_at_once_leave_one(world: World) -> None:
    first, second = world.person("first"), world.person("second")
    together = Barrier(2)

    def close(giver: int, staff: int) -> str:
        together.wait()
        try:
            return "closed" if world.close(giver, staff) else "nothing"
        except LastAdministrator:
            return "last"

    with ThreadPoolExecutor(2) as threads:
        done = sorted(threads.map(close, (first, second), (second, first)))
    assert done == ["closed", "last"]
    with world.database.transaction(Scope.everything()) as connection:
        assert len(administrators(connection, world.house.merchant)) == 1


def test_the_last_one_is_counted_over_the_whole_tenant_even_by_somebody_who_sees_a_unit(world: World) -> None:
    house = world.house
    boss = world.person("boss")  # at the top, which the scope below does not show
    keeper = world.person("keeper", reach="below", at=house.store)
    local = world.person("local", "viewer", reach="unit", at=house.store)
    scope = Scope.tenant(house.merchant, frozenset({house.store}))
    with world.database.transaction(scope) as connection:
        target = Target(local, house.merchant, "merchant", house.store)
        assert set_status(connection, Giver(keeper, "merchant"), target, "closed")
        assert administrators(connection, house.merchant) == {boss}
        seen = connection.execute(text("SELECT id FROM staff ORDER BY id")).scalars().all()
        assert seen == [keeper, local]  # the scope is as narrow as before


def test_a_role_that_makes_the_last_administrator_cannot_lose_it(world: World) -> None:
    house, boss = world.house, world.person("boss")
    everything = PERMISSIONS["merchant"]

    def change(connection: Connection) -> int:
        giver = Giver(boss, "merchant")
        role = roles.create_role(
            connection, giver, house.merchant, "merchant", name="All", permissions=everything
        )
        roles.give(
            connection,
            giver,
            world.target(boss),
            ready_made=None,
            role=role,
            unit=house.merchant,
            reach="tenant",
        )
        ready = next(held for held in roles.held_by(connection, boss) if held.ready_made)
        roles.take(connection, giver, world.target(boss), ready.id)
        return role

    with world.database.transaction(Scope.tenant(house.merchant)) as connection:
        role = change(connection)
    with (
        pytest.raises(LastAdministrator),
        world.database.transaction(Scope.tenant(house.merchant)) as connection,
    ):
        roles.change_role(
            connection, Giver(boss, "merchant"), house.merchant, "merchant", role, name="All",
            permissions=everything - {"roles.change"},
        )  # fmt: skip
    with world.database.transaction(Scope.everything()) as connection:
        assert rights_of(connection, boss, "merchant").units.keys() == everything


def test_who_sees_one_unit_decides_nothing_about_holders_elsewhere(world: World) -> None:
    """Holders whom the scope does not show count too; and the giver may sit where it does not reach."""
    house, boss = world.house, world.person("boss")
    keeper = world.person("keeper", reach="below", at=house.store)
    local = world.person("local", "viewer", reach="unit", at=house.store)
    with world.database.transaction(Scope.everything()) as connection:
        role = roles.create_role(
            connection, Giver(boss, "merchant"), house.merchant, "merchant", name="Night",
            permissions={"terminals.view"},
        )  # fmt: skip
        assign(connection, boss, reach="unit", role=role)
        guest = create_staff(
            connection, organisation_id=house.merchant, login="guest", name="guest", password=PASSWORD,
            ready_made=None,
        )  # fmt: skip
        assign(connection, guest, reach="unit", ready_made="administrator", unit=house.store)
    scope = Scope.tenant(house.merchant, frozenset({house.store}))
    with pytest.raises(Beyond), world.database.transaction(scope) as connection:
        roles.change_role(
            connection, Giver(keeper, "merchant"), house.merchant, "merchant", role, name="Night",
            permissions={"terminals.view", "terminals.change"},
        )  # fmt: skip
    with pytest.raises(roles.RoleUsed), world.database.transaction(scope) as connection:
        roles.delete_role(connection, house.merchant, role, now=NOW)
    with world.database.transaction(scope) as connection:
        target = Target(local, house.merchant, "merchant", house.store)
        assert set_status(connection, Giver(guest, "merchant"), target, "closed")


# ---- links --------------------------------------------------------------------------------------


def test_a_link_is_worth_no_more_than_its_maker(world: World) -> None:
    """Whoever invites and then loses their rights has invited nobody."""
    house, boss, helper = world.house, world.person("boss"), world.person("helper")
    token = bytes(range(32))
    with world.database.transaction(Scope.tenant(house.merchant)) as connection:
        invitations.invite(
            connection, Giver(helper, "merchant"), tenant=house.merchant, kind="merchant",
            organisation=house.merchant, token=token, login=None, name=None, ready_made="administrator",
            role=None, unit=house.merchant, reach="tenant", now=NOW,
        )  # fmt: skip
    told = {"login": "guest", "name": "Guest", "password": PASSWORD, "language": "en"}
    world.close(boss, helper)
    with world.database.transaction(Scope.everything()) as connection:
        assert invitations.opened(connection, token, now=NOW) is not None
        with pytest.raises(invitations.InvitationOver):
            invitations.accept(connection, token, now=NOW, **told)
    with world.database.transaction(Scope.tenant(house.merchant)) as connection:
        set_status(connection, Giver(boss, "merchant"), world.target(helper), "active")
    with world.database.transaction(Scope.everything()) as connection:
        late = NOW + invitations.INVITATION_LASTS
        assert invitations.opened(connection, token, now=late) is None
        _found, guest = invitations.accept(connection, token, now=NOW, **told)
        assert (
            rights_of(connection, guest, "merchant").units.keys() == READY_MADE["merchant"]["administrator"]
        )


def test_a_stronger_person_is_not_reached(world: World) -> None:
    house, boss = world.house, world.person("boss")
    keeper = world.person("keeper", reach="below", at=house.store)
    with pytest.raises(Beyond):
        world.close(keeper, boss)
    require(Rights({"a": None}), Rights({"a": frozenset({1})}))
    with pytest.raises(Beyond):
        require(Rights({"a": frozenset({1})}), Rights({"a": None}))


def test_an_own_database_gets_its_operator_and_a_link(
    database_urls: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    from ledger.cli import main

    environment = {"DATABASE_URL": database_urls.server, "DATABASE_SITE_URL": database_urls.site}
    assert main([COMMAND, "--name", "Rainbow"], environment, lambda: NOW) == 0
    assert main([COMMAND], environment, lambda: NOW) == 0  # nobody has used the first link yet
    path = capsys.readouterr().out.splitlines()[-1]
    assert path.startswith("/invitation/")
    token = _token(path)
    database = Database(database_urls.site)
    with database.transaction(Scope.everything()) as connection:
        found, _staff = invitations.accept(
            connection, token, login="root", name="Root", password=PASSWORD, language="en", now=NOW
        )
        assert (found.tenant_kind, found.tenant_name) == ("operator", "Rainbow")
    database.close()
    assert main([COMMAND], environment, lambda: NOW) == 1
    assert "say --another" in capsys.readouterr().err
    assert main([COMMAND, "--another"], environment, lambda: NOW) == 0


def _token(path: str) -> bytes:
    import base64

    return base64.urlsafe_b64decode(path.rpartition("/")[2] + "=")
