"""The reference terminal against the real server: day's end in pages, a key that changes, a revocation."""

import os
from pathlib import Path

import trio

from ledger import terminals
from ledger.database import Scope
from protocol.limits import MAX_UPLOAD
from protocol.noise import KeyPair
from tests.conftest import TestDatabase
from tests.factories import PIN, create_active_terminal, create_keyring
from tests.txserver.server_house import PATIENCE_S, OpenHouse, open_house, payload
from txserver.context import millis
from txserver.terminal import Outcome, Terminal, open_terminal
from txserver.terminal_identity import ServerKey, TerminalIdentity
from txserver.terminal_store import PurchaseStore


def create_identity(house: OpenHouse, folder: Path) -> TerminalIdentity:
    """A new terminal of the house's store, saved in a folder."""
    key = KeyPair.from_private(os.urandom(32))
    with house.books.database.transaction(Scope.everything()) as connection:
        number = create_active_terminal(connection, house.books.house.store, public_key=key.public)
    server = KeyPair.from_private(create_keyring().server_keys[1])
    identity = TerminalIdentity(
        key=key, server_keys=(ServerKey(1, server.public),), host="127.0.0.1", port=house.server.port,
        terminal=number, merchant="", store="",
    )  # fmt: skip
    identity.save(folder)
    return identity


def create_terminal(house: OpenHouse, folder: Path) -> Terminal:
    return Terminal(
        TerminalIdentity.load(folder),
        PurchaseStore(None),
        connect=house.connect,
        random=os.urandom,
        now_ms=lambda: millis(house.edge.now()),
        keep_identity=lambda identity: identity.save(folder),
    )


async def test_a_day_that_differs_is_compared_in_pages(database_urls: TestDatabase, tmp_path: Path) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder(points=120 * (MAX_UPLOAD + 20))
        create_identity(house, tmp_path)
        terminal = create_terminal(house, tmp_path)
        async with open_terminal(terminal):
            card = payload(holder)
            txids = []
            for _ in range(MAX_UPLOAD + 5):
                sold = await terminal.redeem(card, "wash", pin=PIN, quantity=1)
                assert sold.outcome is Outcome.APPROVED
                assert sold.txid is not None
                txids.append(sold.txid)
            await terminal.reverse(txids[0])
            held = await terminal.hold(card, "wash", pin=PIN, quantity=2)
            assert held.txid is not None
            await terminal.capture(held.txid, 120)
            await terminal.refund(txids[1], card, amount=20)
            # A record of this device that was lost: only the server has it.
            terminal._store._connection.execute("DELETE FROM purchase WHERE txid = ?", (txids[7],))
            day = await terminal.reconcile()
            assert (day.batch, day.code, day.balanced) == (1, 1401, False)
            assert [(one.id, one.outcome) for one in day.results] == [(txids[7], "unknown_there")]
            counts = {total.kind: total.count for total in day.server}
            assert counts == {"redeem": MAX_UPLOAD + 5, "hold": 1, "capture": 1, "refund": 1, "reversal": 1}
            assert (await terminal.reconcile()).balanced
            assert terminal.batch == 3


async def test_a_device_with_a_lost_store_learns_its_batch(
    database_urls: TestDatabase, tmp_path: Path
) -> None:
    async with open_house(database_urls) as house:
        create_identity(house, tmp_path)
        async with open_terminal(create_terminal(house, tmp_path)) as terminal:
            await terminal.reconcile()
            await terminal.reconcile()
        async with open_terminal(create_terminal(house, tmp_path)) as again:
            await again.ready()
            assert again.batch == 3
            assert again.business_date is not None


async def test_a_key_is_changed_when_the_operator_asks(database_urls: TestDatabase, tmp_path: Path) -> None:
    async with open_house(database_urls) as house:
        identity = create_identity(house, tmp_path)
        async with open_terminal(create_terminal(house, tmp_path)) as terminal:
            await terminal.ready()
            with house.books.database.transaction(Scope.everything()) as connection:
                assert terminals.ask_key_change(connection, identity.terminal)
            with trio.fail_after(PATIENCE_S):
                while TerminalIdentity.load(tmp_path).next_key is None or terminal._keys.wanted:
                    await terminal.echo()
        following = TerminalIdentity.load(tmp_path).next_key
        assert following is not None
        async with open_terminal(create_terminal(house, tmp_path)) as again:
            assert await again.ready()
        changed = TerminalIdentity.load(tmp_path)
        assert (changed.key, changed.next_key) == (following, None)
        async with open_terminal(create_terminal(house, tmp_path)) as once_more:
            assert await once_more.ready()
        assert TerminalIdentity.load(tmp_path).key == following


async def test_a_revoked_terminal_knows_why(database_urls: TestDatabase, tmp_path: Path) -> None:
    async with open_house(database_urls) as house:
        identity = create_identity(house, tmp_path)
        async with open_terminal(create_terminal(house, tmp_path)) as terminal:
            await terminal.ready()
            with house.books.database.transaction(Scope.everything()) as connection:
                terminals.revoke(connection, identity.terminal)
            with trio.fail_after(PATIENCE_S):
                while terminal.online:
                    await terminal._purchases.change()
            assert terminal.trouble is not None
            assert terminal.trouble.kind == "revoked"
