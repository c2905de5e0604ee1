"""Members from files, as a person in a browser sees it."""

import io
import os
import zipfile

import openpyxl
import pytest
from sqlalchemy import Connection, text
from werkzeug.test import TestResponse

from admin.imports import ROOM_FOR_THE_FORM
from admin.jobs import steps_of
from ledger import import_reading, jobs, rights
from ledger.import_reading import FIELDS, LARGEST, head_of
from ledger.keyring import Keyring
from tests.admin.browsing import Browser, words
from tests.admin.conftest import Site
from tests.admin.people import create_person
from tests.factories import NOW

PAGE = "/members/import"


@pytest.fixture(scope="module")
def desk(shared_site: Site) -> Browser:
    return shared_site.signed_in("enterprise")


def send(browser: Browser, content: bytes, name: str = "members.csv", **typed: str) -> TestResponse:
    """The form with a file, as a browser packs it; `typed` instead of what a fresh form has."""
    form = typed or browser.hidden(PAGE)
    fields = form | {"csrf_token": browser.token(), "unit": "0", "encoding": ""}
    parts = [f'name="{key}"\r\n\r\n{value}'.encode() for key, value in fields.items()]
    parts.append(f'name="file"; filename="{name}"\r\n\r\n'.encode() + content)
    body = (
        b"".join(b"--x\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--x--\r\n"
    )
    kind = "multipart/form-data; boundary=x"
    return browser.client.post(PAGE, data=body, headers=browser.headers, content_type=kind, buffered=True)


def work(site: Site) -> None:
    keyring = Keyring.load(site.app.extensions["settings"].secrets)
    steps = steps_of(keyring, os.urandom)
    while jobs.run_step(site.database, steps, lambda: NOW):
        pass


def test_a_file_goes_from_template_to_members(shared_site: Site, desk: Browser) -> None:
    template = desk.client.get(f"{PAGE}/template/xlsx", headers=desk.headers, buffered=True)
    book = openpyxl.load_workbook(io.BytesIO(template.data))
    sheet = book.active
    assert sheet is not None
    assert [cell.value for cell in sheet[1]][:2] == ["Member code", "Full name"]
    chinese = shared_site.signed_in("enterprise", language="zh").get(f"{PAGE}/template/csv").text
    assert head_of(chinese.splitlines()[0].split(",")) == list(FIELDS)
    sheet.append(["C-1001", "Twice", None, None, None, None])
    sheet.append([7, "=SUM(A1)", 13812340000, None, None, None])
    sent = io.BytesIO()
    book.save(sent)
    path = send(desk, sent.getvalue(), "会员 2026.xlsx").location
    waiting = desk.get(path).text
    assert "The file is being checked" in waiting
    assert "progress.js" in waiting
    assert desk.get(f"{path}/state").json == {"state": "checking", "done": 0, "total": None}
    work(shared_site)
    page = words(desk.get(path).text)
    assert "Good lines 2 Lines with faults 2" in page
    assert "4 C-1001 Twice Member code: An earlier line of the file has the same." in page
    assert "5 7 – Full name: This is missing." in page  # a formula that nothing has computed has no value
    bad = desk.get(f"{path}/bad/csv").text
    assert "An earlier line of the file has the same." in bad
    assert desk.get("/members?q=Anna").text.count('class="go"') == 0, (
        "nothing is entered before it is asked for"
    )
    assert desk.post(f"{path}/enter", {}).status_code == 303
    assert "was asked for before" in desk.client.get(desk.post(f"{path}/enter", {}).location).text
    work(shared_site)
    assert "The members are entered" in desk.get(path).text
    assert desk.get("/members?q=Meier").text.count('class="go"') == 1
    assert "+41******567" in desk.get("/members?q=%2B41791234567").text
    desk.post(f"{path}/discard", {})
    assert "Lines with faults are" not in desk.get(path).text
    whats = shared_site.ask("SELECT what FROM trail_line WHERE subject_kind = 'import' ORDER BY number")
    assert [row[0] for row in whats] == [
        "import.upload", "import.download", "import.enter", "import.entered", "import.discard",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no lines of members"),
        (b"\x89PNG\r\n\x1a\n\x81\xff\xff", "not text in the encoding"),
        (b"PK\x03\x04 nothing", "cannot be read"),
        (b"\xd0\xcf\x11\xe0 an old spreadsheet", "Save it as XLSX"),
    ],
)
def test_what_is_no_list_is_refused_beside_the_field(desk: Browser, content: bytes, said: str) -> None:
    answer = send(desk, content)
    assert answer.status_code == 200
    assert said in answer.text


def test_a_bomb_is_not_unpacked(desk: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_reading, "UNPACKED_MOST", 1 << 20)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "")
        with archive.open("xl/worksheets/sheet1.xml", "w") as part:
            for _ in range(2):
                part.write(bytes(1 << 20))
    assert len(packed.getvalue()) < LARGEST
    assert "unpacks to far more" in send(desk, packed.getvalue(), "bomb.xlsx").text


def test_too_large_a_file_gets_a_page(desk: Browser) -> None:
    answer = send(desk, bytes(LARGEST + ROOM_FOR_THE_FORM + 1))
    assert answer.status_code == 413
    assert "too large" in answer.text
    assert "larger than 20 MB" in send(desk, b"a" * (LARGEST + 1)).text
    long = desk.client.post("/members/new", data={"name": "x" * 70_000}, headers=desk.headers)
    assert long.status_code == 413, "elsewhere forms stay short"


def test_a_file_is_sent_once_and_unreadable_ones_say_why(shared_site: Site, desk: Browser) -> None:
    form, content = desk.hidden(PAGE), "会员编号,姓名,颜色\n1,王,红\n".encode("gb18030")
    places = [send(desk, content, **form).location for _ in range(2)]
    assert places[1].startswith(f"{PAGE}?"), "a second click"
    work(shared_site)
    page = words(desk.get(places[0]).text)
    assert "names a column that members do not have: 颜色" in page
    assert "CSV, GB18030, comma" in page


def test_files_of_others_are_not_there(shared_site: Site, desk: Browser) -> None:
    path = send(desk, b"code,name\nX,Y\n").location
    shared_site.change(
        lambda connection: create_person(connection, shared_site.other.enterprise, login="other")
    )
    other = shared_site.signed_in("other")
    for address in (path, f"{path}/state", f"{path}/bad/csv"):
        assert other.get(address).status_code == 404
    for step in ("enter", "discard", "resume"):
        assert other.post(f"{path}/{step}", {}).status_code == 404

    def blind(connection: Connection) -> None:
        person = create_person(
            connection, shared_site.house.enterprise, login="blind", ready_made="viewer", reach="unit"
        )
        role = connection.execute(
            text(
                "INSERT INTO role (tenant_id, name, permissions)"
                " VALUES (:tenant, 'Loader', ARRAY['members.import']) RETURNING id"
            ),
            {"tenant": shared_site.house.enterprise},
        )
        rights.assign(connection, person, reach="tenant", role=role.scalar_one())

    shared_site.change(blind)
    loader = shared_site.signed_in("blind")  # sees the enterprise's files, but nobody's phone
    assert loader.get(path).status_code == 200
    assert loader.get(f"{path}/bad/csv").status_code == 403
    assert loader.get(f"{send(loader, b'code,name').location}/bad/csv").status_code == 200
    operator = shared_site.signed_in("operator", language="zh")
    assert operator.get(path).status_code == 200
    assert operator.get(f"{PAGE}?enterprise={shared_site.other.enterprise}").status_code == 200
