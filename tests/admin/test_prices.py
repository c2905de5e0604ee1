"""Services, their prices, and many prices at once, in the site."""

import json
import re
from datetime import date, timedelta

import pytest

from ledger.price_list import agreements
from tests.admin.browsing import Browser, words
from tests.admin.conftest import Site
from tests.factories import TODAY, House, create_house, create_price


def days(count: int) -> date:
    return TODAY + timedelta(days=count)


@pytest.fixture(scope="module")
def operator(shared_site: Site) -> Browser:
    return shared_site.signed_in("operator")


@pytest.fixture
def house(shared_site: Site) -> House:
    """A merchant with prices for wash (120, 20.00) and cinema (open, 0.09), of this test alone."""
    return shared_site.change(create_house)


def spans(site: Site, house: House, code: str) -> list[tuple[int, int, date | None, date | None]]:
    known = site.change(lambda connection: agreements(connection, house.merchant, house.services[code]))
    return [(each.points, each.settlement_minor, each.since, each.until) for each in known]


def path_of(house: House, code: str = "wash") -> str:
    return f"/merchants/{house.merchant}/prices/{house.services[code]}"


def price_form(browser: Browser, path: str, **typed: str) -> dict[str, str]:
    form = {"kind": "fixed", "points": "150", "settlement": "25.50", "currency": "CNY"}
    return browser.hidden(path) | form | typed


# ---- one price ---------------------------------------------------------------------------------------


def test_a_price_follows_another_and_history_stays(
    shared_site: Site, operator: Browser, house: House
) -> None:
    path = path_of(house)
    form = price_form(operator, f"{path}/new", since=days(10).isoformat())
    assert operator.post(f"{path}/new", form).status_code == 303
    assert spans(shared_site, house, "wash") == [
        (150, 2_550, days(10), None), (120, 2_000, date(2020, 1, 1), days(9)),
    ]  # fmt: skip
    again = operator.post(f"{path}/new", form)
    assert again.status_code == 409
    assert "perhaps by a second click" in again.text
    assert len(spans(shared_site, house, "wash")) == 2
    page = words(operator.get(path).text)
    assert "from 2 Dec 2026 150 CN¥25.50 To come Set its last day · Withdraw" in page
    assert "1 Jan 2020 to 1 Dec 2026 120 CN¥20.00 In force Set its last day" in page
    ((after,),) = shared_site.ask(
        "SELECT after FROM trail_line WHERE what = 'price.agree' AND tenant_id = :id", id=house.merchant
    )
    assert json.loads(after)["settlement_minor"] == 2_550


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"since": days(-1).isoformat()}, "This day has passed: the business date is 22 Nov 2026."),
        ({"since": TODAY.isoformat()}, "A price is in force on this day"),
        ({"since": days(2).isoformat(), "until": days(40).isoformat()}, "Another price holds from 22 Dec"),
        ({"since": days(3).isoformat(), "until": days(2).isoformat()}, "The last day is before the first."),
        ({"since": ""}, "Give its first day."),
        ({"points": "0"}, "from 1 to 1,000,000,000"),
        ({"points": ""}, "Type a number of points."),
        ({"points": "many"}, "Not a valid integer value"),
        ({"settlement": "20.005"}, "Type an amount, such as 20.00."),
        ({"settlement": "999999999"}, "more than a price can be"),
        ({"kind": "open", "least": "9", "most": "5"}, "The most is less than the least."),
        ({"kind": "open", "least": "9"}, "Type a number of points."),
        ({"currency": "XXX"}, "Not a valid choice"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_price_is_said_beside_the_field(
    shared_site: Site, operator: Browser, typed: dict[str, str], said: str
) -> None:
    house = shared_site.house
    if len(spans(shared_site, house, "wash")) == 1:
        shared_site.change(lambda connection: connection.exec_driver_sql(
            "UPDATE price SET during = daterange(lower(during), '2026-12-12') WHERE id = %s",
            (house.prices["wash"],)))  # fmt: skip
        shared_site.change(
            lambda connection: create_price(connection, house, "wash", points=9, since=days(30))
        )
    before = spans(shared_site, house, "wash")
    path = f"{path_of(house)}/new"
    form = price_form(operator, path, since=days(2).isoformat(), until=days(3).isoformat())
    answer = operator.post(path, form | typed)
    assert answer.status_code == 200
    assert said in words(answer.text)
    assert 'value="25.50"' in answer.text or "settlement" in typed
    assert spans(shared_site, house, "wash") == before


def test_a_price_ends_or_is_withdrawn(shared_site: Site, operator: Browser, house: House) -> None:
    path = path_of(house)
    following = shared_site.change(
        lambda connection: create_price(connection, house, "spa", points=7, since=days(5))
    )
    spa = f"{path_of(house, 'spa')}/{following}/end?withdraw=1"
    form = operator.hidden(spa)
    assert operator.post(spa, form).status_code == 303
    assert spans(shared_site, house, "spa") == [(7, 100, None, None)]
    assert operator.post(spa, form).status_code == 409
    running = f"{path}/{house.prices['wash']}/end"
    early = operator.submit(running, last_day=days(-1).isoformat())
    assert "The last day is 22 Nov 2026 at the earliest." in early.text
    assert operator.submit(running, last_day=days(4).isoformat(), reason="Sold").status_code == 303
    assert spans(shared_site, house, "wash") == [(120, 2_000, date(2020, 1, 1), days(4))]
    later = operator.submit(running, last_day=days(9).isoformat())
    assert "It ends on 26 Nov 2026 already" in later.text
    assert operator.get(f"{path}/{following}/end").status_code == 404
    assert operator.get(f"{path}/999999/end").status_code == 404


def test_a_service_gets_its_first_price_today(shared_site: Site, operator: Browser, house: House) -> None:
    form = operator.hidden("/services/new") | {
        "code": f"golf-{house.merchant}", "name": "Golf", "name_zh": "高尔夫", "unit": "hour",
        "category": "0",
    }  # fmt: skip
    made = operator.post("/services/new", form)
    assert made.status_code == 303, words(made.text)
    assert operator.post("/services/new", form).location == "/services"
    taken = operator.post(
        "/services/new", operator.hidden("/services/new") | form | operator.hidden("/services/new")
    )
    assert "Another service has this code." in taken.text
    service = int(made.location.rpartition("/")[2])
    house.services["golf"] = service
    assert "Golf" in operator.get(f"/merchants/{house.merchant}/prices/new?q=golf").text
    path = path_of(house, "golf")
    form = price_form(
        operator,
        f"{path}/new",
        since=TODAY.isoformat(),
        kind="open",
        least="5",
        most="500",
        settlement="0.08",
    )
    assert operator.post(f"{path}/new", form).status_code == 303
    assert "5 to 500, open CN¥0.08 a point" in words(operator.get(f"/services/{service}").text)
    zh = words(shared_site.signed_in("operator", language="zh").get(f"/services/{service}").text)
    assert "高尔夫" in zh
    assert "生效中" in zh


# ---- services and categories -------------------------------------------------------------------------


def test_categories_are_data_and_services_have_them(shared_site: Site, operator: Browser) -> None:
    form = operator.hidden("/services/categories/new") | {
        "code": "care", "name": "Car care", "name_zh": "汽车美容", "industry": "Cars", "status": "open",
    }  # fmt: skip
    assert operator.post("/services/categories/new", form).status_code == 303
    other = operator.post("/services/categories/new", form | operator.hidden("/services/categories/new"))
    assert "Another category has this code." in other.text
    ((category,),) = shared_site.ask("SELECT id FROM service_category WHERE code = 'care'")
    path = f"/services/categories/{category}"
    edit = operator.hidden(path) | form | operator.hidden(path) | {"name": "Care"}
    assert operator.post(path, edit).status_code == 303
    assert operator.post(path, edit | {"name": "Late"}).status_code == 409
    wash = f"/services/{shared_site.house.services['wash']}/edit"
    typed = {"name": "Wash", "name_zh": "洗车", "unit": "wash", "category": str(category), "status": "open"}
    change = operator.hidden(wash) | typed
    assert operator.post(wash, change).status_code == 303
    assert operator.post(wash, change).status_code == 409
    page = words(operator.get(f"/services?category={category}").text)
    assert "Wash 洗车 wash Care Cars wash Active" in page
    assert "cinema" not in page
    assert "Cars" in operator.get("/services/categories").text
    assert operator.get("/services/categories/999").status_code == 404
    merchant = shared_site.signed_in("merchant")
    assert "Your price" in merchant.get(f"/services/{shared_site.house.services['wash']}").text
    assert merchant.get(wash).status_code == 403


# ---- many at once ------------------------------------------------------------------------------------


def preview(browser: Browser, house: House, site: Site, **typed: str) -> tuple[str, dict[str, str]]:
    """The page that shows the change, and the form of its button."""
    ((code,),) = site.ask("SELECT code FROM organisation WHERE id = :id", id=house.merchant)
    form = {
        "merchants": code, "services": "", "category": "0", "since": days(1).isoformat(),
        "points_how": "percent", "points_by": "12.5", "money_how": "percent", "money_by": "-10", "reason": "",
    } | typed  # fmt: skip
    page = browser.post("/prices/change", form).text
    marks = re.findall(r'name="mark"[^>]* value="([^"]+)"', page)
    return page, form | {"step": "confirm", "mark": marks[0] if marks else ""}


def test_many_prices_change_as_the_preview_showed(shared_site: Site, operator: Browser, house: House) -> None:
    shared_site.change(lambda connection: create_price(connection, house, "spa", points=3, until=days(5)))
    page, form = preview(operator, house, shared_site)
    shown = words(page)
    assert "3 prices change; 0 cannot." in shown
    assert "open CN¥0.09 → CN¥0.08" in shown
    assert "120 → 135 CN¥20.00 → CN¥18.00" in shown
    assert len(spans(shared_site, house, "wash")) == 1
    assert operator.post("/prices/change", form).status_code == 303
    assert spans(shared_site, house, "wash")[0] == (135, 1_800, days(1), None)
    assert spans(shared_site, house, "spa")[0] == (3, 90, days(1), days(5))
    again = operator.post("/prices/change", form)
    assert again.status_code == 409
    assert "Nothing was changed yet." in again.text
    assert len(spans(shared_site, house, "wash")) == 2
    ((before,),) = shared_site.ask(
        "SELECT before FROM trail_line WHERE what = 'price.change_many' AND tenant_id = :id",
        id=house.merchant,
    )
    assert json.loads(before)["wash"] == {"points": 120, "settlement_minor": 2_000}


def test_a_line_that_cannot_be_changed_stops_all_or_is_left_out(
    shared_site: Site, operator: Browser, house: House
) -> None:
    page, form = preview(operator, house, shared_site, money_how="keep")
    assert "1 prices change; 1 cannot." in words(page)
    assert "An open price has no points of its own to change." in page
    refused = operator.post("/prices/change", form)
    assert refused.status_code == 409
    assert "Some lines cannot be changed." in refused.text
    assert len(spans(shared_site, house, "wash")) == 1
    assert operator.post("/prices/change", form | {"leave_out": "y"}).status_code == 303
    assert spans(shared_site, house, "wash")[0] == (135, 2_000, days(1), None)
    assert len(spans(shared_site, house, "cinema")) == 1


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"since": TODAY.isoformat()}, "change from tomorrow on: the business date is 22 Nov 2026."),
        ({"merchants": "NOBODY"}, "Unknown: NOBODY"),
        ({"services": "x, wash"}, "Unknown: x"),
        ({"points_by": "a lot"}, "Type a percentage such as 5"),
        ({"points_how": "set", "points_by": "0"}, "Type a number of points."),
        ({"money_how": "set", "money_by": "1.005"}, "Type an amount, such as 20.00."),
        ({"points_how": "keep", "money_how": "keep"}, "Then nothing changes"),
        ({"services": "cinema", "points_by": "-100", "money_by": "0"}, "It stays as it is."),
    ],
)
def test_a_choice_of_no_sense_is_said_and_offers_no_button(
    shared_site: Site, operator: Browser, typed: dict[str, str], said: str
) -> None:
    page, form = preview(operator, shared_site.other, shared_site, **typed)
    assert said in words(page)
    assert "Change them" not in page
    assert operator.post("/prices/change", form | {"leave_out": "y"}).status_code in {200, 409}
    assert len(spans(shared_site, shared_site.other, "cinema")) == 1


# ---- files -------------------------------------------------------------------------------------------


def test_lists_are_files_too_and_a_merchants_hold_its_own(shared_site: Site, operator: Browser) -> None:
    merchant, own = shared_site.signed_in("merchant"), shared_site.house
    other = f"/merchants/{shared_site.other.merchant}/prices.csv"
    for path, line in (
        ("/merchants.csv?q=merchant", "Merchant ,"),
        ("/services.csv?status=open", "cinema,Cinema,服务 cinema,"),
        (other, "wash,"),
        ("/terminals.csv?status=active", ",POS,"),
    ):
        answer = operator.get(path)
        assert (answer.status_code, answer.mimetype) == (200, "text/csv")
        assert line.split(",")[0] in answer.text
    assert "cinema,Cinema,time,,10,5000,0.09,CNY,2020-01-01,,In force" in operator.get(other).text
    assert operator.get("/services.xlsx").data[:2] == b"PK"
    for path in (
        "/services.pdf",
        "/merchants.csv?status=x",
        "/terminals.csv?status=x",
        "/services.csv?category=x",
    ):
        assert operator.get(path).status_code == 404, path
    assert merchant.get(other).status_code == 404
    assert merchant.get("/merchants.csv").text.count("\r\n") == 2
    ((name,),) = shared_site.ask("SELECT name FROM organisation WHERE id = :id", id=own.merchant)
    assert name in merchant.get("/merchants.csv").text
