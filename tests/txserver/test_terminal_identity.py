"""Identity files: whole, private, and clear about what is wrong."""

import dataclasses
import json
import stat
from pathlib import Path

import pytest

from protocol.noise import KeyPair
from tests.txserver.terminal_peer import TERMINAL_KEY, create_identity
from txserver.terminal_identity import IdentityError, TerminalIdentity


def test_saved_and_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "pos"
    create_identity().save(folder)
    assert TerminalIdentity.load(folder) == create_identity()
    file = folder / "identity.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["identity.json"]


def test_a_next_key_is_kept_beside_the_present_one(tmp_path: Path) -> None:
    identity = dataclasses.replace(create_identity(), next_key=KeyPair.from_private(bytes([21] * 32)))
    identity.save(tmp_path)
    assert TerminalIdentity.load(tmp_path) == identity
    create_identity().save(tmp_path)
    assert TerminalIdentity.load(tmp_path).next_key is None


def test_a_file_of_before_keys_could_be_changed_is_read(tmp_path: Path) -> None:
    file = tmp_path / "identity.json"
    create_identity().save(tmp_path)
    assert set(json.loads(file.read_text())) == {
        "private_key", "server_keys", "host", "port", "terminal", "merchant", "store",
    }  # fmt: skip
    assert TerminalIdentity.load(tmp_path) == create_identity()


def test_not_enrolled_says_how(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="pos enrol CODE"):
        TerminalIdentity.load(tmp_path)


def test_damaged_or_unwritable_says_which_file(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text('{"private_key": 5}')
    with pytest.raises(IdentityError, match=r"identity\.json is damaged"):
        TerminalIdentity.load(tmp_path)
    with pytest.raises(IdentityError, match="cannot be written"):
        create_identity().save(tmp_path / "identity.json")
    (tmp_path / "folder" / "identity.json").mkdir(parents=True)
    with pytest.raises(IdentityError, match="cannot be read"):
        TerminalIdentity.load(tmp_path / "folder")


def test_the_private_key_is_in_no_repr() -> None:
    following = KeyPair.from_private(bytes([21] * 32))
    assert repr(following.private) not in repr(dataclasses.replace(create_identity(), next_key=following))
    assert repr(TERMINAL_KEY.private) not in repr(create_identity())
    assert "private" not in repr(create_identity())
