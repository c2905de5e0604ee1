"""The shop that `pos shop` plays: made once, its file kept up to date."""

import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ledger import businessday, terminals
from ledger.database import Database, Scope
from protocol.credentials import EnrolmentCode, open_token, parse_enrolment_code
from protocol.noise import KeyPair
from scripts import shop_world
from tests.conftest import TestDatabase
from tests.factories import create_keyring
from tests.txserver.terminal_peer import create_identity
from txserver.shop_file import ShopWorld, read_world, seat_folder

ADDRESS = ("127.0.0.1", 7171)
NOW = datetime.now(UTC)


@pytest.fixture
def database(database_urls: TestDatabase) -> Iterator[Database]:
    database = Database(database_urls.site, pool_size=1)
    with database.transaction(Scope.everything()) as connection:
        businessday.advance(connection, NOW.date(), NOW)
    yield database
    database.close()


def kept(database: Database, folder: Path, *, new: bool, port: int = 7171) -> ShopWorld:
    """The world after the house has opened."""
    shop_world.keep(database, create_keyring(), folder, ("127.0.0.1", port), new=new)
    return read_world(folder / shop_world.FILE)


def codes_of(world: ShopWorld) -> list[EnrolmentCode]:
    return [parse_enrolment_code(code) for code in world.codes]


def enrol(database: Database, code: EnrolmentCode, key: bytes) -> None:
    with database.transaction(Scope.everything()) as connection:
        seat = terminals.enrol(
            connection, enrolment_id=code.enrolment.id, public_key=key, model="m", software="0", now=NOW
        )
    assert seat is not None


def test_a_new_database_gets_a_shop(database: Database, tmp_path: Path) -> None:
    world = kept(database, tmp_path, new=True)
    assert (len(world.codes), len(world.cards)) == (20, 40)
    assert stat.S_IMODE((tmp_path / "shop.json").stat().st_mode) == 0o600
    keyring = create_keyring()
    for card in world.cards:
        assert open_token(card.card, keyring.card_keys).issue == 1
        assert (len(card.pin), card.pin.isdecimal()) == (6, True)
    code = codes_of(world)[0]
    assert (code.host, code.port, code.server_key_id) == (*ADDRESS, keyring.current_key_id)
    with database.transaction(Scope.everything()) as connection:
        open_to = [
            terminals.invitation(connection, each.enrolment.id, NOW + timedelta(days=1))
            for each in codes_of(world)
        ]
    assert all(invitation is not None and invitation.open for invitation in open_to)
    assert len({invitation.store_id for invitation in open_to if invitation is not None}) == 2


def test_codes_follow_the_address_and_stay_otherwise(database: Database, tmp_path: Path) -> None:
    before = kept(database, tmp_path, new=True)
    assert kept(database, tmp_path, new=False) == before
    moved = kept(database, tmp_path, new=False, port=9999)
    assert moved.cards == before.cards
    assert [code.port for code in codes_of(moved)] == [9999] * 20
    assert [code.enrolment for code in codes_of(moved)] == [code.enrolment for code in codes_of(before)]


def test_a_used_code_is_renewed_unless_its_device_is_there(database: Database, tmp_path: Path) -> None:
    before = codes_of(kept(database, tmp_path, new=True))
    identity = create_identity()
    enrol(database, before[0], identity.key.public)
    enrol(database, before[1], KeyPair.from_private(bytes([77] * 32)).public)
    identity.save(seat_folder(tmp_path / "pos", 1))
    after = codes_of(kept(database, tmp_path, new=False))
    assert [old.enrolment == new.enrolment for old, new in zip(before, after, strict=True)] == [
        True, False, *[True] * 18,
    ]  # fmt: skip
    enrol(database, after[1], KeyPair.from_private(bytes([78] * 32)).public)


@pytest.mark.parametrize(
    "content", [None, "{", '{"codes": ["TSRE1"], "cards": [{"card": "P1", "pin": "1"}]}']
)
def test_a_file_that_is_gone_or_edited_is_left_alone(
    database: Database, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / shop_world.FILE
    if content is not None:
        path.write_text(content)
    shop_world.keep(database, create_keyring(), tmp_path, ADDRESS, new=False)
    assert (path.read_text() if path.exists() else None) == content


def test_a_file_of_another_database_is_left_alone(database: Database, tmp_path: Path) -> None:
    """Its codes are unknown here: nothing is made of them."""
    keyring = create_keyring()
    code = shop_world.code_text(keyring, bytes([9] * 16), *ADDRESS)
    path = tmp_path / shop_world.FILE
    path.write_text(f'{{"codes": ["{code}"], "cards": [{{"card": "P1", "pin": "1"}}]}}')
    before = path.read_text()
    shop_world.keep(database, keyring, tmp_path, ("127.0.0.1", 9999), new=False)
    assert path.read_text() == before
