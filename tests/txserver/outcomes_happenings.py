"""What may happen between the writing of a message and its sending.

A happening may return another message, to be sent instead.
"""

import os
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec

from ledger import cards, limits, organisations
from protocol.messages import Capture, Release, Request
from tests.factories import NOW, TODAY
from tests.txserver.outcomes_plays import HOLD_S, WASH, WRONG_PIN, Happening, approved
from tests.txserver.outcomes_stage import Stage, new_terminal
from tests.txserver.server_house import balance, capture, payload, redeem, refund, release, reversal, status

# ---- what the message is about ------------------------------------------------------------------


def sent_before(**fields: Any) -> Happening:
    """The message was sent and approved; what is sent now has its id and these other fields."""

    async def happen(stage: Stage, message: Request) -> Request:
        await approved(stage, message)
        return msgspec.structs.replace(message, **fields)

    return happen


async def sent_before_for_this_issue(stage: Stage, message: Request) -> Request:
    """The same, and what is sent now shows another issue of the card."""
    await approved(stage, message)
    return msgspec.structs.replace(message, credential=payload(stage.holder, issue=2))


async def fenced(stage: Stage, message: Request) -> None:
    """The terminal has asked what became of it, and was told that it never happens."""
    assert (await stage.ask(status(stage.holder, message.id, fence=True))).code == 3010


async def reversed_unseen(stage: Stage, message: Request) -> None:
    advice = await approved(stage, reversal(stage.holder, message.id))
    assert advice.outcome == "never_seen"


async def captured(stage: Stage, message: Any) -> None:
    await approved(stage, capture(stage.holder, message.hold, WASH))


async def released(stage: Stage, message: Any) -> None:
    await approved(stage, release(stage.holder, message.hold))


async def hold_reversed(stage: Stage, message: Any) -> None:
    assert (await approved(stage, reversal(stage.holder, message.hold))).outcome == "reversed"


async def hold_over(stage: Stage, message: Capture | Release) -> None:
    """Its time is over, and somebody has asked since: the points can be spent again."""
    stage.house.edge.at += timedelta(seconds=HOLD_S)
    assert (await approved(stage, balance(stage.holder))).held == 0


async def sale_reversed(stage: Stage, message: Any) -> None:
    assert (await approved(stage, reversal(stage.holder, message.original))).outcome == "reversed"


async def refunded_in_part(stage: Stage, message: Any) -> None:
    await approved(stage, refund(stage.holder, message.original, 20))


async def refunded_wholly(stage: Stage, message: Any) -> None:
    await approved(stage, refund(stage.holder, message.original))


async def gone_to_another_terminal(stage: Stage, message: Request) -> None:
    await stage.move()


async def gone_to_another_merchant(stage: Stage, message: Any) -> Request:
    """The message, a Refund, names the terminal that sold."""
    seller = stage.number
    await stage.leave_for_another_merchant()
    named: Request = msgspec.structs.replace(message, terminal=seller)
    return named


async def gone_to_another_merchant_silently(stage: Stage, message: Request) -> None:
    await stage.leave_for_another_merchant()


async def with_its_own_key(stage: Stage, message: Request) -> Request:
    return msgspec.structs.replace(message, key=stage.key.public)


async def with_the_key_of_another(stage: Stage, message: Request) -> Request:
    theirs, _ = new_terminal(stage.house, stage.shop)
    return msgspec.structs.replace(message, key=theirs.public)


async def batch_closed(stage: Stage, message: Any) -> None:
    """Under another id."""
    await approved(stage, msgspec.structs.replace(message, id=os.urandom(16)))


# ---- what stops a terminal, a card or a PIN -----------------------------------------------------


async def terminal_revoked(stage: Stage, message: Request) -> None:
    """As if the server had not heard of it yet: a revocation that is announced ends the session."""
    stage.sql(f"UPDATE terminal SET status = 'revoked' WHERE id = {stage.number}")


async def store_closed(stage: Stage, message: Request) -> None:
    stage.change(lambda connection: organisations.set_status(connection, stage.store, "closed"))


async def merchant_closed(stage: Stage, message: Request) -> None:
    """For a shop `at_another_merchant`: the others go on selling."""
    stage.change(lambda connection: organisations.set_status(connection, stage.shop.merchant, "closed"))


async def card_lost(stage: Stage, message: Request) -> None:
    stage.change(lambda connection: cards.set_status(connection, stage.holder.card, "lost", now=NOW))


async def card_replaced(stage: Stage, message: Request) -> None:
    stage.change(lambda connection: cards.replace_card(connection, stage.holder.card, now=NOW))


async def card_suspended(stage: Stage, message: Request) -> None:
    stage.change(lambda connection: cards.set_status(connection, stage.holder.card, "suspended", now=NOW))


async def card_only_issued(stage: Stage, message: Request) -> None:
    stage.sql(f"UPDATE card SET status = 'issued' WHERE id = {stage.holder.card.id}")


async def card_expired(stage: Stage, message: Request) -> None:
    day = TODAY - timedelta(days=1)
    stage.sql(f"UPDATE card SET expires_on = '{day}' WHERE id = {stage.holder.card.id}")


async def card_closed(stage: Stage, message: Request) -> None:
    stage.change(lambda connection: cards.set_status(connection, stage.holder.card, "closed", now=NOW))


async def account_closed(stage: Stage, message: Request) -> None:
    stage.sql(f"UPDATE account SET status = 'closed' WHERE id = {stage.holder.account.id}")


async def pin_blocked(stage: Stage, message: Request) -> None:
    for _ in range(3):
        assert (await stage.ask(balance(stage.holder, pin=WRONG_PIN))).code == 1017


async def of_an_issue_to_come(stage: Stage, message: Request) -> Request:
    """The card shown is not known, its account is: that can be recorded."""
    return msgspec.structs.replace(message, credential=payload(stage.holder, issue=2))


async def unreadable(stage: Stage, message: Request) -> Request:
    stage.account_known = False
    return msgspec.structs.replace(message, credential="P1NONSENSE")


async def of_another_database(stage: Stage, message: Request) -> Request:
    """The card is sealed with our key; its account is not here."""
    stage.account_known = False
    stranger = replace(stage.holder, card=replace(stage.holder.card, account_id=10**15))
    return msgspec.structs.replace(message, credential=payload(stranger))


# ---- limits and points --------------------------------------------------------------------------


def limited(**points: int) -> Happening:
    """The card has limits of its own from now on."""

    async def happen(stage: Stage, message: Request) -> None:
        own = limits.Limits(**points)
        stage.change(
            lambda connection: limits.set_limits(
                connection, stage.holder.card, product_id=None, limits=own, now=NOW
            )
        )

    return happen


async def a_wash_bought(stage: Stage, message: Request) -> None:
    await approved(stage, redeem(stage.holder))


async def points_expired(stage: Stage, message: Request) -> None:
    day = TODAY - timedelta(days=1)
    stage.sql(f"UPDATE lot SET expires_on = '{day}' WHERE account_id = {stage.holder.account.id}")
