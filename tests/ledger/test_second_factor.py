"""Codes by the clock against RFC 6238's own examples, and what is kept of a secret."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.second_factor import ALPHABET, STEP_S, _code, _plain, _step_of

# RFC 6238, appendix B, SHA-1: the last six digits of its eight; the secret is the ASCII 1234567890 twice.
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
EXAMPLES = {
    59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037",
}  # fmt: skip


@pytest.mark.parametrize(("seconds", "code"), EXAMPLES.items())
def test_the_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    step = seconds // STEP_S
    assert _step_of(SECRET, code, moment) == step
    assert _step_of(SECRET, f" {code[:3]} {code[3:]} ", moment) == step
    for late in (-1, 1):  # a clock that is half a minute off
        assert _step_of(SECRET, code, moment + timedelta(seconds=late * STEP_S)) == step
    for late in (-2, 2):
        assert _step_of(SECRET, code, moment + timedelta(seconds=late * STEP_S)) is None


@given(st.text(max_size=12))
def test_anything_may_be_typed(typed: str) -> None:
    moment = datetime.fromtimestamp(59, UTC)
    if "".join(typed.split()) not in {"287082", "755224", "359152"}:
        assert _step_of(SECRET, typed, moment) is None


@given(st.binary(min_size=16, max_size=16))
def test_a_recovery_code_is_found_however_it_is_typed(noise: bytes) -> None:
    code = _code(lambda _size: noise)
    assert len(code) == 11
    assert set(_plain(code)) <= set(ALPHABET)
    assert _plain(f" {code.upper().replace('-', ' ')} ") == _plain(code)
