"""Merchants and stores in the site: entered, changed, closed; seen by their own."""

import json
import re
import threading

import pytest

from ledger import organisations
from ledger.database import Scope
from tests.admin.browsing import Browser, words
from tests.admin.conftest import Site
from tests.desk import until_somebody_waits


@pytest.fixture(scope="module")
def operator(shared_site: Site) -> Browser:
    return shared_site.signed_in("operator")


@pytest.fixture(scope="module")
def merchant(shared_site: Site) -> Browser:
    return shared_site.signed_in("merchant")


def new_merchant(browser: Browser, **typed: str) -> dict[str, str]:
    form = {"code": "GLOSS", "name": "Gloss", "store_code": "G1", "store_name": "Gloss North"}
    return browser.hidden("/merchants/new") | form | typed


def enter(browser: Browser, code: str) -> str:
    """Enter a merchant; where its page is."""
    answer = browser.post("/merchants/new", new_merchant(browser, code=code, name=f"Gloss {code}"))
    assert answer.status_code == 303, words(answer.text)
    return str(answer.location)


def form_of(browser: Browser, path: str) -> dict[str, str]:
    """What the form of a page holds, as a browser would send it."""
    page = browser.get(path)
    assert page.status_code == 200, (path, page.status_code)
    fields = re.findall(r'<input[^>]* name="([^"]+)"[^>]* value="([^"]*)"', page.text)
    return {name: value for name, value in fields if name != "csrf_token"}


def trail(site: Site, what: str, subject: str) -> list[tuple[str, str]]:
    sql = "SELECT before, after FROM trail_line WHERE what = :what AND subject_id = :subject ORDER BY number"
    return [(before or "", after or "") for before, after in site.ask(sql, what=what, subject=subject)]


def test_a_merchant_is_entered_once_with_its_first_store(shared_site: Site, operator: Browser) -> None:
    form = new_merchant(operator, code="ONE")
    taken = operator.post("/merchants/new", form | {"code": "ONE two"})
    assert "without spaces" in taken.text
    assert 'value="Gloss North"' in taken.text
    alike = operator.post("/merchants/new", form | {"store_code": "ONE"})
    assert "the merchant&#39;s own code" in alike.text
    answer = operator.post("/merchants/new", form)
    assert answer.status_code == 303
    again = operator.post("/merchants/new", form | {"code": "OTHER"})
    assert (again.status_code, again.location) == (303, "/merchants")
    assert "nothing was made twice" in operator.get("/merchants").text
    other = operator.post("/merchants/new", new_merchant(operator, code="ONE"))
    assert "Another merchant has this code." in other.text
    merchant = answer.location.rpartition("/")[2]
    made = shared_site.ask(
        "SELECT kind, code FROM organisation WHERE tenant_id = :id ORDER BY id", id=int(merchant)
    )
    assert made == [("merchant", "ONE"), ("store", "G1")]
    ((_, after),) = trail(shared_site, "merchant.create", merchant)
    assert json.loads(after)["code"] == "ONE"
    found = words(operator.get("/merchants?q=gloss&status=open").text)
    assert "Gloss ONE Active – 1 0" in found
    assert "No merchant found" in operator.get("/merchants?q=nowhere").text
    for wrong in ("status=x", "after=x", "after=0", f"after={2**70}"):
        assert operator.get(f"/merchants?{wrong}").status_code == 404


def test_details_are_kept_masked_and_not_in_the_trail(shared_site: Site, operator: Browser) -> None:
    at = enter(operator, "DETAILS")
    form = form_of(operator, f"{at}/edit") | {
        "bank": "ICBC", "account_name": "Gloss Ltd", "account_number": "6222 0202 0001 2345 678",
        "contract_since": "2026-01-01", "contract_until": "2026-06-30",
        "contact_1_name": "Wang Fang", "contact_1_phone": "13800001111", "contact_1_email": "wang@gloss.cn",
    }  # fmt: skip
    wrong = operator.post(
        f"{at}/edit",
        form
        | {"contract_until": "2025-01-01", "contact_1_name": "", "contact_1_email": "wang", "note": "Kept"},
    )
    assert wrong.status_code == 200
    for said in ("The last day is before the first.", "Give the person&#39;s name", "no e-mail", "Kept"):
        assert said in wrong.text
    assert operator.post(f"{at}/edit", form).status_code == 303
    page = words(operator.get(at).text)
    assert "ICBC Account holder Gloss Ltd Account number •••• 5678" in page
    assert "30 Jun 2026 Over" in page
    assert "Wang Fang – 13800001111 wang@gloss.cn" in page
    assert "62220202" not in operator.get(f"{at}/edit").text
    ((_, after),) = trail(shared_site, "merchant.change", at.rpartition("/")[2])
    assert "5678" in after
    assert not re.search("Wang|13800001111|6222", after)
    stale = operator.post(f"{at}/edit", form | {"bank": "Other"})
    assert stale.status_code == 409
    assert "Nothing was changed now." in stale.text
    assert 'value="Other"' in stale.text
    form = form_of(operator, f"{at}/edit") | {"account_forget": "y", "name": "Glossier"}
    assert operator.post(f"{at}/edit", form).status_code == 303
    assert "Account number –" in words(operator.get(at).text)
    assert "Glossier" in operator.get("/merchants").text


def test_a_store_has_a_place_and_hours(shared_site: Site, operator: Browser) -> None:
    at = enter(operator, "PLACES")
    form = operator.hidden(f"{at}/stores/new") | {"code": "G1", "name": "South"}
    form |= {"place": "39.9042, 116.407396", "hours_1": "09:00-21:00", "hours_5": "18:00–02:00"}
    assert "has this code" in operator.post(f"{at}/stores/new", form).text
    wrong = operator.post(f"{at}/stores/new", form | {"place": "116.4, 39.9", "hours_1": "25:00-26:00"})
    assert "latitude first" in wrong.text
    assert "no such time" in wrong.text
    answer = operator.post(f"{at}/stores/new", form | {"code": "G2"})
    assert answer.status_code == 303, words(answer.text)
    page = words(operator.get(answer.location).text)
    assert "39.904200, 116.407396" in page
    assert "Monday 09:00-21:00 Tuesday closed" in page
    assert "Friday 18:00-02:00" in page
    edit = form_of(operator, f"{answer.location}/edit")
    assert (edit["place"], edit["hours_5"]) == ("39.904200, 116.407396", "18:00-02:00")
    assert operator.post(f"{answer.location}/edit", edit | {"address": "1 Long St"}).status_code == 303
    assert "1 Long St" in operator.get(at).text
    assert operator.post(f"{answer.location}/edit", edit | {"address": "2"}).status_code == 409


def test_closing_stops_the_sale_and_can_be_taken_back(shared_site: Site, operator: Browser) -> None:
    at = enter(operator, "CLOSING")
    store = shared_site.ask("SELECT id FROM organisation WHERE tenant_id = :id AND kind = 'store'",
                            id=int(at.rpartition("/")[2]))[0][0]  # fmt: skip
    for path, what in ((f"/stores/{store}", "store"), (at, "merchant")):
        form = operator.hidden(f"{path}/close")
        assert operator.post(f"{path}/close", form | {"reason": "Moved out"}).status_code == 303
        assert operator.post(f"{path}/close", form).status_code == 409
        assert "Not active" in operator.get(path).text
        assert len(trail(shared_site, f"{what}.close", path.rpartition("/")[2])) == 1
    assert operator.get(f"{at}/stores/new").status_code == 409
    closed_above = operator.submit(f"/stores/{store}/reopen")
    assert closed_above.status_code == 409
    assert operator.submit(f"{at}/reopen").status_code == 303
    assert operator.submit(f"/stores/{store}/reopen").status_code == 303
    assert operator.get(f"{at}/explode").status_code == 404


def test_a_merchant_sees_its_own_and_no_other(shared_site: Site, merchant: Browser) -> None:
    own, other = shared_site.house, shared_site.other
    assert merchant.get("/merchants").location == f"/merchants/{own.merchant}"
    page = words(merchant.get(f"/merchants/{own.merchant}").text)
    assert "Wash wash 120 CN¥20.00 time from 1 Jan 2020 In force" in page
    assert "10 to 5,000, open CN¥0.09 a point" in page
    assert "What can be done" not in page
    assert merchant.get(f"/stores/{own.store}").status_code == 200
    service = own.services["wash"]
    for path in (f"/merchants/{other.merchant}", f"/stores/{other.store}", "/merchants/0", "/stores/999",
                 f"/merchants/{other.merchant}/prices", f"/merchants/{other.merchant}/prices/{service}",
                 f"/merchants/{own.enterprise}"):  # fmt: skip
        assert merchant.get(path).status_code == 404, path
    ((foreign,),) = shared_site.ask(
        "SELECT count(*) FROM trail_line WHERE tenant_id = :own AND what = 'missing'", own=own.merchant
    )
    assert foreign == 7
    for path in ("/merchants/new", f"/merchants/{own.merchant}/edit", f"/stores/{own.store}/close"):
        assert merchant.get(path).status_code == 403


def test_who_saves_a_store_and_who_closes_it_never_wait_in_a_circle(
    shared_site: Site, operator: Browser
) -> None:
    site, store = shared_site, shared_site.house.store
    path = f"/stores/{store}/edit"
    form, token = form_of(operator, path) | {"name": "Renamed"}, operator.token()
    answers: list[int] = []
    save = threading.Thread(target=lambda: answers.append(operator.post(path, form, token=token).status_code))
    with site.database.transaction(Scope.everything()) as connection:
        organisations.lock_tree(connection, site.house.merchant)
        save.start()
        until_somebody_waits(connection)
        organisations.set_status(connection, store, "open")
    save.join()
    assert answers == [303]
    assert site.ask("SELECT name FROM organisation WHERE id = :id", id=store) == [("Renamed",)]
