"""Which PINs may be set."""

import pytest

from txserver.pins import is_fit


@pytest.mark.parametrize("pin", ["314159", "112233", "123457", "123454", "000001", "890123", "013579"])
def test_six_digits_are_fit(pin: str) -> None:
    assert is_fit(pin)


@pytest.mark.parametrize("pin", [str(digit) * 6 for digit in range(10)])
def test_all_alike_is_not(pin: str) -> None:
    assert not is_fit(pin)


@pytest.mark.parametrize("pin", ["012345", "123456", "456789", "987654", "543210"])
def test_a_run_is_not(pin: str) -> None:
    assert not is_fit(pin)


@pytest.mark.parametrize(
    "pin", ["", "3", "31415", "3141592", "31415a", "314 59", "-31415", "١٢٣٤٥٧", "３１４１５９", "³¹⁴¹⁵⁹"]
)
def test_anything_else_is_not(pin: str) -> None:
    assert not is_fit(pin)
