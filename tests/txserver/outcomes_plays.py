"""What a scene is made of: a message of each kind that is approved, and what may happen before it is sent.

A play brings the world into a state and returns the message that is then to be sent; sending it is the
test's. What happens between the writing and the sending is in outcomes_happenings.
"""

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeAlias

import msgspec

from ledger import cards, enrolments, terminals
from protocol.messages import (
    BatchItem,
    BatchTotal,
    BatchUpload,
    Catalogue,
    Echo,
    Enrol,
    KeyChange,
    Logout,
    Reconciliation,
    Request,
)
from protocol.noise import KeyPair
from protocol.session import Enrolment
from tests.factories import NOW, create_keyring
from tests.txserver.outcomes_stage import Play, Stage, hello
from tests.txserver.server_house import (
    balance,
    capture,
    consumption,
    envelope,
    hold,
    pin_change,
    redeem,
    refund,
    release,
    reversal,
    status,
)

Happening: TypeAlias = Callable[[Stage, Any], Awaitable[Request | None]]

WASH = 120  # points of one
HOLD_S = 60
NEW_PIN, WRONG_PIN, RESET_CODE = "271828", "000000", "246810"


def after(play: Play, *happenings: Happening) -> Play:
    """The message of `play`, sent after something has happened."""

    async def played(stage: Stage) -> Request:
        message = await play(stage)
        for happen in happenings:
            message = await happen(stage, message) or message
        return message

    return played


def but(play: Play, **fields: Any) -> Play:
    """The message of `play` with other fields."""

    async def changed(stage: Stage, message: Request) -> Request:
        return msgspec.structs.replace(message, **fields)

    return after(play, changed)


def at_another_merchant(play: Play) -> Play:
    """The same in a shop that is nobody else's."""

    async def played(stage: Stage) -> Request:
        await stage.leave_for_another_merchant()
        return await play(stage)

    return played


async def approved(stage: Stage, message: Request) -> Any:
    """Send a message of which the scene needs that it succeeds."""
    reply = await stage.ask(message)
    assert reply.code == 0, f"the scene cannot be set: {reply}"
    return reply


# ---- a message of each kind that is approved ----------------------------------------------------


async def a_redeem(stage: Stage) -> Request:
    return redeem(stage.holder)


async def a_hold(stage: Stage) -> Request:
    return hold(stage.holder, hold_s=HOLD_S)


async def a_capture(stage: Stage) -> Request:
    """Of one wash, where two were held."""
    held = await approved(stage, hold(stage.holder, quantity=2, hold_s=HOLD_S))
    return capture(stage.holder, held.id, WASH)


async def a_release(stage: Stage) -> Request:
    return release(stage.holder, (await approved(stage, await a_hold(stage))).id)


async def a_refund(stage: Stage) -> Request:
    return refund(stage.holder, (await approved(stage, await a_redeem(stage))).id)


async def a_refund_of_a_refusal(stage: Stage) -> Request:
    refused = await stage.ask(redeem(stage.holder, quantity=9))
    assert refused.code == 1016
    return refund(stage.holder, refused.id)


async def a_refund_of_a_hold(stage: Stage) -> Request:
    return refund(stage.holder, (await approved(stage, await a_hold(stage))).id)


async def a_refund_of_a_capture(stage: Stage) -> Request:
    return refund(stage.holder, (await approved(stage, await a_capture(stage))).id)


async def a_reversal_of_a_captured_hold(stage: Stage) -> Request:
    held = await approved(stage, await a_hold(stage))
    await approved(stage, capture(stage.holder, held.id, WASH))
    return reversal(stage.holder, held.id)


async def a_reversal(stage: Stage) -> Request:
    return reversal(stage.holder, (await approved(stage, await a_redeem(stage))).id)


async def a_status(stage: Stage) -> Request:
    return status(stage.holder, (await approved(stage, await a_redeem(stage))).id)


async def a_balance(stage: Stage) -> Request:
    return balance(stage.holder)


async def a_consumption(stage: Stage) -> Request:
    return consumption(stage.holder)


async def a_pin_change(stage: Stage) -> Request:
    return pin_change(stage.holder, NEW_PIN)


async def a_first_pin(stage: Stage) -> Request:
    """For a card that was only issued, on the word of a one-time code."""
    stage.sql(f"UPDATE card SET status = 'issued', pin_verifier = NULL WHERE id = {stage.holder.card.id}")
    card = stage.holder.card
    verifier = create_keyring().code_verifier(card.slot, card.account_id, card.id, RESET_CODE)
    until = NOW + timedelta(days=7)
    stage.change(lambda c: cards.offer_pin_code(c, card, verifier=verifier, until=until, now=NOW))
    return pin_change(stage.holder, NEW_PIN, pin=None, reset_code=RESET_CODE)


async def a_reconciliation(stage: Stage) -> Request:
    await approved(stage, await a_redeem(stage))
    return Reconciliation(**envelope(), totals=[BatchTotal(kind="redeem", count=1, points=WASH)])


async def an_upload(stage: Stage) -> Request:
    """Of a batch with one transaction, which both sides have, and one that only the terminal has."""
    sold = await approved(stage, await a_redeem(stage))
    await stage.ask(Reconciliation(**envelope(), totals=[]))
    items = [
        BatchItem(id=each, kind="redeem", points=WASH, state="approved")
        for each in sorted((sold.id, os.urandom(16)))
    ]
    return BatchUpload(**envelope(), items=items, last=True)


async def a_key_change(stage: Stage) -> Request:
    return KeyChange(**envelope(), key=KeyPair.from_private(os.urandom(32)).public)


async def a_catalogue(stage: Stage) -> Request:
    return Catalogue(**envelope())


async def an_echo(stage: Stage) -> Request:
    return Echo(**envelope())


async def a_login(stage: Stage) -> Request:
    return hello()


async def a_logout(stage: Stage) -> Request:
    return Logout(**envelope())


async def an_enrolment(stage: Stage) -> Request:
    """Of a new device with a code of its own."""
    invite(stage)
    return enrol()


def enrol() -> Enrol:
    return Enrol(**envelope(), model="raw", software="raw")


def invite(stage: Stage, *, until: timedelta = timedelta(hours=1)) -> int:
    """Give the stage a new key and a code for a new terminal, good `until` so long after now."""
    enrolment_id = os.urandom(16)
    stage.key = KeyPair.from_private(os.urandom(32))
    stage.enrolment = Enrolment(enrolment_id, create_keyring().enrolment_secret(enrolment_id))
    now = stage.house.edge.now()

    def create(connection: Any) -> int:
        new = terminals.create_terminal(connection, store=stage.store, kind="pos", name="New")
        assert enrolments.invite(connection, new, enrolment_id=enrolment_id, until=now + until, now=now)
        return new

    return stage.house.books.change(create)
