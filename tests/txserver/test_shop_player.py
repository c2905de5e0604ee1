"""What a player makes of a catalogue."""

from protocol.messages import CatalogueItem
from txserver.shop_plan import Price
from txserver.shop_player import DEAREST, prices_of


def create_item(code: str, **changes: object) -> CatalogueItem:
    given = {"code": code, "name": code, "name_zh": code, "unit": "time", "points": 30} | changes
    return CatalogueItem(**given)  # type: ignore[arg-type]


def test_only_what_is_sold_today_has_a_price() -> None:
    services = [
        create_item("wash"),
        create_item("later", since="2027-02-01"),
        create_item("rises", next_since="2027-02-01", next_points=40),
    ]
    assert prices_of(services) == (Price("wash", 30), Price("rises", 30))


def test_open_amounts_stay_in_their_range_and_below_the_dearest() -> None:
    services = [
        create_item("meal", points=1, open=True, min_points=20, max_points=60),
        create_item("rescue", points=1, open=True, min_points=100, max_points=20_000),
        create_item("free", points=1, open=True),
        create_item("estate", points=1, open=True, min_points=5_000, max_points=9_000),
    ]
    assert [(price.least, price.most, price.limit) for price in prices_of(services)] == [
        (20, 60, 60), (100, DEAREST, 20_000), (1, DEAREST, 10**9), (5_000, 5_000, 9_000),
    ]  # fmt: skip
