"""Card tokens and enrolment codes: seal, open, and every way not to."""

import base64
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import (
    CardToken,
    CredentialError,
    Enrolment,
    EnrolmentCode,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    enrolment_code,
    open_token,
    parse_enrolment_code,
    seal,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "credentials.json").read_text())
KEY, OTHER_KEY, NONCE = b"k" * 32, b"o" * 32, b"n" * 24
CARD = CardToken(slot=3, account=10, card=20, issue=1)
CHIP = b"\x04\x01\x02\x03\x04\x05\x06"
REASONS = {"form", "version", "key", "seal", "chip", "checksum"}

tokens = st.builds(
    CardToken,
    slot=st.integers(0, 2**16 - 1),
    account=st.integers(0, 2**64 - 1),
    card=st.integers(0, 2**64 - 1),
    issue=st.integers(0, 2**32 - 1),
)
chips = st.none() | st.binary(min_size=4, max_size=10)
hosts = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=253)


def create_text(chip: bytes | None = None, **changes: Any) -> str:
    return seal(CARD, **{"key_id": 1, "key": KEY, "nonce": NONCE, "chip": chip, **changes})


def create_code(**changes: Any) -> str:
    values: dict[str, Any] = {
        "enrolment": Enrolment(b"i" * 16, b"s" * 32),
        "server_key": b"p" * 32,
        "server_key_id": 1,
        "host": "points.example",
        "port": 7171,
    }
    return enrolment_code(**{**values, **changes})


@pytest.mark.parametrize("vector", VECTORS["tokens"])
def test_token_vectors(vector: dict[str, Any]) -> None:
    key, nonce = bytes.fromhex(VECTORS["key"]), bytes.fromhex(VECTORS["nonce"])
    chip = bytes.fromhex(vector["chip"]) if vector["chip"] else None
    token = CardToken(vector["slot"], vector["account"], vector["card"], vector["issue"])
    assert seal(token, key_id=VECTORS["key_id"], key=key, nonce=nonce, chip=chip) == vector["text"]
    assert open_token(vector["text"], {VECTORS["key_id"]: key}, chip) == token


@pytest.mark.parametrize("vector", VECTORS["enrolment_codes"])
def test_enrolment_code_vectors(vector: dict[str, Any]) -> None:
    code = EnrolmentCode(
        Enrolment(bytes.fromhex(vector["id"]), bytes.fromhex(vector["secret"])),
        bytes.fromhex(vector["server_key"]),
        vector["server_key_id"],
        vector["host"],
        vector["port"],
    )
    assert parse_enrolment_code(vector["text"]) == code


@given(token=tokens, chip=chips, key_id=st.integers(0, 255), nonce=st.binary(min_size=24, max_size=24))
def test_what_is_sealed_is_opened(token: CardToken, chip: bytes | None, key_id: int, nonce: bytes) -> None:
    text = seal(token, key_id=key_id, key=KEY, nonce=nonce, chip=chip)
    assert open_token(text, {key_id: KEY, (key_id + 1) % 256: OTHER_KEY}, chip) == token
    assert re.fullmatch(r"P1[A-Z2-7]+", text)
    assert len(text) <= 122


@given(token=tokens, chip=chips, other=chips)
def test_a_token_opens_only_for_its_chip(token: CardToken, chip: bytes | None, other: bytes | None) -> None:
    text = seal(token, key_id=1, key=KEY, nonce=NONCE, chip=chip)
    if chip == other:
        assert open_token(text, {1: KEY}, other) == token
        return
    with pytest.raises(CredentialError, match="chip"):
        open_token(text, {1: KEY}, other)


@pytest.mark.parametrize("chip", [None, CHIP])
def test_every_changed_character_is_found(chip: bytes | None) -> None:
    text = create_text(chip)
    for place, right in enumerate(text):
        for wrong in "A2Z7P1":
            if wrong != right:
                with pytest.raises(CredentialError):
                    open_token(text[:place] + wrong + text[place + 1 :], {1: KEY, 0: KEY}, chip)
        for changed in (text[:place], text[:place] + text[place + 1 :], text[:place] + "A" + text[place:]):
            if changed != text:
                with pytest.raises(CredentialError):
                    open_token(changed, {1: KEY, 0: KEY}, chip)


def test_every_changed_bit_is_found() -> None:
    from protocol.credentials import _from_base32, _to_base32

    for chip in (None, CHIP):
        raw = _from_base32(create_text(chip), "P1")
        for bit in range(len(raw) * 8):
            changed = bytearray(raw)
            changed[bit // 8] ^= 1 << bit % 8
            keys = dict.fromkeys(range(256), KEY)
            with pytest.raises(CredentialError):
                open_token("P1" + _to_base32(bytes(changed)), keys, chip)


def test_spare_bits_of_the_last_character_must_be_zero() -> None:
    text = create_text(CHIP)
    assert len(text) == 118  # 72 bytes leave four spare bits
    for last in "BCDEFGHIJKLMNOPQRSTUVWXYZ234567":
        if last != text[-1]:
            with pytest.raises(CredentialError):
                open_token(text[:-1] + last, {1: KEY}, CHIP)


@pytest.mark.parametrize("around", ["{}", " {}", "{}\r\n", "\t{} \n"])
def test_scan_guns_may_add_white_space_and_lose_capitals(around: str) -> None:
    text = create_text()
    assert open_token(around.format(text), {1: KEY}) == CARD
    assert open_token(around.format(text.lower()), {1: KEY}) == CARD


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "P1", "P2" + "A" * 104, "A" * 106, "P1" + "A" * 104 + "=", "P1=" + "A" * 104,
        "P1" + "1" * 104, "P1" + "ı" * 104, "Ｐ１" + "A" * 104, "P1" + "A" * 9, "P1" + "A" * 198,
        "P1 " + "A" * 104, "\0", "P1P1" + "A" * 102,
    ],
    ids=repr,
)  # fmt: skip
def test_other_texts_are_no_credential(text: str) -> None:
    with pytest.raises(CredentialError):
        open_token(text, {1: KEY, 0: KEY})


@given(text=st.text(max_size=200) | st.from_regex(r"(?i)\s*P1[A-Z2-7]{0,140}\s*", fullmatch=True), chip=chips)
def test_any_text_gives_one_kind_of_error(text: str, chip: bytes | None) -> None:
    with pytest.raises(CredentialError) as caught:
        open_token(text, {1: KEY}, chip)
    assert caught.value.reason in REASONS


@given(raw=st.binary(min_size=1, max_size=90))
def test_base32_is_that_of_the_standard(raw: bytes) -> None:
    from protocol.credentials import _from_base32, _to_base32

    text = _to_base32(raw)
    assert text == base64.b32encode(raw).decode().rstrip("=")
    assert _from_base32("P1" + text, "P1") == _from_base32("p1" + text.lower(), "P1") == raw


@given(text=st.text("ABZ27abz0189_+-= \t\n!\u00a0\u0131\u017f\uff11", max_size=40))
def test_no_bytes_have_two_spellings(text: str) -> None:
    from protocol.credentials import _from_base32, _to_base32

    for whole in ("P1" + text, text):
        with suppress(CredentialError):
            raw = _from_base32(whole, "P1")
            assert "P1" + _to_base32(raw) == whole.strip(" \t\r\n").upper()
            assert whole.isascii()


def test_white_space_inside_is_not_overlooked() -> None:
    text = create_text()
    with pytest.raises(CredentialError, match="form"):
        open_token(text[:50] + " " + text[50:], {1: KEY})


def test_keys_rotate() -> None:
    old, new = create_text(key_id=1), create_text(key_id=2, key=OTHER_KEY)
    keys = {1: KEY, 2: OTHER_KEY}
    assert open_token(old, keys) == open_token(new, keys) == CARD
    with pytest.raises(CredentialError, match="key"):
        open_token(old, {2: OTHER_KEY})
    with pytest.raises(CredentialError, match="seal"):
        open_token(old, {1: OTHER_KEY})


def test_another_version_is_named_as_such() -> None:
    raw = "P1" + "AIAQ" + create_text()[6:]  # version 2
    with pytest.raises(CredentialError, match="version"):
        open_token(raw, {1: KEY, 16: KEY})


@pytest.mark.parametrize(
    "changes",
    [
        {"key": b"short"}, {"nonce": b"short"}, {"key_id": 256}, {"key_id": -1},
        {"chip": b""}, {"chip": b"123"}, {"chip": b"12345678901"},
    ],
    ids=repr,
)  # fmt: skip
def test_what_cannot_be_sealed_is_our_bug(changes: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        create_text(**changes)


@pytest.mark.parametrize("changes", [{"slot": 65536}, {"slot": -1}, {"account": 2**64}, {"issue": 2**32}])
def test_numbers_that_do_not_fit_are_our_bug(changes: dict[str, int]) -> None:
    values = {"slot": 0, "account": 0, "card": 0, "issue": 0, **changes}
    with pytest.raises(LocalProtocolError):
        seal(CardToken(**values), key_id=1, key=KEY, nonce=NONCE)


def test_a_wrong_credential_is_answered_and_closes_nothing() -> None:
    assert issubclass(CredentialError, ProtocolError)
    assert not issubclass(CredentialError, RemoteProtocolError)
    assert not issubclass(CredentialError, LocalProtocolError)


@given(
    server_key=st.binary(min_size=32, max_size=32),
    key_id=st.integers(0, 255),
    host=hosts,
    port=st.integers(1, 65535),
)
def test_enrolment_codes_round_trip(server_key: bytes, key_id: int, host: str, port: int) -> None:
    enrolment = Enrolment(b"i" * 16, b"s" * 32)
    text = enrolment_code(enrolment, server_key, key_id, host, port)
    assert re.fullmatch(r"TSRE1[A-Z2-7]+", text)
    assert parse_enrolment_code(text) == EnrolmentCode(enrolment, server_key, key_id, host, port)


def test_an_enrolment_code_may_be_grouped_and_wrapped() -> None:
    text = create_code()
    groups = [text[at : at + 8].lower() for at in range(0, len(text), 8)]
    for between in (" ", "-", "\n", " - "):
        assert parse_enrolment_code(between.join(groups)) == parse_enrolment_code(text)


def test_slips_of_the_pen_in_an_enrolment_code() -> None:
    text = create_code()
    for place in range(len(text)):
        wrong = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises(CredentialError):
            parse_enrolment_code(wrong)
        with pytest.raises(CredentialError):
            parse_enrolment_code(text[:place])
        swapped = text[:place] + text[place : place + 2][::-1] + text[place + 2 :]
        if swapped != text:
            with pytest.raises(CredentialError):
                parse_enrolment_code(swapped)


@given(text=st.text(max_size=300) | st.from_regex(r"TSRE1[A-Z2-7]{0,200}", fullmatch=True))
def test_any_text_as_an_enrolment_code(text: str) -> None:
    with pytest.raises(CredentialError) as caught:
        parse_enrolment_code(text)
    assert caught.value.reason in REASONS


@pytest.mark.parametrize("host", ["", " ", "a b", "bücher.example", "a\n", "h" * 254])
def test_hosts_that_are_none(host: str) -> None:
    with pytest.raises(LocalProtocolError):
        create_code(host=host)


@pytest.mark.parametrize(
    "changes", [{"port": 0}, {"port": 65536}, {"server_key": b""}, {"server_key_id": 256}]
)
def test_what_cannot_be_an_enrolment_code_is_our_bug(changes: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        create_code(**changes)


@pytest.mark.parametrize(("host", "port"), [("a\x07b", 1), ("good", 0)])
def test_a_well_sealed_code_with_bad_content(host: str, port: int) -> None:
    from protocol.credentials import _ENROLMENT, _checksum, _to_base32

    raw = _ENROLMENT.pack(1, b"p" * 32, b"i" * 16, b"s" * 32, port) + host.encode()
    with pytest.raises(CredentialError, match="form"):
        parse_enrolment_code("TSRE1" + _to_base32(raw + _checksum(raw)))


def test_an_enrolment_does_not_show_its_secret() -> None:
    assert "ssss" not in repr(Enrolment(b"i" * 16, b"s" * 32))
    for enrolment in ((b"", b"s" * 32), (b"i" * 16, b"")):
        with pytest.raises(LocalProtocolError):
            Enrolment(*enrolment)
