"""What many prices become together: half up, once, and with a reason where it cannot be."""

from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.price_list import Sold
from ledger.price_plan import AMOUNT_MOST, Amount, by_percent, plan


def sold(points: int = 100, settlement_minor: int = 2_000, *, open_price: bool = False) -> Sold:
    return Sold(
        merchant_id=1, merchant_code="M", merchant="M", service_id=2, code="wash", name="Wash",
        name_zh="洗车", unit="wash", status="open", price=3, since=date(2026, 1, 1), until=None,
        points=points, settlement_minor=settlement_minor, currency="CNY", open=open_price,
        min_points=None, max_points=None, next_since=None,
    )  # fmt: skip


@given(st.integers(0, AMOUNT_MOST), st.integers(-10_000, 100_000))
def test_a_percentage_is_rounded_half_up_once(old: int, percent: int) -> None:
    exact = Decimal(old) * (10_000 + percent) / 10_000
    assert by_percent(old, percent) == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


@pytest.mark.parametrize(
    ("points", "money", "became"),
    [
        (Amount(percent=500), None, (105, 2_000, None)),
        (Amount(percent=-1_250), {"CNY": Amount(percent=250)}, (88, 2_050, None)),  # 87.5 and 2050
        (Amount(to=70), {"CNY": Amount(to=0)}, (70, 0, None)),
        (Amount(percent=-10_000), None, (0, 2_000, "too_small")),
        (Amount(to=AMOUNT_MOST + 1), None, (AMOUNT_MOST + 1, 2_000, "too_big")),
        (Amount(percent=10), None, (100, 2_000, "same")),
        (None, {"CNY": None}, (100, 2_000, "money_digits")),
    ],
)
def test_each_line_has_its_amounts_or_its_reason(
    points: Amount | None, money: dict[str, Amount | None] | None, became: tuple[int, int, str | None]
) -> None:
    (line,) = plan([sold()], points=points, money=money)
    assert (line.points, line.settlement_minor, line.refused) == became


def test_of_an_open_price_only_the_money_changes() -> None:
    price = sold(1, 9, open_price=True)
    (alone,) = plan([price], points=Amount(percent=500), money=None)
    assert alone.refused == "open_points"
    (both,) = plan([price], points=Amount(percent=500), money={"CNY": Amount(to=10)})
    assert (both.points, both.settlement_minor, both.refused) == (1, 10, None)
