"""From an empty house to a purchase that everybody sees, through pages, files and the emulated POS alone."""

import csv
import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pytest
import trio
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Connection

from admin.jobs import steps_of
from ledger import businessday, jobs, organisations
from ledger.keyring import Keyring
from protocol.credentials import parse_enrolment_code
from tests.admin.people import PASSWORD, create_person
from tests.conftest import TestDatabase
from tests.desk import SHANGHAI
from tests.end_to_end.conftest import Site, log_in, needs_chromium, quiet_page
from tests.factories import PIN
from tests.txserver.programs import create_environment, running
from txserver.terminal import Outcome, Terminal, open_terminal
from txserver.terminal_enrolment import enrol
from txserver.terminal_store import PurchaseStore

pytestmark = needs_chromium

WASH = 120
"""Points of one car wash."""
CHIP = "04A1B2C3D4E5F6"
"""The UID of the chip that the card is written on."""


def send(page: Page, path: str, **typed: str) -> None:
    """Open a form, fill its fields by their names, and press its button."""
    page.goto(path)
    fill(page, **typed)
    page.locator("main form .btn-primary").click()


def fill(page: Page, **typed: str) -> None:
    for name, value in typed.items():
        field = page.locator(f"main [name={name}]")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)


def number_in(page: Page, pattern: str) -> int:
    """The number in the address of the page, once it is there."""
    page.wait_for_url(re.compile(pattern))
    found = re.search(pattern, page.url)
    assert found is not None
    return int(found[1])


def work(site: Site) -> None:
    """What `python -m admin jobs` does, until nothing waits."""
    steps = steps_of(Keyring.load(site.secrets), os.urandom)
    while jobs.run_step(site.database, steps, lambda: datetime.now(UTC)):
        pass


def begin(site: Site) -> None:
    """An operator with one person, and a business day that is open."""

    def make(connection: Connection) -> None:
        now = datetime.now(UTC)
        if businessday.business_date(connection) is None:
            businessday.advance(connection, businessday.date_at(now, SHANGHAI), now)
            operator = organisations.create_tenant(connection, kind="operator", code="OP", name="Operator")
            create_person(connection, operator, login="boss", name="Mei Chen")

    site.change(make)


def invited(operator: Page, tenant: int, login: str) -> str:
    """The link that makes somebody the administrator of a tenant."""
    operator.goto(f"/staff/invite?tenant={tenant}")
    operator.locator("[name=role]").select_option(index=1)  # the first ready-made one
    fill(operator, name="Lin Wei", login=login)
    operator.locator("main form .btn-primary").click()
    return operator.locator("#link").input_value()


def accept(page: Page, link: str, login: str) -> None:
    """Open the link, choose a password, and log in with it."""
    page.goto(link)
    for name in ("password", "again"):
        page.locator(f"[name={name}]").fill(PASSWORD)
    page.locator("form .btn-primary").click()
    page.wait_for_url(re.compile(r"/(login|own|$)"))
    if page.locator(".you").count() == 0:
        log_in(page, login)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Tapped:
    """A card at a terminal: what its chip says, and the one-time code that came with it."""

    payload: str
    code: str


def spend(
    site: Site, url: str, folder: Path, code: str, card: Tapped, service: str
) -> tuple[int | None, ...]:
    """A device enrols; its PIN chosen, the card buys a wash, twice with one txid: its balances around it."""
    chip = bytes.fromhex(CHIP)

    async def play() -> tuple[int | None, ...]:
        async with running(create_environment(url, site.secrets), "serve") as program:
            await program.said("listening")
            connect = partial(trio.open_tcp_stream, "127.0.0.1", program.port)
            identity = await enrol(
                parse_enrolment_code(code), connect, folder=folder, random=os.urandom, now_ms=now_ms
            )
            store = PurchaseStore(folder)
            async with open_terminal(
                Terminal(identity, store, connect=connect, random=os.urandom, now_ms=now_ms)
            ) as terminal:
                assert await terminal.ready()
                chosen = await terminal.change_pin(card.payload, PIN, reset_code=card.code, chip=chip)
                assert chosen.code == 0
                before = (await terminal.balance(card.payload, pin=PIN, chip=chip)).balance
                first = await terminal.redeem(card.payload, service, pin=PIN, quantity=1, chip=chip)
                assert first.outcome is Outcome.APPROVED, first
                again = await terminal.redeem(
                    card.payload, service, pin=PIN, quantity=1, chip=chip, txid=first.txid
                )
                assert again.outcome is Outcome.APPROVED
                after = (await terminal.balance(card.payload, pin=PIN, chip=chip)).balance
            store.close()
            program.process.terminate()
            assert await program.ended() == 0
            return before, after

    async def in_time() -> tuple[int | None, ...]:
        with trio.fail_after(60):
            return await play()

    return trio.run(in_time)


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_points_that_an_enterprise_grants_are_spent_at_a_merchant_whom_the_operator_set_up(
    running_site: Site, module_database_urls: TestDatabase, chromium: Browser, tmp_path: Path, locale: str
) -> None:
    site, tag = running_site, locale[:2]
    begin(site)
    with quiet_page(chromium, site.address, locale=locale) as operator:
        log_in(operator, "boss")
        code, (to_enterprise, to_merchant) = set_up(operator, site, tag)
    with quiet_page(chromium, site.address, locale=locale) as people:
        accept(people, to_enterprise, f"en-{tag}")
        import_members(people, site, tag)
        send(people, "/points/grant", codes=f"M-{tag}", points="1000", reason="Insured for a year")
        with people.expect_navigation():
            people.locator("main form .btn-primary").click()
        tapped = issue_card(people, site, tag)
    balances = spend(site, module_database_urls.server, tmp_path, code, tapped, f"wash-{tag}")
    assert balances == (1_000, 1_000 - WASH)
    # The merchant sees it, and nobody's name.
    with quiet_page(chromium, site.address, locale=locale) as counter:
        accept(counter, to_merchant, f"bo-{tag}")
        counter.goto("/transactions")
        rows = counter.locator("#rows tr")
        expect(rows).to_have_count(2)  # the PIN, and the purchase
        expect(rows.first).to_contain_text("洗车" if tag == "zh" else "Car wash")
        expect(rows.first).to_contain_text(str(WASH))
        assert "王小明" not in counter.content()


def set_up(operator: Page, site: Site, tag: str) -> tuple[str, list[str]]:
    """An enterprise, a merchant with a store, a service with its price, a terminal: its enrolment code, and
    the links that invite the first people of the two."""
    send(operator, "/organisations/enterprises/new", name=f"Harbour 港湾 {tag}", code=f"HB-{tag}")
    enterprise = number_in(operator, r"/organisations/(\d+)")
    send(
        operator, "/merchants/new",
        code=f"BC-{tag}", name=f"Bright 亮洁 {tag}", store_code="N1", store_name="North Gate 北门店",
    )  # fmt: skip
    merchant = number_in(operator, r"/merchants/(\d+)")
    send(operator, "/services/new", code=f"wash-{tag}", name="Car wash", name_zh="洗车", unit="time")
    service = number_in(operator, r"/services/(\d+)")
    send(
        operator, f"/merchants/{merchant}/prices/{service}/new",
        since=date_of(site).isoformat(), points=str(WASH), settlement="20.00",
    )  # fmt: skip
    operator.wait_for_url(re.compile(rf"/merchants/{merchant}/prices/{service}$"))
    operator.goto("/terminals/new")
    store = operator.locator("[name=store] option", has_text=f"Bright 亮洁 {tag}").first
    send(operator, "/terminals/new", store=store.get_attribute("value") or "", name=f"Till {tag}")
    code = operator.locator("textarea").input_value()
    people = ((enterprise, "en"), (merchant, "bo"))
    return code, [invited(operator, tenant, f"{who}-{tag}") for tenant, who in people]


def import_members(people: Page, site: Site, tag: str) -> None:
    """From the template, in the encoding of a Chinese Excel: a good line, and one without a phone number."""
    people.goto("/members/import")
    with people.expect_download() as template:
        people.locator("a[href*='/members/import/template/csv']").click()
    head, *_examples = csv.reader(Path(template.value.path()).read_text("utf-8-sig").splitlines())
    lines = [head, [f"M-{tag}", "王小明", "13812345678"], [f"N-{tag}", "Anna", "no phone"]]
    content = "\r\n".join(",".join(line + [""] * (len(head) - len(line))) for line in lines)
    people.locator("[name=file]").set_input_files(
        {"name": "members.csv", "mimeType": "text/csv", "buffer": content.encode("gb18030")}
    )
    people.locator("main form .btn-primary").click()
    people.wait_for_url(re.compile(r"/members/import/\d+"))
    work(site)
    people.reload()
    with people.expect_navigation():
        people.locator("main form .btn-primary").click()  # the good line
    people.goto("/members")  # away from the page that follows the work, and renews itself
    work(site)
    people.goto(f"/members?q=M-{tag}")
    expect(people.locator("main")).to_contain_text("王小明")


def issue_card(people: Page, site: Site, tag: str) -> Tapped:
    """A card for the member, what its chip says, and the code that sets its PIN."""
    member = site.change(lambda connection: connection.exec_driver_sql(
        "SELECT id FROM member WHERE code = %s", (f"M-{tag}",)).scalar_one())  # fmt: skip
    send(people, f"/cards/new/{member}", status="active")
    card = number_in(people, r"/cards/(\d{16})")
    send(people, f"/cards/{card}/code")
    pin_code = "".join(people.locator(".big-code span").all_inner_texts())
    people.goto(f"/cards/{card}/chip")
    fill(people, chips=CHIP)
    with people.expect_download() as chip:
        people.locator("main form .btn-primary").click()
    written = Path(chip.value.path()).read_text("utf-8-sig")
    payload = next(cell for row in csv.reader(written.splitlines()) for cell in row if cell[:2] == "P1")
    return Tapped(payload, pin_code)


def date_of(site: Site) -> date:
    found = site.change(businessday.business_date)
    assert found is not None
    return found
