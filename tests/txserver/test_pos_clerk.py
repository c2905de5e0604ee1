"""The clerk's answers: numbers, a yes, a no."""

from pathlib import Path

import pytest
import trio

from tests.txserver.pos_desk import Counter, create_counter
from tests.txserver.terminal_peer import CARD, Peer
from txserver.pos_clerk import Clerk
from txserver.pos_desk import at_work


@pytest.fixture
async def counter(nursery: trio.Nursery, tmp_path: Path) -> Counter:
    return create_counter(Peer(nursery), tmp_path / "pos")


async def test_numbers_are_asked_until_they_are_numbers(counter: Counter) -> None:
    async with at_work(counter.desk()) as terminal:
        clerk = Clerk(counter.desk(), terminal)
        counter.answers.extend(["x", "-3", "0", "1.5", " 7 ", "", "１２", "", "-", "4"])
        assert await clerk.number("ask.amount") == 7
        assert await clerk.number("ask.quantity", "1") == 1
        # As an input method for Chinese types them.
        assert await clerk.number("ask.amount") == 12
        assert await clerk.number_or_all("ask.back") is None
        assert await clerk.number_or_all("ask.back") == 4
    assert counter.voice.getvalue().count("A whole number, please, and at least 1.") == 5


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [("y", True), ("YES", True), ("是", True), ("", False), ("n", False), ("yep", False)],
)
async def test_only_a_yes_is_a_yes(counter: Counter, answer: str, agreed: bool) -> None:
    async with at_work(counter.desk()) as terminal:
        counter.answers.append(answer)
        assert await Clerk(counter.desk(), terminal).agrees("ask.undo") is agreed
    assert ("Nothing was changed." in counter.voice.getvalue()) is not agreed


async def test_a_card_is_scanned_once(counter: Counter) -> None:
    async with at_work(counter.desk()) as terminal:
        clerk = Clerk(counter.desk(), terminal)
        counter.answers.append(CARD.lower())
        assert [await clerk.shown_card(), await clerk.shown_card()] == [CARD, CARD]
        with pytest.raises(EOFError):
            await clerk.scan()
