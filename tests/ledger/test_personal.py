"""Personal data: normal forms, masks, sealing and finding."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import personal
from ledger.personal import PersonalKeys, Wrong

KEYS = PersonalKeys(bytes([7] * 32), os.urandom)


@given(value=st.text(max_size=40), member=st.integers(1, 2**63 - 1), field=st.sampled_from(["phone", "note"]))
def test_what_is_sealed_opens_at_its_place_only(value: str, member: int, field: str) -> None:
    sealed = KEYS.seal_field(member, field, value)
    assert KEYS.open_field(member, field, sealed) == value
    assert KEYS.open_field(member + 1, field, sealed) is None
    assert KEYS.open_field(member, "identity", sealed) is None
    assert PersonalKeys(bytes(32), os.urandom).open_field(member, field, sealed) is None
    assert KEYS.open_field(member, field, sealed[:-1]) is None
    assert KEYS.open_field(member, field, b"") is None


@given(
    digits=st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True), places=st.sets(st.integers(1, 10), max_size=3)
)
def test_a_chinese_mobile_has_one_form_however_it_is_typed(digits: str, places: set[int]) -> None:
    typed = "".join((" " if place in places else "") + digit for place, digit in enumerate(digits))
    forms = {personal.phone_number(f"{lead}{typed}") for lead in ("", "+86 ", "0086", "86", "(+86)")}
    assert forms == {f"+86{digits}"}
    assert personal.masked_phone(f"+86{digits}") == f"{digits[:3]}****{digits[-4:]}"
    assert personal.phone_number(personal.shown_phone(f"+86{digits}")) == f"+86{digits}"


@given(body=st.from_regex(r"[1-9][0-9]{16}", fullmatch=True), wrong=st.integers(1, 9))
def test_a_mistyped_digit_of_a_chinese_identity_number_is_found(body: str, wrong: int) -> None:
    fits = [sign for sign in "0123456789Xx" if _is_identity(body + sign)]
    assert len({sign.upper() for sign in fits}) == 1
    changed = body[:-1] + str((int(body[-1]) + wrong) % 10)
    assert not _is_identity(changed + fits[0])


def _is_identity(text: str) -> bool:
    try:
        return personal.identity_number(text) == text.upper()
    except Wrong:
        return False


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("021-555", "country"),
        ("+86138", "digits"),
        ("+0123456789", "digits"),
        ("call me", "letters"),
        ("", "letters"),
    ],
)
def test_what_is_no_phone_says_why(typed: str, why: str) -> None:
    with pytest.raises(Wrong, match=why):
        personal.phone_number(typed)


@given(st.text(max_size=30))
def test_anything_typed_is_a_normal_form_or_wrong(text: str) -> None:
    for normal in (personal.phone_number, personal.identity_number, personal.plate):
        try:
            once = normal(text)
        except Wrong:
            continue
        assert normal(once) == once
        assert len(personal.masked_identity("A1234")) == 5


def test_what_is_found_is_bound_to_its_field_and_the_key() -> None:
    key = KEYS.search_key("phone", "+8613812345678")
    assert len(key) == 16
    assert key == PersonalKeys(bytes([7] * 32), os.urandom).search_key("phone", "+8613812345678")
    assert key != KEYS.search_key("identity", "+8613812345678")
    assert key != PersonalKeys(bytes(32), os.urandom).search_key("phone", "+8613812345678")
