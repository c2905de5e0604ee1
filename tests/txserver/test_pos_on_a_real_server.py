"""The emulated POS against the real server and a real PostgreSQL, from the enrolment code to the history."""

import sqlite3
from pathlib import Path

import trio
from msgspec.structs import replace

from tests.conftest import TestDatabase
from tests.factories import PIN
from tests.txserver.pos_desk import Counter
from tests.txserver.pos_house import new_code, open_counter
from tests.txserver.server_house import payload
from txserver.terminal_operations import State
from txserver.terminal_store import PurchaseStore


async def test_a_debit_its_repeat_its_status_and_its_reversal(
    database_urls: TestDatabase, tmp_path: Path
) -> None:
    async with open_counter(database_urls, tmp_path) as (house, counter):
        holder = house.books.holder()
        card = ("--card", payload(holder))
        redeem = ("redeem", *card, "--service", "wash", "--pin", PIN)
        code, sold = await counter.json(*redeem)
        assert (code, sold["outcome"], sold["points"], sold["balance"]) == (0, "approved", 120, 880)
        code, again = await counter.json(*redeem, "--txid", sold["txid"])
        assert (code, again["recorded"], again["approval"]) == (0, True, sold["approval"])
        assert house.books.posted(holder) == 880
        code, status = await counter.json("status", sold["txid"])
        assert (code, status["original_code"], status["approval"]) == (0, 0, sold["approval"])
        code, undone = await counter.json("reverse", "last")
        assert (code, undone["outcome"], undone["balance"]) == (0, "reversed", 1_000)
        assert house.books.posted(holder) == 1_000
        _, history = await counter.json("history", *card, "--pin", PIN)
        assert [item["kind"] for item in history["items"]][:2] == ["reversal", "redeem"]


async def test_refusals_are_coded_and_cost_nothing(database_urls: TestDatabase, tmp_path: Path) -> None:
    async with open_counter(database_urls, tmp_path) as (house, counter):
        holder = house.books.holder(points=100)
        card = ("--card", payload(holder))
        tries = {
            1016: (*card, "--service", "wash", "--pin", PIN),
            1012: (*card, "--service", "wash"),
            1017: (*card, "--service", "wash", "--pin", "000000"),
            1030: (*card, "--service", "haircut", "--pin", PIN),
            1010: (*card, "--service", "wash", "--pin", PIN, "--quantity", "-3"),
            1011: ("--card", "P1" + "A" * 104, "--service", "wash", "--pin", PIN),
        }
        for expected, arguments in tries.items():
            code, facts = await counter.json("redeem", *arguments)
            assert (code, facts["code"], facts["unsettled"]) == (1, expected, 0)
        assert house.books.posted(holder) == 100


async def test_balance_catalogue_and_the_screen(database_urls: TestDatabase, tmp_path: Path) -> None:
    async with open_counter(database_urls, tmp_path) as (house, counter):
        holder = house.books.holder()
        card = payload(holder)
        assert (await counter.json("balance", "--card", card))[1]["balance"] == 1_000
        services = (await counter.json("catalogue"))[1]["services"]
        assert {service["code"] for service in services} == {"wash", "cinema"}
        typed = ("2", card, "cinema", "250", PIN, "3", "4", PIN, "6", "1", "", "y", "8")
        assert await counter.screen(*typed) == 0
        for word in ("APPROVED", "BALANCE", "HISTORY", "REVERSED"):
            assert word in counter.paper.getvalue()
        assert house.books.posted(holder) == 1_000


async def test_a_job_from_its_hold_to_its_refund(database_urls: TestDatabase, tmp_path: Path) -> None:
    async with open_counter(database_urls, tmp_path) as (house, counter):
        holder = house.books.holder()
        card = ("--card", payload(holder))
        code, held = await counter.json("hold", *card, "--service", "wash", "--quantity", "3", "--pin", PIN)
        assert (code, held["kind"], held["points"], held["balance"]) == (0, "hold", 360, 640)
        assert held["expires_at"] > 0
        assert (await counter.json("balance", *card))[1]["held"] == 360
        code, taken = await counter.json("capture", "last", "240", "--reference", "J-7")
        assert (code, taken["points"], taken["released"], taken["balance"]) == (0, 240, 120, 760)
        assert (taken["about"], taken["service"]) == (held["txid"], "wash")
        code, back = await counter.json("refund", "last", *card, "--amount", "40")
        assert (code, back["points"], back["remaining"], back["balance"]) == (0, 40, 200, 800)
        assert back["about"] == taken["txid"]
        code, rest = await counter.json("refund", taken["txid"], *card)
        assert (code, rest["points"], rest["remaining"]) == (0, 200, 0)
        code, more = await counter.json("refund", taken["txid"], *card, "--amount", "1")
        assert (code, more["code"]) == (1, 3019)
        # What was refunded is not taken back as well.
        code, undone = await counter.json("reverse", taken["txid"])
        assert (code, undone["outcome"], undone["reversal"]) == (2, "disputed", "refunded")
        assert house.books.posted(holder) == 1_000
        code, day = await counter.json("day-end")
        assert (code, day["outcome"], day["earlier"]) == (0, "balanced", [])
        assert {total["kind"]: total["points"] for total in day["server"]} == {
            "hold": 360, "capture": 240, "refund": 240,
        }  # fmt: skip


async def test_a_hold_that_is_released_or_taken_back(database_urls: TestDatabase, tmp_path: Path) -> None:
    async with open_counter(database_urls, tmp_path) as (house, counter):
        holder = house.books.holder()
        hold = ("hold", "--card", payload(holder), "--service", "wash", "--pin", PIN)
        _, held = await counter.json(*hold, "--minutes", "90")
        code, released = await counter.json("release", held["txid"])
        assert (code, released["points"], released["balance"]) == (0, 120, 1_000)
        code, again = await counter.json("capture", held["txid"], "120")
        assert (code, again["code"]) == (1, 3013)
        assert await counter.command("release", "last") == 1
        await counter.json(*hold)
        code, undone = await counter.json("reverse", "last")
        assert (code, undone["kind"], undone["outcome"], undone["balance"]) == (0, "hold", "reversed", 1_000)
        assert (await counter.json("balance", "--card", payload(holder)))[1]["held"] == 0


async def test_a_purchase_of_another_terminal_is_refunded(
    database_urls: TestDatabase, tmp_path: Path
) -> None:
    async with open_counter(database_urls, tmp_path / "one") as (house, seller):
        other = Counter(tmp_path / "two", trio.open_tcp_stream, starts=500)
        await other.command("enrol", new_code(house.books, house.server.port))
        holder = house.books.holder()
        card = ("--card", payload(holder))
        _, sold = await seller.json("redeem", *card, "--service", "wash", "--pin", PIN)
        code, facts = await other.json("refund", sold["txid"], *card)
        assert (code, facts["code"]) == (1, 3016)
        refund = ("refund", sold["txid"], *card, "--terminal", str(sold["terminal"]))
        code, facts = await other.json(*refund)
        assert (code, facts["points"], facts["balance"]) == (0, 120, 1_000)


async def test_a_pin_is_changed(database_urls: TestDatabase, tmp_path: Path) -> None:
    async with open_counter(database_urls, tmp_path) as (house, counter):
        holder = house.books.holder()
        card = ("--card", payload(holder))
        counter.new_pin = "111111"
        code, facts = await counter.json("pin", *card, "--pin", PIN)
        assert (code, facts["code"]) == (1, 3021)
        counter.new_pin = "835206"
        assert (await counter.json("pin", *card, "--pin", PIN))[0] == 0
        redeem = ("redeem", *card, "--service", "wash")
        assert (await counter.json(*redeem, "--pin", PIN))[1]["code"] == 1017
        assert (await counter.json(*redeem, "--pin", "835206"))[0] == 0


async def test_a_day_that_does_not_balance_names_what_differs(
    database_urls: TestDatabase, tmp_path: Path
) -> None:
    """Two purchases, and a terminal whose record of one of them was lost."""
    async with open_counter(database_urls, tmp_path) as (house, counter):
        holder = house.books.holder()
        redeem = ("redeem", "--card", payload(holder), "--service", "wash", "--pin", PIN)
        await counter.json(*redeem)
        _, lost = await counter.json(*redeem)
        with sqlite3.connect(tmp_path / "purchases.sqlite3") as connection:
            connection.execute(
                "DELETE FROM purchase WHERE txid = ?", (bytes.fromhex(lost["txid"].replace("-", "")),)
            )
        connection.close()
        counter.language = "zh"
        assert await counter.command("day-end") == 1
        paper = counter.paper.getvalue()
        for word in ("日结：账目不符", lost["txid"], "本机没有记录"):
            assert word in paper
        assert (await counter.json("day-end"))[1]["outcome"] == "balanced"


async def test_holds_and_the_day_on_the_screen(database_urls: TestDatabase, tmp_path: Path) -> None:
    async with open_counter(database_urls, tmp_path) as (house, counter):
        holder = house.books.holder()
        hold = ("5", "1", payload(holder), "wash", "2", "", PIN)
        assert await counter.screen(*hold, "5", "2", "1", "120", "y", "7", "5", "y", "8") == 0
        for word in ("POINTS HELD", "Held until", "POINTS TAKEN", "Released", "DAY'S END: BALANCED"):
            assert word in counter.paper.getvalue()
        assert "1 open hold, ends in 23 h" in counter.voice.getvalue() or "24 h" in counter.voice.getvalue()
        assert house.books.posted(holder) == 880


async def test_a_purchase_left_unknown_is_settled_at_the_next_start(
    database_urls: TestDatabase, tmp_path: Path
) -> None:
    """Killed after the server booked it: the answer was on its way, and nothing reached the disk."""
    async with open_counter(database_urls, tmp_path) as (house, counter):
        holder = house.books.holder()
        redeem = ("redeem", "--card", payload(holder), "--service", "wash", "--pin", PIN)
        await counter.json(*redeem)
        forget_the_answer(tmp_path)
        code, second = await counter.json(*redeem)
        assert (code, second["balance"], second["unsettled"]) == (0, 760, 0)
        assert "APPROVED" in counter.voice.getvalue()


def forget_the_answer(folder: Path) -> None:
    """Put the store back to where it was before the reply."""
    store = PurchaseStore(folder)
    (purchase,) = store.recent(9)
    store.write(replace(purchase, state=State.OPEN, answer=None), store.last_stan())
    store.close()
