from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from ledger import staff
from ledger.database import Database, Scope
from ledger.staff import FIRST_PAUSE_S, FREE_TRIES, LONGEST_PAUSE_S, authenticate, create_staff, staff_by_id
from tests.conftest import TestDatabase
from tests.factories import NOW, House, create_house

PASSWORD = "a long walk in the rain"


@dataclass(frozen=True)
class World:
    database: Database
    house: House
    lin: int


@pytest.fixture
def world(database_urls: TestDatabase) -> Iterator[World]:
    database = Database(database_urls.site, pool_size=2)
    with database.transaction(Scope.everything()) as connection:
        house = create_house(connection)
        lin = create_staff(
            connection, organisation_id=house.operator, login="lin", name=" Lin Wei ", password=PASSWORD
        )
    yield World(database, house, lin)
    database.close()


def tries(world: World) -> tuple[int, float | None]:
    """Failed tries of lin, and the seconds of the pause from NOW on."""
    with world.database.transaction(Scope.everything()) as connection:
        failed, until = connection.execute(text("SELECT failed_tries, locked_until FROM staff")).one()
    return failed, None if until is None else (until - NOW).total_seconds()


def test_the_right_password_gives_the_person(world: World) -> None:
    person = authenticate(world.database, "lin", PASSWORD, now=NOW)
    assert person is not None
    assert (person.id, person.name, person.tenant_kind, person.tenant_name) == (
        world.lin, "Lin Wei", "operator", "Operator",
    )  # fmt: skip
    assert person.scope("staff.view") == Scope.everything()
    assert "password_mark" not in repr(person)


@pytest.mark.parametrize(
    ("login", "password"),
    [
        ("lin", "wrong"),
        ("lin", ""),
        ("lin", PASSWORD + "\x00"),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("\x00", "x"),
    ],
)
def test_everything_else_gives_nobody(world: World, login: str, password: str) -> None:
    assert authenticate(world.database, login, password, now=NOW) is None


def test_a_password_is_the_same_from_every_keyboard(world: World) -> None:
    with world.database.transaction(Scope.everything()) as connection:
        create_staff(
            connection,
            organisation_id=world.house.enterprise,
            login="zoe",
            name="Zoé",
            password="café-au-lait",
        )
    person = authenticate(world.database, "ＺＯＥ ", "cafe\u0301-au-lait", now=NOW)
    assert person is not None
    assert person.scope("staff.view") == Scope.tenant(world.house.enterprise)


def test_passwords_are_kept_as_argon2id_and_never_alike(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staff, "COST", staff.Cost())
    with world.database.transaction(Scope.everything()) as connection:
        create_staff(
            connection, organisation_id=world.house.merchant, login="bo", name="Bo", password=PASSWORD
        )
        kept = connection.execute(text("SELECT password_hash FROM staff ORDER BY id")).scalars().all()
    assert len(set(kept)) == 2
    assert all(text.startswith("$argon2id$v=19$m=") for text in kept)
    assert kept[1].startswith("$argon2id$v=19$m=32768,t=3,p=1$")


def test_unknown_logins_cost_a_hash_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    make = staff._hash

    def counted(password: str) -> str:
        hashed.append(password)
        return make(password)

    monkeypatch.setattr(staff, "_hash", counted)
    assert authenticate(world.database, "nobody", "guess", now=NOW) is None
    assert authenticate(world.database, "not a login", "guess", now=NOW) is None
    assert hashed == ["guess", "guess"]


def test_pauses_double_and_end(world: World) -> None:
    now = NOW
    pauses = []
    for number in range(1, FREE_TRIES + 8):
        assert authenticate(world.database, "lin", "wrong", now=now) is None
        failed, until = tries(world)
        assert failed == number
        if until is not None:
            pauses.append(until - (now - NOW).total_seconds())
            now += timedelta(seconds=pauses[-1])
    assert pauses == [FIRST_PAUSE_S, 60, 120, 240, 480, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    assert authenticate(world.database, "lin", PASSWORD, now=now) is not None
    assert tries(world) == (0, None)


def test_during_a_pause_nothing_is_tried_and_nothing_is_counted(world: World) -> None:
    for _ in range(FREE_TRIES):
        authenticate(world.database, "lin", "wrong", now=NOW)
    just_before = NOW + timedelta(seconds=FIRST_PAUSE_S - 1)
    assert authenticate(world.database, "lin", PASSWORD, now=just_before) is None
    assert tries(world) == (FREE_TRIES, FIRST_PAUSE_S)


def test_the_right_password_forgets_earlier_mistakes(world: World) -> None:
    for _ in range(3):
        for _ in range(FREE_TRIES - 1):
            assert authenticate(world.database, "lin", "wrong", now=NOW) is None
        assert authenticate(world.database, "lin", PASSWORD, now=NOW) is not None


@pytest.mark.parametrize("login", ["Lin", "", "a b", "ü", "-x", "x" * 65, "a\n"])
def test_a_login_must_be_typeable(world: World, login: str) -> None:
    with (
        world.database.transaction(Scope.everything()) as connection,
        pytest.raises(ValueError, match="login"),
    ):
        create_staff(
            connection, organisation_id=world.house.operator, login=login, name="X", password=PASSWORD
        )


def test_what_cannot_be_entered(world: World) -> None:
    ours = world.house.operator
    with world.database.transaction(Scope.everything()) as connection:
        with pytest.raises(ValueError, match="at least 8"):
            create_staff(connection, organisation_id=ours, login="short", name="X", password="1234567")
        with pytest.raises(ValueError, match="name"):
            create_staff(connection, organisation_id=ours, login="noname", name=" ", password=PASSWORD)
        with pytest.raises(LookupError):
            create_staff(connection, organisation_id=10**9, login="lost", name="X", password=PASSWORD)
    with (
        pytest.raises(IntegrityError, match="staff_login_key"),
        world.database.transaction(Scope.everything()) as connection,
    ):
        create_staff(connection, organisation_id=ours, login="lin", name="X", password=PASSWORD)


def test_a_tenant_does_not_see_the_staff_of_another(world: World) -> None:
    with world.database.transaction(Scope.tenant(world.house.enterprise)) as connection:
        assert staff_by_id(connection, world.lin) is None


def test_the_mark_changes_with_the_password_alone(world: World) -> None:
    with world.database.transaction(Scope.everything()) as connection:
        before = staff_by_id(connection, world.lin)
        connection.execute(text("UPDATE staff SET name = 'Lin', failed_tries = 2"))
        renamed = staff_by_id(connection, world.lin)
        connection.execute(text("UPDATE staff SET password_hash = 'other'"))
        changed = staff_by_id(connection, world.lin)
    assert before is not None
    assert renamed is not None
    assert changed is not None
    assert before.password_mark == renamed.password_mark != changed.password_mark
