"""The pages of the room of points: orders by all their ways, the second person, the budget."""

import io
import re
from typing import Any

import pytest

from ledger.database import Connection, Scope
from ledger.organisations import create_child
from ledger.point_orders import waiting_count
from ledger.rights import assign
from ledger.staff import create_staff
from tests.admin.browsing import Browser, words
from tests.admin.conftest import Site
from tests.admin.people import PASSWORD, create_person
from tests.factories import Holder, create_holder


@pytest.fixture(scope="module")
def desk(shared_site: Site) -> Browser:
    return shared_site.signed_in("enterprise")


@pytest.fixture(scope="module")
def boss(shared_site: Site) -> Browser:
    shared_site.change(lambda c: create_person(c, shared_site.house.enterprise, login="boss", name="Boss"))
    return shared_site.signed_in("boss")


@pytest.fixture(scope="module")
def operator(shared_site: Site) -> Browser:
    return shared_site.signed_in("operator")


@pytest.fixture
def holders(shared_site: Site) -> list[Holder]:
    return shared_site.change(
        lambda c: [create_holder(c, shared_site.house, points=0, pin=None) for _ in range(3)]
    )


def code(site: Site, holder: Holder) -> str:
    ((found,),) = site.ask(
        "SELECT m.code FROM member m JOIN account a ON a.member_id = m.id WHERE a.id = :id",
        id=holder.account.id,
    )
    return str(found)


def posted(site: Site, holder: Holder) -> int:
    ((found,),) = site.ask("SELECT posted FROM account WHERE id = :id", id=holder.account.id)
    return int(found)


def sent(browser: Browser, path: str, **typed: str) -> str:
    """The address of the order that a form made."""
    answer = browser.submit(path, **({"lot_kind": "granted"} | typed))
    assert answer.status_code == 303, words(answer.text)
    assert re.fullmatch(r"/points/orders/\d+", answer.location), answer.location
    return str(answer.location)


def confirm(browser: Browser, order: str) -> int:
    return browser.post(f"{order}/confirm", browser.hidden(order)).status_code


def test_a_list_is_checked_looked_at_confirmed_and_granted_once(
    shared_site: Site, desk: Browser, holders: list[Holder]
) -> None:
    site, (one, two, _) = shared_site, holders
    first, second = code(site, one), code(site, two)
    typed = {"codes": f"{first}\n{second}, 7\nNOBODY\n{first}", "points": "1,000", "reason": "Welcome",
             "lot_kind": "promotional", "expires_on": "2027-01-31"}  # fmt: skip
    answer = desk.submit("/points/grant", **typed)
    page = words(answer.text)
    assert "Line 3 (NOBODY): no member has this code" in page
    assert f"Line 4 ({first}): this code stands above already" in page
    assert f"{second}, 7" in answer.text  # what was typed stays
    mark = desk.hidden("/points/grant")
    made = [desk.post("/points/grant", typed | mark | {"leave_out": "y"}) for _ in range(2)]
    order = made[0].location
    assert made[1].location == "/points/orders"  # sent twice: nothing more
    page = words(desk.get(order).text)
    assert "Members who get points: 2. Points in all: 1,007. Nothing has happened yet." in page
    assert posted(site, one) == 0
    assert [confirm(desk, order), desk.post(f"{order}/confirm", {"mark": "draft"}).status_code] == [303, 409]
    assert (posted(site, one), posted(site, two)) == (1_000, 7)
    assert "Booked 2 of 2 1,007 points" in words(desk.get(order).text)
    lines = site.ask(
        "SELECT what, reason FROM trail_line WHERE subject_kind = 'point_order' AND subject_id = :id"
        " ORDER BY number",
        id=order.rpartition("/")[2],
    )
    assert lines == [("point_order.create", "Welcome"), ("point_order.confirm", None)]


def test_a_file_says_whom_in_its_own_encoding(
    shared_site: Site, desk: Browser, holders: list[Holder]
) -> None:
    site, (one, two, _) = shared_site, holders
    typed: dict[str, Any] = {"reason": "File", "lot_kind": "granted"} | desk.hidden("/points/grant")
    for content, said in ((b"%PDF-1.4", "cannot be read"), (b"nobody,5", "Choose the file again")):
        answer = desk.post("/points/grant", typed | {"file": (io.BytesIO(content), "list.csv")})
        assert said in answer.text
    content = f"会员编号,积分\n{code(site, one)},12\n{code(site, two)},13\n".encode("gb18030")
    content += b"\n" * 70_000  # more than any other form may hold
    order = desk.post("/points/grant", typed | {"file": (io.BytesIO(content), "list.csv")}).location
    assert confirm(desk, order) == 303
    assert (posted(site, one), posted(site, two)) == (12, 13)


def test_above_the_limit_somebody_else_approves(
    shared_site: Site, desk: Browser, boss: Browser, holders: list[Holder]
) -> None:
    site, holder = shared_site, holders[0]
    order = sent(desk, "/points/grant", codes=code(site, holder), points="10001", reason="Big")
    assert boss.get(order).status_code == 404  # a draft is its maker's
    assert "a second person has to approve it" in desk.get(order).text
    assert confirm(desk, order) == 303
    with site.database.transaction(Scope.tenant(site.house.enterprise)) as connection:
        assert waiting_count(connection) == 1
    assert order in boss.get("/points/waiting").text
    assert "somebody else has to decide" in desk.get(f"{order}/approve").text
    assert desk.post(f"{order}/approve", {"mark": "waiting"}).status_code == 409
    asked = boss.submit(f"{order}/refuse")
    assert "Say why" in asked.text
    assert boss.submit(f"{order}/approve", note="Fine").status_code == 303
    assert boss.post(f"{order}/approve", {"mark": "waiting"}).status_code == 409
    assert posted(site, holder) == 10_001
    assert "Decided by Boss" in words(desk.get(order).text)


def test_a_transfer_waits_for_the_operator_and_cash_does_not(
    shared_site: Site, desk: Browser, operator: Browser, holders: list[Holder]
) -> None:
    site, holder = shared_site, holders[0]
    typed = {"code": code(site, holder), "points": "500", "paid": "49.90", "currency": "CNY"}
    assert "found by" in desk.submit("/points/topup", **typed, payment="transfer").text
    assert "No member" in desk.submit("/points/topup", **(typed | {"code": "X"}), payment="cash").text
    assert "such as 50" in desk.submit("/points/topup", **(typed | {"paid": "-1"}), payment="cash").text
    order = sent(desk, "/points/topup", **typed, payment="transfer", reference="T-17")
    assert confirm(desk, order) == 303
    assert desk.get(f"{order}/arrived").status_code == 403
    assert posted(site, holder) == 0
    assert "CN¥49.90 · Bank transfer" in words(operator.get(order).text)
    assert operator.submit(f"{order}/arrived").status_code == 303
    cash = sent(desk, "/points/topup", **typed, payment="cash")
    assert confirm(desk, cash) == 303
    assert posted(site, holder) == 1_000
    lots = site.ask(
        "SELECT kind, funder_id FROM lot WHERE account_id = :id ORDER BY id", id=holder.account.id
    )
    assert lots == [("purchased", site.house.operator), ("purchased", site.house.enterprise)]


def test_points_are_taken_back_and_what_is_not_there_is_refused_line_by_line(
    shared_site: Site, desk: Browser, holders: list[Holder]
) -> None:
    site, (one, two, _) = shared_site, holders
    assert (
        confirm(desk, sent(desk, "/points/grant", codes=code(site, one), points="90", reason="Gift")) == 303
    )
    both = f"{code(site, one)}\n{code(site, two)}"
    order = sent(desk, "/points/adjust", codes=both, points="40", direction="take", reason="Mistake")
    assert "Members whose points are taken back: 2. Points in all: 80." in desk.get(order).text
    assert confirm(desk, order) == 303
    assert (posted(site, one), posted(site, two)) == (50, 0)
    page = words(desk.get(f"{order}?lines=refused").text)
    assert "Not enough points" in page or "Refused 1" in page
    assert code(site, one) not in page.partition("Outcome")[2]


def test_a_budget_is_kept_and_says_how_much_is_left(
    shared_site: Site, desk: Browser, operator: Browser
) -> None:
    site = shared_site
    enterprise = site.other.enterprise
    site.change(lambda c: create_person(c, enterprise, login="elsewhere"))
    there = site.signed_in("elsewhere")
    holder = site.change(lambda c: create_holder(c, site.other, points=0, pin=None))
    assert there.submit("/points/budget/new", points="100").status_code == 303
    assert "covers some of these days" in there.submit("/points/budget/new", points="5").text
    order = sent(there, "/points/grant", codes=code(site, holder), points="101", reason="Too much")
    assert "The budget does not suffice" in there.get(order).text
    answer = there.post(f"{order}/confirm", there.hidden(order))
    assert (answer.status_code, "100 points are left of it" in answer.text) == (409, True)
    which = f"enterprise={enterprise}"
    page = operator.get(f"/points/budget?{which}").text
    budget = re.search(r"/points/budget/\d+", page)
    assert budget is not None
    assert operator.submit(f"{budget[0]}?{which}", points="101").status_code == 303
    assert confirm(there, order) == 303
    assert "101 points are granted already" in there.submit(budget[0], points="7").text
    assert there.submit("/points/budget/limit", limit="５²").status_code == 303  # as keyboards write 52
    assert there.submit("/points/budget/limit", limit="0").status_code == 303
    order = sent(
        there, "/points/topup", code=code(site, holder), points="1", paid="1", payment="cash", currency="CNY"
    )
    assert confirm(there, order) == 303
    assert "Waits for approval" in there.get(order).text
    # None of this is anybody else's.
    for path in (order, f"{order}/confirm", f"{order}/approve", budget[0]):
        assert desk.get(path).status_code == 404, path
    ((missing,),) = site.ask(
        "SELECT count(*) FROM trail_line WHERE what = 'missing' AND tenant_id = :id", id=site.house.enterprise
    )
    assert missing >= 4


def test_the_operator_chooses_an_enterprise_and_grants_by_filter(
    shared_site: Site, operator: Browser, holders: list[Holder]
) -> None:
    site = shared_site
    assert "Which enterprise?" in operator.get("/points/grant/filter").text
    assert operator.get(f"/points/grant?enterprise={site.house.merchant}").status_code == 404
    path = f"/points/grant/filter?enterprise={site.house.enterprise}"
    typed = {"points": "1", "reason": "All", "unit": "0", "product": "0", "lot_kind": "granted",
             "funder": str(site.house.operator)}  # fmt: skip
    assert "No member is like this" in operator.submit(path, **typed, joined_until="2001-01-01").text
    order = sent(operator, path, **typed)
    before = [posted(site, holder) for holder in holders]
    assert confirm(operator, order) == 303
    assert [posted(site, holder) for holder in holders] == [points + 1 for points in before]
    funders = site.ask("SELECT DISTINCT funder_id FROM lot WHERE granted = 1 AND kind = 'granted'")
    assert funders == [(site.house.operator,)]


def test_a_branch_grants_to_its_own_members_and_sees_its_own_orders(
    shared_site: Site, desk: Browser, holders: list[Holder]
) -> None:
    site, (ours, theirs, _) = shared_site, holders

    def furnish(connection: Connection) -> None:
        branch = create_child(
            connection, parent=site.house.enterprise, kind="branch", code="B", name="Branch"
        )
        person = create_staff(
            connection, organisation_id=branch, login="branch", name="Bo", password=PASSWORD, ready_made=None
        )
        assign(connection, person, reach="below", ready_made="points_desk", unit=branch)
        connection.exec_driver_sql(
            f"UPDATE member SET organisation_id = {branch} WHERE id ="
            f" (SELECT member_id FROM account WHERE id = {ours.account.id})"
        )

    site.change(furnish)
    branch = site.signed_in("branch")
    both = f"{code(site, ours)}\n{code(site, theirs)}"
    typed = {"codes": both, "points": "3", "reason": "Ours", "lot_kind": "granted"}
    assert f"({code(site, theirs)}): no member has this code" in words(
        branch.submit("/points/grant", **typed).text
    )
    order = sent(branch, "/points/grant", **typed, leave_out="y")
    assert confirm(branch, order) == 303
    assert (posted(site, ours), posted(site, theirs)) == (3, 0)
    assert re.findall(r"/points/orders/\d+", branch.get("/points/orders").text) == [order]
    elsewhere = sent(desk, "/points/grant", **(typed | {"codes": code(site, theirs)}))
    assert branch.get(elsewhere).status_code == 404
    assert desk.get(f"{order}?after=99999999999999999999").status_code == 200


def test_who_approves_reaches_the_units_of_all_members(shared_site: Site, holders: list[Holder]) -> None:
    site, places = shared_site, {"east": holders[:1], "west": holders[1:]}

    def furnish(connection: Connection) -> None:
        made = {}
        for name, whose in places.items():
            made[name] = create_child(
                connection, parent=site.house.enterprise, kind="branch", code=name, name=name
            )
            accounts = ", ".join(str(holder.account.id) for holder in whose)
            connection.exec_driver_sql(
                f"UPDATE member SET organisation_id = {made[name]} WHERE id IN"
                f" (SELECT member_id FROM account WHERE id IN ({accounts}))"
            )
        for login, role, reached in (
            ("twins", "points_desk", ("east", "west")), ("judge", "approver", ("east",)),
            ("judges", "approver", ("east", "west")),
        ):  # fmt: skip
            person = create_staff(
                connection, organisation_id=made["east"], login=login, name=login, password=PASSWORD,
                ready_made=None,
            )  # fmt: skip
            for name in reached:
                assign(connection, person, reach="unit", ready_made=role, unit=made[name])

    site.change(furnish)
    twins, judge, judges = (site.signed_in(login) for login in ("twins", "judge", "judges"))
    codes = "\n".join(code(site, holder) for holder in holders)
    order = sent(twins, "/points/grant", codes=codes, points="9999", reason="All of us")
    assert confirm(twins, order) == 303
    assert f"{order}/approve" not in judge.get(order).text
    for step in ("approve", "refuse"):
        refused = judge.post(f"{order}/{step}", {"mark": "waiting", "note": "-"})
        assert refused.status_code == 409
        assert "somebody whose rights reach all of them decides" in words(refused.text)
    assert f"{order}/approve" in judges.get(order).text
    assert judges.submit(f"{order}/approve", note="Fine").status_code == 303
    assert [posted(site, holder) for holder in holders] == [9_999] * 3


@pytest.mark.parametrize(
    "path", ["/points/orders", "/points/waiting", "/points/budget", "/points/grant", "/points/topup"]
)
def test_the_pages_are_chinese_for_who_reads_chinese(desk: Browser, path: str) -> None:
    desk.headers["Accept-Language"] = "zh"
    try:
        page = words(desk.get(path).text)
    finally:
        desk.headers["Accept-Language"] = "en"
    assert not re.search(r"[a-z]{4,} [a-z]{3,}", page), page
