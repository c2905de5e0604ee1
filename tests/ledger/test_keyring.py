"""Keys in files: made once, read by us alone, and never shown."""

import os
from pathlib import Path

import pytest

from ledger.keyring import Keyring, KeyringError


def test_keys_are_made_once_and_stay(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    first = Keyring.create(folder, os.urandom)
    assert Keyring.create(folder, os.urandom) == first == Keyring.load(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    keys = [*first.server_keys.values(), *first.card_keys.values(), first.pin_key, first.enrolment_key]
    assert len({*keys, first.session_key}) == 6


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
    }
    assert len(verifiers) == 7
    secrets = {
        one.enrolment_secret(bytes(16)),
        one.enrolment_secret(bytes(15) + b"1"),
        two.enrolment_secret(bytes(16)),
    }
    assert len(secrets) == 3
