"""Keys in files: made once, read by us alone, never shown; the server's rotate, whatever happens."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.keyring import Keyring, KeyringError, rotate


def test_keys_are_made_once_and_stay(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    first = Keyring.create(folder, os.urandom)
    assert Keyring.create(folder, os.urandom) == first == Keyring.load(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    keys = [*first.server_keys.values(), *first.card_keys.values(), first.pin_key, first.enrolment_key]
    assert len({*keys, first.session_key, first.personal_key}) == 7


def test_a_missing_key_is_not_replaced_in_silence(tmp_path: Path) -> None:
    Keyring.create(tmp_path / "s", os.urandom)
    (tmp_path / "s" / "card.key").unlink()
    with pytest.raises(KeyringError, match=r"card\.key is missing\. Restore it"):
        Keyring.load(tmp_path / "s")


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    Keyring.create(tmp_path / "s", os.urandom)
    (tmp_path / "s" / "pin.key").chmod(0o640)
    with pytest.raises(KeyringError, match=r"chmod 600 .*pin\.key"):
        Keyring.load(tmp_path / "s")


@pytest.mark.parametrize("content", ["", "zz", "00" * 31, "00" * 33, "é"])
def test_a_key_that_is_no_key_is_refused(tmp_path: Path, content: str) -> None:
    Keyring.create(tmp_path / "s", os.urandom)
    (tmp_path / "s" / "server.key").write_text(content, encoding="utf-8")
    with pytest.raises(KeyringError, match=r"server\.key"):
        Keyring.load(tmp_path / "s")


def test_no_key_is_shown(tmp_path: Path) -> None:
    keyring = Keyring.create(tmp_path / "s", os.urandom)
    assert repr(keyring) == "Keyring()"


def test_verifiers_and_secrets_depend_on_everything_they_name(tmp_path: Path) -> None:
    one = Keyring.create(tmp_path / "one", os.urandom)
    two = Keyring.create(tmp_path / "two", os.urandom)
    verifiers = {
        one.pin_verifier(1, 2, 3, "123456"),
        one.pin_verifier(1, 2, 3, "123457"),
        one.pin_verifier(2, 2, 3, "123456"),
        one.pin_verifier(1, 22, 3, "123456"),
        one.pin_verifier(12, 2, 3, "123456"),
        one.pin_verifier(1, 2, 4, "123456"),
        two.pin_verifier(1, 2, 3, "123456"),
        one.code_verifier(1, 2, 3, "123456"),
        one.code_verifier(1, 2, 4, "123456"),
    }
    assert len(verifiers) == 9
    secrets = {
        one.enrolment_secret(bytes(16)),
        one.enrolment_secret(bytes(15) + b"1"),
        two.enrolment_secret(bytes(16)),
    }
    assert len(secrets) == 3


# ---- rotation -----------------------------------------------------------------------------------


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_next_server_key_becomes_the_current_one(tmp_path: Path) -> None:
    first = Keyring.create(tmp_path, os.urandom)
    assert (first.current_key_id, first.next_key_id) == (1, 2)
    others = {name: text for name, text in files(tmp_path).items() if not name.startswith("server")}
    second = rotate(tmp_path, os.urandom)
    assert second == Keyring.load(tmp_path)
    assert (second.current_key_id, second.next_key_id) == (2, 3)
    assert list(second.server_keys) == [2, 3]
    assert second.server_keys[2] == first.server_keys[2]
    assert second.server_keys[3] not in first.server_keys.values()
    third = rotate(tmp_path, os.urandom)
    assert third.server_keys[3] == second.server_keys[3]
    assert list(third.server_keys) == [3, 4]
    # Nothing else has changed, and nothing is left lying about.
    assert {name: text for name, text in files(tmp_path).items() if not name.startswith("server")} == others
    assert len(files(tmp_path)) == 7
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_after_key_255_comes_key_0(tmp_path: Path) -> None:
    Keyring.create(tmp_path, os.urandom)
    ids = []
    for _ in range(257):
        keyring = rotate(tmp_path, lambda count: os.urandom(count))
        assert len(keyring.server_keys) == 2
        ids.append((keyring.current_key_id, keyring.next_key_id))
    assert ids[:2] == [(2, 3), (3, 4)]
    assert ids[252:] == [(254, 255), (255, 0), (0, 1), (1, 2), (2, 3)]


class PowerCut(BaseException):
    """The machine stops here."""


def cut_at(monkeypatch: pytest.MonkeyPatch, step: int, *, done: bool) -> Callable[[], bool]:
    """The power fails at the `step`-th thing that is done to a disk: before it, or when it is `done`.

    Returns whether that has happened.
    """
    count = itertools.count()
    happened = False

    def watched(act: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal happened
            here = next(count) == step
            if here and not done:
                happened = True
                raise PowerCut
            result = act(*args, **kwargs)
            if here:
                happened = True
                raise PowerCut
            return result

        return wrapper

    monkeypatch.setattr(os, "open", watched(os.open))
    monkeypatch.setattr(os, "fsync", watched(os.fsync))
    monkeypatch.setattr(Path, "rename", watched(Path.rename))
    monkeypatch.setattr(Path, "unlink", watched(Path.unlink))
    return lambda: happened


@pytest.mark.parametrize("done", [False, True])
def test_wherever_a_rotation_is_cut_off_the_keys_work_and_it_can_be_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    seen = set()
    for step in itertools.count():
        folder = tmp_path / str(step)
        before = Keyring.create(folder, os.urandom)
        with monkeypatch.context() as patch:
            happened = cut_at(patch, step, done=done)
            try:
                rotate(folder, os.urandom)
            except PowerCut:
                pass
            else:
                assert not happened()
                break
        after = Keyring.load(folder)
        # What terminals were told to expect is always answered.
        assert after.server_keys[2] == before.server_keys[2]
        assert after.server_keys.get(1, before.server_keys[1]) == before.server_keys[1]
        assert (after.current_key_id == 1) == (1 in after.server_keys)
        seen.add((after.current_key_id, after.next_key_id))
        finished = rotate(folder, os.urandom)
        expected = 3 if after.next_key_id == 3 else 2
        assert (finished.current_key_id, finished.next_key_id) == (expected, expected + 1)
        if expected == 2:
            assert finished.server_keys[2] == before.server_keys[2]
        else:
            assert finished.server_keys[3] == after.server_keys[3]
        assert len(files(folder)) == 7
    assert seen == {(1, 2), (2, 2), (2, 3)}


def test_two_rotations_at_once_are_one(tmp_path: Path) -> None:
    Keyring.create(tmp_path, os.urandom)
    said = []

    def other_in_the_middle(count: int) -> bytes:
        with pytest.raises(KeyringError, match="being rotated by somebody else") as caught:
            rotate(tmp_path, os.urandom)
        said.append(caught.value)
        return os.urandom(count)

    keyring = rotate(tmp_path, other_in_the_middle)
    assert len(said) == 1
    assert (keyring.current_key_id, keyring.next_key_id) == (2, 3)


def test_who_reads_while_keys_rotate_reads_keys_that_fit_together(tmp_path: Path) -> None:
    """Between the two steps both files say the same key; a reader takes the next one first."""
    before = Keyring.create(tmp_path, os.urandom)
    read: list[Keyring] = []

    def read_in_the_middle(count: int) -> bytes:
        read.append(Keyring.load(tmp_path))
        return os.urandom(count)

    rotate(tmp_path, read_in_the_middle)
    assert [each.server_keys for each in read] == [{2: before.server_keys[2]}]
    assert [(each.current_key_id, each.next_key_id) for each in read] == [(2, 2)]


def test_two_keys_with_one_id_are_refused(tmp_path: Path) -> None:
    Keyring.create(tmp_path, os.urandom)
    old = (tmp_path / "server.key").read_text()
    (tmp_path / "server.key").write_text(old + "id 2\n")
    for act in (Keyring.load, lambda folder: rotate(folder, os.urandom)):
        with pytest.raises(KeyringError, match=r"two keys with the same id 2\. Restore both"):
            act(tmp_path)


@pytest.mark.parametrize(
    "line", ["id 256", "id 999", "id 1000", "id -1", "id x", "id", "1", "id 1\nid 2", "id ٣"]
)
def test_an_id_that_is_none_is_refused(tmp_path: Path, line: str) -> None:
    Keyring.create(tmp_path, os.urandom)
    with (tmp_path / "server.key").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(KeyringError, match=r"server\.key"):
        Keyring.load(tmp_path)


def test_only_the_servers_keys_have_ids(tmp_path: Path) -> None:
    Keyring.create(tmp_path, os.urandom)
    with (tmp_path / "card.key").open("a") as file:
        file.write("id 1\n")
    with pytest.raises(KeyringError, match=r"card\.key cannot be read"):
        Keyring.load(tmp_path)


def test_what_cannot_be_rotated_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyringError, match="Cannot rotate"):
        rotate(tmp_path / "nowhere", os.urandom)
    Keyring.create(tmp_path, os.urandom)
    (tmp_path / "server-next.key").unlink()
    before = files(tmp_path)
    with pytest.raises(KeyringError, match=r"server-next\.key is missing"):
        rotate(tmp_path, os.urandom)
    assert files(tmp_path) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_rotated_key_belongs_to_whom_the_old_one_belonged(tmp_path: Path) -> None:
    Keyring.create(tmp_path, os.urandom)
    for path in tmp_path.iterdir():
        os.chown(path, 12_345, 12_346)
    rotate(tmp_path, os.urandom)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in tmp_path.iterdir()} == {(12_345, 12_346)}
