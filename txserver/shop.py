"""`pos shop`: many terminals and many customers, a live table, and a day that ends in balance."""

import argparse
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import trio
from rich.live import Live

from txserver.pos_answers import STOPPED, as_json, put_line
from txserver.pos_desk import Desk, Fault
from txserver.receipt import panel
from txserver.shop_day import SeatDay, ShopDay, exit_code, shop_facts, shop_receipt
from txserver.shop_file import PlayerCard, ShopWorld, read_world, seat_folder
from txserver.shop_player import Player
from txserver.shop_table import board_view
from txserver.shop_tally import Board, Seat, board_of, merged

__all__ = ["Shop", "keep_shop"]

LOOK_S = 0.25
"""Between two looks at the board: as fast as people read."""


async def keep_shop(args: argparse.Namespace, desk: Desk) -> int:
    """Play a shop for `args.seconds`; the exit code. Fault, WorldError."""
    if args.terminals < 1 or args.seconds < 1:
        raise Fault(desk.texts("fault.shop_numbers"))
    world = read_world(args.world)
    seed = int.from_bytes(desk.random(4), "big") if args.seed is None else args.seed
    shop = Shop(desk, world, terminals=args.terminals, seconds=args.seconds, seed=seed)
    shop.require_codes(args.world)
    async with trio.open_nursery() as nursery:
        await nursery.start(_obey_signals, shop, desk)
        await shop.play()
        nursery.cancel_scope.cancel()
    day = shop.day()
    if as_json(args):
        put_line(desk, shop_facts(day))
    else:
        desk.paper.print(panel(shop_receipt(day, desk.texts)))
    return STOPPED if shop.abandoned else exit_code(day)


async def _obey_signals(
    shop: "Shop", desk: Desk, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """The first Ctrl-C (or SIGTERM) closes the shop, the second leaves it."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            if shop.stop.is_set():
                shop.abandon()
            else:
                desk.say(desk.texts("shop.stopping"))
                shop.stop.set()


class Shop:
    """Terminals in folders beside the desk's, and the customers who come to them.

    Cards are dealt out like playing cards; only when there are fewer cards than terminals do some share one.
    """

    def __init__(self, desk: Desk, world: ShopWorld, *, terminals: int, seconds: float, seed: int) -> None:
        self.stop = trio.Event()
        self.abandoned = False
        self._desk = desk
        self._world = world
        self._seconds = seconds
        self._seed = seed
        self._scope = trio.CancelScope()
        self._began: float | None = None
        self._ended: float | None = None
        self._players = [self._player(place, terminals) for place in range(terminals)]

    def _player(self, place: int, terminals: int) -> Player:
        folder = seat_folder(self._desk.device, place + 1)
        cards: Sequence[PlayerCard] = self._world.cards[place::terminals]
        alone = bool(cards) and len(self._world.cards) >= terminals
        if not cards:
            cards = [self._world.cards[place % len(self._world.cards)]]
        # Customers, not keys: the same seed makes the same ones come.
        chance = Random(f"{self._seed}/{place}").random  # noqa: S311
        return Player(Seat(place + 1), replace(self._desk, device=folder), cards, alone=alone, chance=chance)

    def require_codes(self, path: Path) -> None:
        """Fault when there are not as many codes as terminals."""
        codes = len(self._world.codes)
        if codes < len(self._players):
            raise Fault(
                self._desk.texts("fault.shop_codes", path=path, codes=codes, terminals=len(self._players))
            )

    def abandon(self) -> None:
        """Leave at once. What is under way is stored, as when a program ends."""
        self.abandoned = True
        self._scope.cancel()

    async def play(self) -> None:
        """Enrol who is no terminal yet, open, wait until every day has ended. `day` tells what came of it."""
        with self._live() as live, self._scope:
            async with trio.open_nursery() as watching:
                watching.start_soon(self._watch, live)
                await self._enrol()
                self._began = trio.current_time()
                async with trio.open_nursery() as working:
                    working.start_soon(self._time)
                    async with trio.open_nursery() as players:
                        for player in self._players:
                            if player.trouble is None:
                                players.start_soon(player.work, self._began + self._seconds, self.stop)
                    working.cancel_scope.cancel()
                watching.cancel_scope.cancel()

    async def _enrol(self) -> None:
        """One after another. Who has not when the shop is stopped does not take part."""
        for place, player in enumerate(self._players):
            if self.stop.is_set():
                del self._players[place:]
                return
            await player.enrol(self._world.codes[place])

    async def _time(self) -> None:
        """Note when the customers stopped coming: what follows is not counted into the rate."""
        assert self._began is not None
        with trio.move_on_at(self._began + self._seconds):
            await self.stop.wait()
        self._ended = trio.current_time()

    def board(self) -> Board:
        """The board of the present moment."""
        for player in self._players:
            player.look()
        now = self._ended or trio.current_time()
        elapsed_s = 0.0 if self._began is None else now - self._began
        return board_of(
            [player.seat for player in self._players], elapsed_s=elapsed_s, planned_s=self._seconds
        )

    def day(self) -> ShopDay:
        """What came of it."""
        seats = tuple(
            SeatDay(
                number=player.seat.number,
                terminal=player.seat.terminal,
                days=tuple(player.days),
                unsettled=player.seat.unsettled,
                trouble=player.trouble,
            )
            for player in self._players
        )
        return ShopDay(self.board(), merged(player.seat for player in self._players), seats, self._seed)

    @contextmanager
    def _live(self) -> Iterator[Live | None]:
        """The table in the window; None when nobody looks. It stays there when the shop has closed."""
        if not self._desk.voice.is_terminal:
            yield None
            return
        with Live(console=self._desk.voice, auto_refresh=False) as live:
            yield live
            live.update(board_view(self.board(), self._desk.texts), refresh=True)

    async def _watch(self, live: Live | None) -> None:
        if live is None:
            return
        while True:
            live.update(board_view(self.board(), self._desk.texts), refresh=True)
            await trio.sleep(LOOK_S)
