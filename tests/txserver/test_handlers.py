"""Every outcome of every message, as a terminal sees it; and the two tables of codes agree."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ledger import cards, merchants, organisations
from ledger.embedded import EmbeddedPostgres
from ledger.postings import Code
from protocol.codes import CODES
from protocol.messages import MESSAGES, BatchUpload, Catalogue, Echo, KeyChange, Reconciliation, Request
from protocol.noise import KeyPair
from tests.conftest import TestDatabase
from tests.factories import NOW, PIN, TODAY, Holder, create_price
from tests.txserver.batching import Executioner
from tests.txserver.scenes import Scene, create_scene
from tests.txserver.server_house import envelope, open_house, payload, redeem
from txserver.handlers import _WORK, POSTINGS

HANDLED = {
    **{message: posting.reply for message, posting in POSTINGS.items()},
    **{message: reply for message, (_, reply) in _WORK.items()},
}

# ---- what stops a card, whatever is asked -------------------------------------------------------


def lost(scene: Scene) -> None:
    scene.change(lambda connection: cards.set_status(connection, scene.holder.card, "lost", now=NOW))


def blocked(scene: Scene) -> None:
    scene.change(lambda connection: cards.set_status(connection, scene.holder.card, "suspended", now=NOW))


def replaced(scene: Scene) -> None:
    scene.change(lambda connection: cards.replace_card(connection, scene.holder.card, now=NOW))


def expired(scene: Scene) -> None:
    day = TODAY - timedelta(days=1)
    scene.sql(f"UPDATE card SET expires_on = '{day}' WHERE id = {scene.holder.card.id}")


def account_closed(scene: Scene) -> None:
    scene.sql(f"UPDATE account SET status = 'closed' WHERE id = {scene.holder.account.id}")


def pin_blocked(scene: Scene) -> None:
    scene.sql(f"UPDATE card SET pin_tries = 3 WHERE id = {scene.holder.card.id}")


def of_another_database(scene: Scene) -> None:
    scene.fields["credential"] = payload(stranded(scene.holder))


def stranded(holder: Holder) -> Holder:
    """The same card, of an account that is not here."""
    return replace(holder, card=replace(holder.card, account_id=10**15))


def with_fields(**fields: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.fields.update(fields)


CARD_REFUSALS: dict[Code, tuple[Callable[[Scene], None], ...]] = {
    Code.CARD_UNKNOWN: (of_another_database, with_fields(credential="P1NONE"), with_fields(chip=b"1234")),
    Code.CARD_LOST: (lost,),
    Code.CARD_REPLACED: (replaced,),
    Code.CARD_BLOCKED: (blocked,),
    Code.CARD_EXPIRED: (expired,),
    Code.ACCOUNT_CLOSED: (account_closed,),
    Code.PIN_BLOCKED: (pin_blocked,),
    Code.PIN_WRONG: (with_fields(pin="000000"), with_fields(pin=""), with_fields(pin="١٢٣٤٥٦")),
}


@pytest.mark.parametrize("kind", ["redeem", "balance", "consumption"])
async def test_a_card_that_may_not_is_refused_whatever_is_asked(
    database_urls: TestDatabase, kind: str
) -> None:
    async with open_house(database_urls) as house:
        for code, circumstances in CARD_REFUSALS.items():
            for arrange in circumstances:
                scene = await create_scene(house)
                arrange(scene)
                reply = await getattr(scene, kind)()
                assert (reply.code, reply.recorded) == (code, False), arrange
                assert reply.balance is None if kind != "consumption" else reply.items == []
                assert house.books.posted(scene.holder) == 1_000


@pytest.mark.parametrize("kind", ["redeem", "balance", "consumption"])
async def test_a_terminal_that_may_not_is_refused_on_its_open_session(
    database_urls: TestDatabase, kind: str
) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        merchant, store = house.books.house.merchant, house.books.house.store
        for organisation in (merchant, store):
            scene.change(lambda c, o=organisation: organisations.set_status(c, o, "closed"))  # type: ignore[misc]
            assert (await getattr(scene, kind)()).code == Code.MERCHANT_CLOSED
            scene.change(lambda c, o=organisation: organisations.set_status(c, o, "open"))  # type: ignore[misc]
        assert (await getattr(scene, kind)()).code == 0
        # As if the word of it had not come here yet: a revocation that is announced ends the session.
        scene.sql(f"UPDATE terminal SET status = 'revoked' WHERE id = {scene.number}")
        assert (await getattr(scene, kind)()).code == Code.TERMINAL_NOT_PERMITTED


async def test_the_pin_is_needed_for_points_and_history_and_not_for_the_balance(
    database_urls: TestDatabase,
) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        assert (await scene.redeem(pin=None)).code == Code.PIN_REQUIRED
        assert (await scene.consumption(pin=None)).code == Code.PIN_REQUIRED
        reply = await scene.balance(pin=None)
        assert (reply.code, reply.balance) == (0, 1_000)


async def test_a_wrong_pin_is_counted_by_every_message_that_carries_one(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        assert (await scene.balance(pin="000000")).code == Code.PIN_WRONG
        assert (await scene.consumption(pin="000000")).code == Code.PIN_WRONG
        assert (await scene.redeem(pin="000000", service="none")).code == Code.PIN_WRONG
        assert (await scene.redeem()).code == Code.PIN_BLOCKED


# ---- what only a redemption can be told ---------------------------------------------------------

REDEEM_REFUSALS: dict[Code, tuple[dict[str, Any], ...]] = {
    Code.SERVICE_UNKNOWN: ({"service": "none"}, {"service": ""}, {"service": "洗车"}),
    Code.AMOUNT_INVALID: (
        {"quantity": 0}, {"quantity": -1}, {"quantity": 10_000}, {"quantity": 2**64 - 1},
        {"quantity": -(2**63)}, {"amount": 1}, {"quantity": 1, "amount": 1}, {"service": "cinema"},
        {"service": "cinema", "amount": 9}, {"service": "cinema", "amount": 5_001},
        {"service": "cinema", "amount": 10, "quantity": 1}, {"service": "cinema", "amount": -(2**63)},
    ),
    Code.POINTS_INSUFFICIENT: ({"quantity": 9}, {"service": "cinema", "amount": 1_001}),
}  # fmt: skip


async def test_a_redemption_that_cannot_be_is_refused(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        for code, cases in REDEEM_REFUSALS.items():
            for fields in cases:
                reply = await scene.redeem(**fields)
                assert (reply.code, reply.points, reply.approval, reply.receipt) == (code, 0, None, []), (
                    fields
                )
        assert house.books.posted(scene.holder) == 1_000
        limited = await create_scene(house, limit_points=100)
        assert (await limited.redeem()).code == Code.LIMIT_EXCEEDED
        old = await create_scene(house)
        old.sql(f"UPDATE lot SET expires_on = '2026-11-21' WHERE account_id = {old.holder.account.id}")
        assert (await old.redeem()).code == Code.POINTS_EXPIRED
        assert (await old.redeem(quantity=9)).code == Code.POINTS_INSUFFICIENT


async def test_a_service_that_was_closed_is_unknown(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        service = house.books.house.services["wash"]
        scene.change(lambda connection: merchants.set_service_status(connection, service, "closed"))
        assert (await scene.redeem()).code == Code.SERVICE_UNKNOWN


async def test_an_id_used_for_something_else_is_told_so_by_both_that_are_recorded(
    database_urls: TestDatabase,
) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        spent = await scene.redeem()
        assert (await scene.redeem(id=spent.id, quantity=2)).code == Code.TXID_REUSED
        assert (await scene.reversal(spent.id, id=spent.id)).code == Code.TXID_REUSED
        assert house.books.posted(scene.holder) == 880


async def test_a_fence_and_a_reversal_stand_before_what_comes_later(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        first, second, third = (redeem(scene.holder) for _ in range(3))
        assert (await scene.status(first.id, fence=False)).code == Code.NOT_FOUND
        assert (await scene.terminal.ask(first)).code == 0
        assert (await scene.status(second.id)).code == Code.NOT_FOUND
        assert (await scene.terminal.ask(second)).code == Code.UNDONE_BEFORE
        reply = await scene.reversal(third.id)
        assert (reply.code, reply.outcome) == (0, "never_seen")
        assert (await scene.terminal.ask(third)).code == Code.UNDONE_BEFORE
        advice = envelope()["id"]
        assert (await scene.status(advice)).code == Code.NOT_FOUND
        assert (await scene.reversal(first.id, id=advice)).code == Code.UNDONE_BEFORE
        assert house.books.posted(scene.holder) == 880


async def test_the_outcomes_of_a_reversal(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        spent, refused = await scene.redeem(), await scene.redeem(quantity=9)
        outcomes = [(await scene.reversal(of)).outcome for of in (spent.id, spent.id, refused.id, bytes(16))]
        assert outcomes == ["reversed", "already_reversed", "refused_before", "never_seen"]
        assert (await scene.reversal(spent.id, credential="P1")).code == Code.CARD_UNKNOWN
        assert (await scene.status(spent.id, credential="P1")).code == Code.CARD_UNKNOWN
        away = stranded(scene.holder)
        assert (await scene.reversal(spent.id, credential=payload(away))).code == Code.CARD_UNKNOWN
        assert (await scene.status(spent.id, credential=payload(away))).code == Code.CARD_UNKNOWN


async def test_a_status_tells_the_recorded_refusal(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        refused = await scene.redeem(quantity=9)
        told = await scene.status(refused.id)
        assert (told.code, told.original_code, told.approval) == (0, 1016, None)


async def test_pages_that_do_not_exist(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        for fields in (
            {"cursor": "x"}, {"cursor": ""}, {"cursor": "-1"}, {"cursor": "0"}, {"cursor": "9" * 18},
            {"cursor": "1." + "0" * 16}, {"since": "2026-02-30"}, {"until": "2026-02-30"},
        ):  # fmt: skip
            assert (await scene.consumption(**fields)).code == 3011, fields
        for fields in (
            {"since": "1000-01-01", "until": "2999-12-31"}, {"since": "2026-12-01", "until": "2026-01-01"}
        ):  # fmt: skip
            assert (await scene.consumption(**fields)).code == 0, fields


# ---- what must fit a frame ----------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["名", "😀"])
async def test_the_longest_names_fit_the_frames(database_urls: TestDatabase, letter: str) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house, points=10**12)
        longest = letter * 40
        for number in range(20):
            code = f"{number:02d}{letter * 38}"
            scene.change(lambda c, code=code: create_price(c, house.books.house, code, points=1_000_000))  # type: ignore[misc]
        scene.sql(f"UPDATE service SET name = '{longest}', name_zh = '{longest}', unit = '{longest}'")
        scene.sql(f"UPDATE organisation SET name = '{longest * 2}'")
        key = scene.house.new_key()
        terminal = await house.terminal(key)
        codes: list[str] = []
        more = True
        while more:
            page = await terminal.ask(Catalogue(**envelope(), after=codes[-1] if codes else None))
            codes += [item.code for item in page.services]
            more = page.more
        assert len(set(codes)) == len(codes) == 22
        scene.terminal = terminal
        for code in codes[:20]:
            reply = await scene.redeem(service=code)
            assert reply.code == 0
            assert reply.receipt[0].startswith(letter)
        seen, cursor = 0, None
        while True:
            page = await scene.consumption(cursor=cursor)
            seen, cursor = seen + len(page.items), page.cursor
            if cursor is None:
                break
        assert seen == 21


# ---- the database is away -----------------------------------------------------------------------


async def test_without_the_database_everything_is_to_be_repeated_and_the_session_stays(
    postgres: EmbeddedPostgres, database_urls: TestDatabase
) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        spent, held = redeem(scene.holder), await scene.hold()
        new_key = KeyPair.from_private(os.urandom(32)).public
        assert (await scene.terminal.ask(spent)).code == 0
        asked: dict[str, Callable[[], Awaitable[Any]]] = {
            "Redeem": scene.redeem,
            "Hold": scene.hold,
            "Capture": lambda: scene.capture(held.id, 120),
            "Release": lambda: scene.release(held.id),
            "Refund": lambda: scene.refund(spent.id, 1),
            "ReversalAdvice": lambda: scene.reversal(spent.id),
            "TransactionStatus": lambda: scene.status(spent.id),
            "BalanceInquiry": scene.balance,
            "ConsumptionInquiry": scene.consumption,
            "PinChange": lambda: scene.pin_change(PIN),
            "Catalogue": lambda: scene.terminal.ask(Catalogue(**envelope())),
            "KeyChange": lambda: scene.terminal.ask(KeyChange(**envelope(), key=new_key)),
            "Reconciliation": lambda: scene.terminal.ask(Reconciliation(**envelope(batch=2), totals=[])),
            "BatchUpload": lambda: scene.terminal.ask(BatchUpload(**envelope(), items=[], last=True)),
        }
        assert {*asked, "Echo"} == {message.__name__ for message in HANDLED}
        with Executioner.of(postgres, database_urls) as executioner:
            executioner.ask_nothing("ALTER ROLE tessera_server NOLOGIN")
            try:
                executioner.strike()
                for name, ask in asked.items():
                    reply = await ask()
                    assert (reply.code, reply.recorded) == (1811, False), name
                assert (await scene.terminal.ask(Echo(**envelope()))).code == 0
            finally:
                executioner.ask_nothing("ALTER ROLE tessera_server LOGIN")
        while (reply := await scene.terminal.ask(spent)).code == 1811:
            pass
        assert (reply.code, reply.recorded) == (0, True)
        for name, ask in asked.items():
            assert (await ask()).code != 1811, name


# ---- the tables of codes ------------------------------------------------------------------------


def test_the_wire_and_the_books_know_the_same_codes_in_the_same_order() -> None:
    wire = [(info.code, info.name) for info in CODES]
    books = [(code.value, code.name.lower()) for code in Code]
    assert [each for each in wire if each in books] == books
    of_the_wire_alone = {name for _, name in wire} - {name for _, name in books}
    assert of_the_wire_alone == {
        "not_recorded", "cursor_invalid", "key_unusable", "out_of_balance", "batch_backwards",
    }  # fmt: skip


def test_every_request_has_a_handler_with_the_reply_of_its_name() -> None:
    assert len(HANDLED) == len(POSTINGS) + len(_WORK)
    for message, reply in HANDLED.items():
        assert reply.__name__ == f"{message.__name__}Reply"
        assert reply.type == message.type | 0x80
    assert {message.__name__ for message in MESSAGES if issubclass(message, Request)} == {
        "Enrol", "Login", "Logout", *(message.__name__ for message in HANDLED),
    }  # fmt: skip
