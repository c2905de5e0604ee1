"""A shop played against the real server and PostgreSQL: it settles, it balances, and the books agree."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import trio

from tests.conftest import TestDatabase
from tests.factories import PIN
from tests.txserver.pos_desk import Counter
from tests.txserver.pos_house import new_code
from tests.txserver.programs import ROOT
from tests.txserver.server_house import PATIENCE_S, OpenHouse, open_house, payload
from txserver.shop_file import PlayerCard, ShopWorld, seat_folder

TERMINALS = 3
BOOKED = """
SELECT kind, count(*)::int8, sum(points)::int8 FROM transaction
WHERE code = 0 AND points > 0 AND kind <> 'grant' GROUP BY kind ORDER BY kind
"""


def create_world(house: OpenHouse, folder: Path) -> Path:
    """The file of a shop at the house's store."""
    holders = [house.books.holder(points=50_000) for _ in range(2 * TERMINALS)]
    world = ShopWorld(
        codes=[new_code(house.books, house.server.port) for _ in range(TERMINALS)],
        cards=[PlayerCard(card=payload(holder), pin=PIN) for holder in holders],
    )
    path = folder / "shop.json"
    path.write_bytes(msgspec.json.encode(world))
    return path


def command(path: Path, seconds: int) -> tuple[str, ...]:
    numbers = ("--terminals", str(TERMINALS), "--seconds", str(seconds), "--seed", "7")
    return ("shop", "--world", str(path), *numbers)


def told(facts: dict[str, Any]) -> list[tuple[str, int, int]]:
    """(kind, count, points) of all terminals' days, as the terminals have them."""
    totals: dict[str, list[int]] = {}
    for seat in facts["terminals"]:
        for day in seat["days"]:
            for total in day["own"]:
                both = totals.setdefault(total["kind"], [0, 0])
                both[0] += total["count"]
                both[1] += total["points"]
    return [(kind, count, points) for kind, (count, points) in sorted(totals.items())]


async def test_a_shop_settles_and_balances(database_urls: TestDatabase, tmp_path: Path) -> None:
    async with open_house(database_urls) as house:
        counter = Counter(tmp_path / "pos", trio.open_tcp_stream)
        code, facts = await counter.json(*command(create_world(house, tmp_path), 3))
        assert (code, facts["outcome"], facts["unsettled"]) == (0, "balanced", 0)
        assert facts["steps"] > 2 * TERMINALS
        assert told(facts) == house.books.ask(BOOKED)
        ((held,),) = house.books.ask("SELECT sum(held)::int8 FROM account")
        assert held == 0


async def test_ctrl_c_settles_and_sums_up(database_urls: TestDatabase, tmp_path: Path) -> None:
    """As a program of its own: the signal reaches a process."""
    async with open_house(database_urls) as house:
        path = create_world(house, tmp_path)
        device = tmp_path / "pos"
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "txserver", "pos", "--device", str(device), *command(path, 600), "--json"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        with trio.fail_after(6 * PATIENCE_S):
            while (house.books.ask(BOOKED) == []) or not seat_folder(device, TERMINALS).exists():
                await trio.lowlevel.checkpoint()
            process.send_signal(signal.SIGINT)
            output = b"".join([data async for data in process.stdout])
            assert await process.wait() == 0
        facts = json.loads(output)
        assert (facts["outcome"], facts["unsettled"]) == ("balanced", 0)
        assert facts["seconds"] < 600
        assert told(facts) == house.books.ask(BOOKED)
