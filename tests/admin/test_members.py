"""Members: finding, entering, changing, closing and erasing them; who sees what of a person."""

import json
import re
import threading
from urllib.parse import quote

import pytest
from sqlalchemy import Connection

from ledger import member_desk
from ledger.database import Scope
from ledger.members import create_member
from tests.admin.browsing import Browser, words
from tests.admin.card_desk import post
from tests.admin.conftest import Site
from tests.admin.people import create_person
from tests.desk import until_somebody_waits
from tests.factories import NOW, create_hold, create_holder

PHONE, IDENTITY = "13812345678", "11010119900307002X"


@pytest.fixture(scope="module")
def desk(shared_site: Site) -> Browser:
    """The browser of the enterprise's administrator."""
    return shared_site.signed_in("enterprise")


def enter(desk: Browser, code: str, name: str, **more: str) -> str:
    """A new member; the path of its page."""
    answer = desk.submit("/members/new", code=code, name=name, unit="0", **more)
    assert answer.status_code == 303, words(answer.text)
    return str(answer.location)


def trail(site: Site, path: str) -> list[str]:
    member = path.rpartition("/")[2]
    rows = site.ask(
        "SELECT what FROM trail_line WHERE subject_kind = 'member' AND subject_id = :m ORDER BY number",
        m=member,
    )
    return [row[0] for row in rows]


def test_a_member_is_entered_once_and_found_by_whatever_one_knows(shared_site: Site, desk: Browser) -> None:
    form = desk.hidden("/members/new") | {
        "code": "V-17", "name": "王小明", "phone": "138 1234 5678", "identity": IDENTITY,
        "plates": "京A·12345", "unit": "0",
    }  # fmt: skip
    path = desk.post("/members/new", form).location
    assert desk.post("/members/new", form).location == "/members", "a second click"
    for typed in ("王小", "小明", "v-1", PHONE, "+86 138-1234-5678", IDENTITY.lower(), "京a12345", "京A123"):
        page = desk.get(f"/members?q={quote(typed)}").text
        assert f'href="{path}"' in page, typed
        assert "138****5678" in page
        assert PHONE not in page.partition("<tbody")[2].partition("</table>")[0]
    assert "No member found" in desk.get("/members?q=1381234567").text
    assert trail(shared_site, path) == ["member.create"]
    (told,) = shared_site.ask(
        "SELECT after FROM trail_line WHERE what = 'member.create' AND subject_id = :m",
        m=path.rpartition("/")[2],
    )[0]
    assert "小明" not in told
    assert PHONE not in told


def test_a_card_leads_to_its_member_by_number_or_tail(shared_site: Site, desk: Browser) -> None:
    holder = shared_site.change(lambda connection: create_holder(connection, shared_site.house))
    for typed in (holder.card.number, holder.card.number[-4:]):
        assert f'/cards/{holder.card.number}"' not in desk.get(f"/members?q={typed}").text
        assert 'class="go"' in desk.get(f"/members?q={typed}").text


def test_personal_data_is_masked_and_each_look_leaves_a_line(shared_site: Site, desk: Browser) -> None:
    path = enter(desk, "P1", "Mask Me", phone="13900001111", identity="110101199003070038")
    page = words(desk.get(path).text)
    assert "139****1111" in page
    assert "110************038" in page
    shown = words(desk.get(f"{path}/personal").text)
    assert "139 0000 1111" in shown
    assert "110101199003070038" in shown
    told = json.loads(desk.get(f"{path}/data").text)
    assert (told["phone"], told["identity_number"]) == ("+8613900001111", "110101199003070038")
    assert trail(shared_site, path) == ["member.create", "member.look", "member.export"]
    stored = str(shared_site.ask("SELECT p::text FROM person p")) + str(
        shared_site.ask("SELECT t::text FROM trail_line t")
    )
    for secret in ("13900001111", "110101199003070038"):
        assert secret not in stored
        assert secret.encode().hex() not in stored


def test_what_is_wrong_is_said_beside_its_field_and_what_was_typed_stays(desk: Browser) -> None:
    enter(desk, "W1", "First", phone="13700002222")
    answer = desk.submit(
        "/members/new",
        code="W1",
        name="Second",
        phone="021-555",
        identity="110101199003070021",
        plates="x",
        unit="0",
    )
    page = answer.text
    assert "country&#39;s code" in page
    assert "does not fit the others" in page
    assert "A plate has 4 to 10" in page
    assert 'value="021-555"' in page
    assert "Another member has the same." in desk.submit("/members/new", code="W1", name="B", unit="0").text
    again = desk.submit("/members/new", code="W2", name="B", phone="0086 137 0000 2222", unit="0").text
    assert "Another member has the same." in again


def test_a_change_keeps_what_the_form_does_not_show_and_a_stale_page_changes_nothing(
    shared_site: Site, desk: Browser
) -> None:
    path = enter(desk, "E1", "Before", phone="13600003333", plates="沪B12345")
    stale = desk.hidden(f"{path}/edit")
    answer = desk.post(
        f"{path}/edit", stale | {"name": "After", "phone": "13600004444", "plates": "", "unit": "0"}
    )
    assert answer.status_code == 303
    page = words(desk.get(path).text)
    assert "After" in page
    assert "136****4444" in page
    assert "沪B12345" not in page
    late = desk.post(f"{path}/edit", stale | {"name": "Late", "unit": "0"})
    assert "Somebody has changed the member" in late.text
    assert 'value="Late"' in late.text
    assert desk.get("/members?q=before").text.count('class="go"') == 0
    assert "After" in desk.get("/members?q=after").text


def test_from_a_member_one_goes_on_to_their_points(shared_site: Site, desk: Browser) -> None:
    path = enter(desk, "GRANT-1", "Granted")
    assert "/points/grant?member=GRANT-1" in desk.get(path).text
    assert desk.get("/points/grant?member=GRANT-1").status_code == 200


def test_the_balance_says_why(shared_site: Site, desk: Browser) -> None:
    holder = shared_site.change(lambda connection: create_holder(connection, shared_site.house, points=700))
    post(shared_site, create_hold(shared_site.house, holder, amount=300))
    (member,) = shared_site.ask("SELECT member_id FROM account WHERE id = :a", a=holder.account.id)[0]
    page = words(desk.get(f"/members/{member}").text)
    assert "What can be spent now: 400 points" in page
    assert "In all lots 700 − reserved 300 − expired, not booked yet 0 = can be spent 400" in page
    assert "Merchant" in page
    closing = words(desk.get(f"/members/{member}/close").text)
    assert "700 points stay in the account." in closing
    assert "300 of them are reserved" in closing


def test_closing_suspends_cards_and_erasing_leaves_the_books(shared_site: Site, desk: Browser) -> None:
    holder = shared_site.change(lambda connection: create_holder(connection, shared_site.house, points=50))
    (member,) = shared_site.ask("SELECT member_id FROM account WHERE id = :a", a=holder.account.id)[0]
    path = f"/members/{member}"
    assert desk.submit(f"{path}/note", note="Likes tea").status_code == 303
    assert "Likes tea" in desk.get(path).text
    assert b"Likes tea".hex() not in str(shared_site.ask("SELECT n::text FROM member_note n"))
    assert "Close the member first" in desk.get(f"{path}/erase").text
    mark = desk.hidden(f"{path}/close")
    assert desk.post(f"{path}/close", mark).status_code == 303
    assert desk.post(f"{path}/close", mark).status_code == 409
    state = (
        "SELECT m.status, a.status, c.status FROM member m JOIN account a ON a.member_id = m.id JOIN card c"
    )
    state += " ON c.account_id = a.id WHERE m.id = :m"
    assert shared_site.ask(state, m=member) == [("closed", "closed", "suspended")]
    assert desk.submit(f"{path}/reopen").status_code == 303
    assert shared_site.ask(state, m=member) == [("active", "open", "suspended")]
    desk.submit(f"{path}/close")
    assert desk.submit(f"{path}/erase").status_code == 303
    page = words(desk.get(path).text)
    assert "Erased" in page
    assert "Likes tea" not in page
    assert shared_site.ask("SELECT name FROM member WHERE id = :m", m=member) == [("***",)]
    assert shared_site.ask("SELECT sum(points) FROM entry WHERE account_id = :a", a=holder.account.id) == [
        (50,)
    ]
    assert desk.get(f"{path}/note").status_code == 409
    assert trail(shared_site, path) == [
        "member.note", "member.close", "member.reopen", "member.close", "member.erase",
    ]  # fmt: skip


def test_nothing_is_written_about_a_person_who_is_being_erased(shared_site: Site, desk: Browser) -> None:
    path = enter(desk, "ERASED", "Erase Me")
    member = int(path.rpartition("/")[2])
    desk.submit(f"{path}/close")
    form, token = desk.hidden(f"{path}/note") | {"note": "Likes tea"}, desk.token()
    answers: list[int] = []
    write = threading.Thread(
        target=lambda: answers.append(desk.post(f"{path}/note", form, token=token).status_code)
    )
    with shared_site.database.transaction(Scope.everything()) as connection:
        assert member_desk.lock_member(connection, member)
        member_desk.erase_member(connection, member, now=NOW)
        write.start()
        until_somebody_waits(connection)
    write.join()
    assert answers == [409]
    assert shared_site.ask("SELECT count(*) FROM member_note WHERE member_id = :m", m=member) == [(0,)]


def test_foreign_members_are_not_there_and_that_is_noted(shared_site: Site, desk: Browser) -> None:
    def act(connection: Connection) -> int:
        account = create_member(connection, enterprise=shared_site.other.enterprise, code="F", name="Foreign")
        return account.id

    account = shared_site.change(act)
    (member,) = shared_site.ask("SELECT member_id FROM account WHERE id = :a", a=account)[0]
    for path in ("", "/personal", "/data", "/edit", "/close", "/note"):
        assert desk.get(f"/members/{member}{path}").status_code == 404
    assert "No member found" in desk.get("/members?q=foreign").text
    assert trail(shared_site, f"/{member}").count("missing") == 6
    operator = shared_site.signed_in("operator")
    assert "Foreign" in operator.get("/members?q=foreign").text
    assert operator.get("/members?enterprise=999999").status_code == 404
    assert "Choose the enterprise" in operator.get("/members/new").text
    assert "New member" in operator.get(f"/members/new?enterprise={shared_site.other.enterprise}").text


def test_who_may_not_see_personal_data_does_not_and_changes_none(shared_site: Site, desk: Browser) -> None:
    path = enter(desk, "R1", "Restricted", phone="13500005555")

    enterprise = shared_site.house.enterprise
    shared_site.change(
        lambda connection: create_person(connection, enterprise, login="viewer", ready_made="viewer")
    )
    viewer = shared_site.signed_in("viewer")
    assert "Show in full" not in viewer.get(path).text
    for closed in ("/personal", "/data", "/edit", "/close", "/erase"):
        assert viewer.get(f"{path}{closed}").status_code == 403
    sent = viewer.get("/members/export/csv").text
    assert "135****5555" in sent
    assert "13500005555" not in sent


def test_the_list_goes_page_by_page(shared_site: Site, desk: Browser) -> None:
    def act(connection: Connection) -> None:
        for number in range(52):
            create_member(connection, enterprise=shared_site.house.enterprise, code=f"L{number}", name="Page")

    shared_site.change(act)
    first = desk.get("/members").text
    assert first.count('class="go"') == 50
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following is not None
    second = desk.get(following[1]).text
    assert not set(re.findall(r"/members/\d+", first)) & set(
        re.findall(r'class="go" href="(/members/\d+)', second)
    )
    assert desk.get("/members?before=x").status_code == 404
    assert desk.get("/members?status=odd").status_code == 404
    assert "Type at most" in desk.get(f"/members?q={'x' * 101}").text
