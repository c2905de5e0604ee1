"""Making cards in the site: one, a batch, on paper, on chips, with letters; products and limits."""

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest

from admin.jobs import STEPS
from ledger import cards, jobs, limits
from ledger.card_batches import batch_cards
from ledger.card_details import CardDetails, find_card
from ledger.keyring import Keyring
from ledger.members import Account, create_member
from ledger.trail import broken
from protocol.credentials import CardToken, open_token
from tests.admin.browsing import Browser, words
from tests.admin.conftest import Site
from tests.factories import NOW, TODAY, create_holder

BEFORE = TODAY - timedelta(days=1)


@pytest.fixture(scope="module")
def enterprise(shared_site: Site) -> Browser:
    return shared_site.signed_in("enterprise")


@pytest.fixture(scope="module")
def operator(shared_site: Site) -> Browser:
    return shared_site.signed_in("operator")


def member(site: Site, code: str, *, name: str = "Wang Fang 王芳", enterprise: int | None = None) -> Account:
    tenant = enterprise or site.house.enterprise
    return site.change(lambda connection: create_member(connection, enterprise=tenant, code=code, name=name))


def member_id(site: Site, account: Account) -> int:
    ((found,),) = site.ask("SELECT member_id FROM account WHERE id = :id", id=account.id)
    assert isinstance(found, int)
    return found


def details(site: Site, number: str) -> CardDetails:
    found = site.change(lambda connection: find_card(connection, number))
    assert found is not None
    return found


def trail(site: Site, what: str) -> list[tuple[Any, ...]]:
    """Lines of our enterprise's trail about `what`: whose, before, after, why."""
    return site.ask(
        "SELECT subject_id, before, after, reason FROM trail_line"
        " WHERE tenant_id = :tenant AND what = :what ORDER BY number",
        tenant=site.house.enterprise,
        what=what,
    )


def issued(browser: Browser, site: Site, code: str, **typed: str) -> str:
    """The number of a card that was issued in the site."""
    path = f"/cards/new/{member_id(site, member(site, code))}"
    answer = browser.submit(path, **{"product": "0", "status": "active"} | typed)
    assert answer.status_code == 303, words(answer.text)
    return answer.location.rpartition("/")[2]


def batch_of(browser: Browser, site: Site, *codes: str, **typed: str) -> int:
    """A batch for new members with these codes, asked for in both steps."""
    for code in codes:
        member(site, code)
    form = {"unit": "0", "product": "0", "status": "issued", "codes": "\n".join(codes)} | typed
    path = "/cards/batches/new"
    seen = browser.submit(path, **form)
    assert seen.status_code == 200
    assert f"This makes {len(codes)} cards" in words(seen.text)
    (counted,) = re.findall(r'name="counted"[^>]* value="(\d+)"', seen.text)
    (mark,) = re.findall(r'name="mark"[^>]* value="([^"]+)"', seen.text)
    sent = form | {"counted": counted, "mark": mark}
    answer = browser.post(path, sent)
    assert answer.status_code == 303, words(answer.text)
    batch = int(answer.location.rpartition("/")[2])
    assert browser.post(path, sent).status_code in {200, 303}  # a second click makes nothing
    assert site.ask("SELECT max(id) FROM card_batch") == [(batch,)]
    return batch


def cards_of(site: Site, batch: int) -> list[Any]:
    return site.change(lambda connection: batch_cards(connection, batch, most=999))


# ---- one card ---------------------------------------------------------------------------------------


def test_a_card_is_issued_to_a_member_who_is_looked_for(shared_site: Site, enterprise: Browser) -> None:
    site = shared_site
    account = member(site, "ONE-1", name="Ling Xiaoyu")
    found = enterprise.get("/cards/new?q=ling").text
    path = f"/cards/new/{member_id(site, account)}"
    assert f'href="{path}"' in found
    form = enterprise.hidden(path) | {"product": "0", "status": "issued", "reason": "Welcome"}
    late = enterprise.post(path, form | {"expires_on": BEFORE.isoformat()})
    assert "Give a day that is still to come" in late.text
    assert 'value="Welcome"' in late.text
    answer = enterprise.post(path, form | {"expires_on": TODAY.isoformat()})
    assert answer.status_code == 303
    number = answer.location.rpartition("/")[2]
    card = details(site, number)
    assert (card.status, card.expires_on, card.member_code) == ("issued", TODAY, "ONE-1")
    # The second click makes no second card.
    again = enterprise.post(path, form | {"expires_on": TODAY.isoformat()})
    assert again.status_code == 303
    assert site.ask("SELECT count(*) FROM card WHERE account_id = :id", id=account.id) == [(1,)]
    ((subject, before, after, reason),) = [line for line in trail(site, "card.issue") if line[0] == number]
    assert (subject, before, reason) == (number, None, "Welcome")
    assert '"expires_on":"2026-11-22"' in after
    assert "Ling" not in after
    assert "This member has a card already" in words(enterprise.get(path).text)


def test_a_foreign_member_gets_no_card_and_leaves_a_line(shared_site: Site, enterprise: Browser) -> None:
    site = shared_site
    foreign = member(site, "X-1", enterprise=site.other.enterprise)
    path = f"/cards/new/{member_id(site, foreign)}"
    assert enterprise.get(path).status_code == 404
    assert enterprise.post(path, {"product": "0", "status": "active"}).status_code == 404
    assert site.ask("SELECT count(*) FROM card WHERE account_id = :id", id=foreign.id) == [(0,)]
    kept = [line for line in trail(site, "missing") if line[0] == str(member_id(site, foreign))]
    assert len(kept) == 2
    assert "No member found" in words(enterprise.get("/cards/new?q=X-1").text)


def test_a_product_of_another_enterprise_cannot_be_chosen(shared_site: Site, enterprise: Browser) -> None:
    site = shared_site
    theirs = site.change(
        lambda connection: limits.create_product(
            connection, enterprise=site.other.enterprise, code="T", name="Theirs"
        )
    )
    path = f"/cards/new/{member_id(site, member(site, 'ONE-2'))}"
    page = enterprise.submit(path, product=str(theirs), status="active")
    assert page.status_code == 404
    assert "Theirs" not in page.text


# ---- batches ----------------------------------------------------------------------------------------


def test_a_batch_is_counted_first_and_then_made(shared_site: Site, enterprise: Browser) -> None:
    site = shared_site
    batch = batch_of(enterprise, site, "P1", "P2", "P3", reason="Spring", expires_on="2027-12-31")
    page = words(enterprise.get(f"/cards/batches/{batch}").text)
    assert "Cards made 3" in page
    assert "Last day 31 Dec 2027" in page
    assert [line.member_code for line in cards_of(site, batch)] == ["P1", "P2", "P3"]
    assert f'href="/cards/batches/{batch}"' in enterprise.get("/cards/batches").text
    ((_subject, _before, after, reason),) = [
        line for line in trail(site, "card_batch.create") if line[0] == str(batch)
    ]
    assert ('"lines":3' in after, reason) == (True, "Spring")
    made = enterprise.submit(f"/cards/batches/{batch}/activate")
    assert made.status_code == 303
    assert {line.status for line in cards_of(site, batch)} == {"active"}


def test_what_is_wrong_with_a_batch_is_said_beside_the_field(shared_site: Site, enterprise: Browser) -> None:
    site = shared_site
    path, form = "/cards/batches/new", {"unit": "0", "product": "0", "status": "issued"}
    member(site, "Q1")
    page = enterprise.submit(path, **form, codes="Q1\nnobody\nnobody else", reason="Kept")
    assert "No member has these codes (2): nobody, nobody else" in words(page.text)
    assert 'value="Kept"' in page.text
    issued(enterprise, site, "Q2")
    page = enterprise.submit(path, **form, codes="Q2")
    assert "All of these members have a card" in words(page.text)
    page = enterprise.submit(path, **form, codes="Q1\x00")
    assert "one member code a line" in words(page.text)
    page = enterprise.submit(path, **form | {"unit": str(site.other.enterprise)}, codes="Q1")
    assert page.status_code == 404
    assert site.ask("SELECT count(*) FROM card_batch WHERE note = 'Kept'") == [(0,)]


def test_a_count_that_is_true_no_more_is_shown_again(shared_site: Site, enterprise: Browser) -> None:
    site = shared_site
    accounts = [member(site, code) for code in ("R1", "R2")]
    form = {"unit": "0", "product": "0", "status": "issued", "codes": "R1\nR2"}
    seen = enterprise.submit("/cards/batches/new", **form)
    (mark,) = re.findall(r'name="mark"[^>]* value="([^"]+)"', seen.text)
    site.change(lambda connection: cards.issue_card(connection, accounts[0], now=NOW))
    answer = enterprise.post("/cards/batches/new", form | {"counted": "2", "mark": mark})
    assert answer.status_code == 200
    assert "This makes 1 cards" in words(answer.text)


def test_a_large_batch_is_left_to_a_job(
    shared_site: Site, enterprise: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = shared_site
    monkeypatch.setattr("admin.card_batches.AT_ONCE", 2)
    batch = batch_of(enterprise, site, "S1", "S2", "S3")
    assert "0 of 3 cards are made." in words(enterprise.get(f"/cards/batches/{batch}").text)
    while jobs.run_step(site.database, STEPS, lambda: NOW):
        pass
    assert "of 3 cards are made." not in words(enterprise.get(f"/cards/batches/{batch}").text)
    enterprise.submit(f"/cards/batches/{batch}/activate")
    while jobs.run_step(site.database, STEPS, lambda: NOW):
        pass
    assert {line.status for line in cards_of(site, batch)} == {"active"}


def test_the_operator_chooses_the_enterprise(shared_site: Site, operator: Browser) -> None:
    site = shared_site
    page = operator.get("/cards/batches/new").text
    assert f'<option value="{site.other.enterprise}">' in page
    page = operator.get(f"/cards/batches/new?enterprise={site.other.enterprise}").text
    assert 'name="codes"' in page
    for foreign in (site.house.merchant, 10**30, "x", "٣"):
        assert operator.get(f"/cards/batches/new?enterprise={foreign}").status_code == 404


# ---- on paper, on chips, and by letter --------------------------------------------------------------


def test_a_batch_is_printed_and_each_download_is_in_the_trail(shared_site: Site, enterprise: Browser) -> None:
    site = shared_site
    batch = batch_of(enterprise, site, "T1", "T2")
    path = f"/cards/batches/{batch}/print"
    answer = enterprise.submit(path, stock="a4", part="0", marks="y")
    assert answer.content_type == "application/pdf"
    assert answer.data.startswith(b"%PDF-")
    assert answer.headers["Cache-Control"] == "no-store"
    ((_subject, _before, after, _reason),) = [
        line for line in trail(site, "card_batch.print") if line[0] == str(batch)
    ]
    assert '"cards":2' in after
    assert enterprise.submit(path, stock="cardboard", part="0").content_type.startswith("text/html")
    assert enterprise.submit(path, stock="a4", part="250").content_type.startswith("text/html")
    number = cards_of(site, batch)[0].card.number
    answer = enterprise.submit(f"/cards/{number}/print", stock="id1", part="0")
    assert answer.data.startswith(b"%PDF-")
    site.change(lambda connection: cards.set_status(connection, details(site, number).card, "lost", now=NOW))
    answer = enterprise.post(f"/cards/{number}/print", {"stock": "id1", "part": "0"})
    assert answer.status_code == 409
    assert len([line for line in trail(site, "card.print") if line[0] == number]) == 1


def test_what_is_written_on_a_chip_opens_with_that_chip_alone(shared_site: Site, enterprise: Browser) -> None:
    site = shared_site
    batch = batch_of(enterprise, site, "U1", "U2")
    path = f"/cards/batches/{batch}/chips"
    page = enterprise.submit(path, part="0", chips="04A1B2C3D4E5F6\n04a1")
    assert "Line 2: a UID has 8, 14 or 20" in words(page.text)
    assert "04A1B2C3D4E5F6" in page.text
    answer = enterprise.submit(path, part="0", chips="04A1B2C3D4E5F6\n04A1B2C3D4E5F7")
    head, *rows = csv.reader(io.StringIO(answer.text))
    assert head == ["card_number", "uid", "token", "ndef"]
    keys = Keyring.load(site.app.extensions["settings"].secrets).card_keys
    for line, (number, uid, token, ndef) in zip(cards_of(site, batch), rows, strict=True):
        assert number == line.card.number
        opened = open_token(token, keys, bytes.fromhex(uid))
        assert opened == CardToken(line.card.slot, line.card.account_id, line.card.id, 1)
        assert bytes.fromhex(ndef).endswith(token.encode())
    assert len([line for line in trail(site, "card_batch.write") if line[0] == str(batch)]) == 1
    answer = enterprise.submit(f"/cards/{rows[0][0]}/chip", part="0", chips="04:A1:B2:C3")
    assert answer.text.splitlines()[1].split(",")[1] == "04A1B2C3"


def test_letters_give_each_card_a_code_that_is_told_once(shared_site: Site, enterprise: Browser) -> None:
    site = shared_site
    batch = batch_of(enterprise, site, "V1", "V2")
    path = f"/cards/batches/{batch}/codes"
    form = enterprise.hidden(path) | {"part": "0"}
    answer = enterprise.post(path, form)
    assert answer.data.startswith(b"%PDF-")
    seen = [details(site, line.card.number).code_until for line in cards_of(site, batch)]
    assert seen == [NOW + timedelta(days=30)] * 2
    verifiers = site.ask(
        "SELECT c.pin_code FROM card c JOIN card_batch_line l ON l.card_id = c.id WHERE l.batch_id = :b",
        b=batch,
    )
    assert len({bytes(code) for (code,) in verifiers}) == 2
    again = enterprise.post(path, form)
    assert again.status_code == 409
    assert "its letters were made then" in words(again.text)
    assert len([line for line in trail(site, "card_batch.pin_code") if line[0] == str(batch)]) == 1


# ---- products, terms and a card's limits ------------------------------------------------------------


def test_products_and_terms_are_set_and_kept_in_the_trail(shared_site: Site, enterprise: Browser) -> None:
    site = shared_site
    form = {
        "code": "GOLD",
        "name": "Gold 金卡",
        "limit_points": "5000",
        "day_limit_points": "",
        "pin_above_points": "0",
    }
    assert enterprise.submit("/cards/products/new", **form).status_code == 303
    page = enterprise.submit("/cards/products/new", **form | {"code": "gold"})
    assert "A card product has this code already." in words(page.text)
    page = enterprise.submit("/cards/products/new", **form | {"code": "B", "limit_points": "0"})
    assert "1 to 1,000,000,000" in words(page.text)
    (kind,) = site.change(lambda connection: limits.products(connection, site.house.enterprise))
    assert kind.limits == limits.Limits(limit_points=5000, pin_above_points=0)
    path = f"/cards/products/{kind.id}"
    stale = enterprise.hidden(path) | {"name": "Old", "limit_points": "1"}
    assert enterprise.submit(path, name="Gold", limit_points="6000").status_code == 303
    assert enterprise.post(path, stale).status_code == 409
    (kind,) = site.change(lambda connection: limits.products(connection, site.house.enterprise))
    assert (kind.name, kind.limits.limit_points) == ("Gold", 6000)
    ((_subject, before, after, _reason),) = trail(site, "card_product.change")
    assert ('"limit_points":5000' in before, '"limit_points":6000' in after) == (True, True)
    answer = enterprise.submit(
        "/cards/products/terms", limit_points="700", pin_above_points="9", refund_grace_days="5"
    )
    assert answer.status_code == 303
    terms = site.change(lambda connection: limits.read_terms(connection, site.house.enterprise))
    assert terms == limits.Terms(limit_points=700, pin_above_points=9, refund_grace_days=5)
    number = issued(enterprise, site, "L1")
    path = f"/cards/{number}/limits"
    stale = enterprise.hidden(path) | {"product": "0"}
    answer = enterprise.submit(path, product=str(kind.id), day_limit_points="80", reason="Asked")
    assert answer.status_code == 303
    card = details(site, number)
    assert (card.product, card.own.day_limit_points, card.in_force.limit_points) == ("Gold", 80, 6000)
    assert enterprise.post(path, stale).status_code == 409
    ((_subject, before, after, reason),) = [line for line in trail(site, "card.limits") if line[0] == number]
    assert (before, reason) == ('{"day_limit_points":null,"product":null}', "Asked")
    assert "Gold" in words(enterprise.get("/cards/products").text)


def test_a_foreign_product_is_no_page(shared_site: Site, enterprise: Browser, operator: Browser) -> None:
    site = shared_site
    theirs = site.change(
        lambda connection: limits.create_product(
            connection, enterprise=site.other.enterprise, code="Z", name="Theirs"
        )
    )
    assert enterprise.get(f"/cards/products/{theirs}").status_code == 404
    assert operator.get(f"/cards/products/{theirs}").status_code == 200


# ---- the trail of a card ----------------------------------------------------------------------------


def test_each_step_of_a_card_is_in_the_trail_which_holds(shared_site: Site, enterprise: Browser) -> None:
    site = shared_site
    number = issued(enterprise, site, "W1")
    for step in ("suspend", "activate", "code", "replace", "lost", "close"):
        assert enterprise.submit(f"/cards/{number}/{step}", reason="Because").status_code in {200, 303}
        ((_subject, before, after, reason),) = [
            line
            for line in trail(site, "card.pin_code" if step == "code" else f"card.{step}")
            if line[0] == number
        ]
        assert before != after
        assert reason == "Because"
    foreign = site.change(lambda connection: create_holder(connection, site.other)).card.number
    assert enterprise.get(f"/cards/{foreign}").status_code == 404
    assert [line[0] for line in trail(site, "missing")].count(foreign) == 1
    assert site.change(lambda connection: broken(connection, site.house.enterprise)) is None


def test_the_pages_are_chinese_for_who_reads_chinese(shared_site: Site) -> None:
    browser = shared_site.signed_in("enterprise", language="zh")
    for path in (
        "/cards/new",
        "/cards/batches",
        "/cards/batches/new",
        "/cards/products",
        "/cards/products/terms",
    ):
        page = words(browser.get(path).text)
        latin = set(re.findall(r"[A-Za-z]{4,}", page)) - {
            "English",
            "Spring",
            "GOLD",
            "Enterprise",
            "tabindex",
            "Gold",
            "Theirs",
        }
        assert not latin, (path, latin)
