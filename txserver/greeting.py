"""The first message of a connection: who is it, and may they come in? The reply tells the newest facts."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import trio

from ledger import logins, terminals
from ledger.database import DatabaseAway
from ledger.terminals import TerminalSeat
from protocol.errors import RemoteProtocolError
from protocol.messages import Enrol, EnrolReply, Login, LoginReply, Message, Reply
from protocol.session import ServerSession
from txserver.answering import NAME_SHOWN
from txserver.batcher import NotRecorded
from txserver.context import envelope, moment
from txserver.house import House
from txserver.registry import Facts

__all__ = ["Admitted", "greet"]

CLOCK_OFF_SECONDS = 600  # a terminal's clock decides nothing, but people read its receipts


@dataclass(frozen=True, slots=True)
class Admitted:
    """A terminal that may come in: its seat, the reply that says so, and the facts that the reply tells.

    `key_asked`: the reply asks for a new key.
    """

    seat: TerminalSeat
    reply: Reply
    told: Facts
    key_asked: bool = False


async def greet(session: ServerSession, received: list[Message], house: House) -> Admitted | None:
    """What the messages that ended a handshake lead to. None for a key that is not known: it gets no word.

    Raises RemoteProtocolError and DatabaseAway.
    """
    if not received:
        raise trio.BrokenResourceError
    if len(received) > 1:
        # A terminal waits for the reply to its first message.
        raise RemoteProtocolError("order")
    hello, key = received[0], session.remote_key
    assert key is not None
    if isinstance(hello, Enrol):
        assert session.enrolment_id is not None
        admitted = await _enrol(house, hello, key, session.enrolment_id)
    else:
        assert isinstance(hello, Login)
        admitted = await _log_in(house, hello, key)
    if admitted is not None:
        _look_at_clock(house, admitted.seat, hello)
    return admitted


async def _enrol(house: House, hello: Enrol, key: bytes, enrolment_id: bytes) -> Admitted | None:
    now = house.context.now()

    def ask(connection: Any) -> TerminalSeat | tuple[str, int | None]:
        seat = terminals.enrol(
            connection,
            enrolment_id=enrolment_id,
            public_key=key,
            model=hello.model,
            software=hello.software,
            now=now,
            worker=house.worker,
            terminal_at=moment(hello.at),
        )
        return seat or terminals.refused_invitation(connection, enrolment_id, now)

    seat = await house.context.enrol(ask)
    if isinstance(seat, tuple):
        # The device gets no word; the operator should know of a code that is shown around.
        reason, terminal = seat
        house.log.warning("enrolment_refused", reason=reason, terminal=terminal)
        return None
    told = house.notices.facts
    reply = EnrolReply(
        **envelope(house.context, hello),
        terminal=seat.id,
        merchant=seat.merchant[:NAME_SHOWN],
        store=seat.store[:NAME_SHOWN],
        next_key=house.keys[told.key_id].public,
        next_key_id=told.key_id,
    )
    return Admitted(seat, reply, told)


async def _log_in(house: House, hello: Login, key: bytes) -> Admitted | None:
    asked = logins.Login(key, hello.software, house.worker, moment(hello.at))
    try:
        entered = await house.context.logins.post(asked)
    except NotRecorded as error:
        raise DatabaseAway("the login was not recorded") from error
    except trio.Cancelled:
        asked.given_up = True
        raise
    seat = entered.seat
    if seat is None:
        return None
    house.notices.learn(catalogue=entered.catalogue, business_date=house.context.business_date)
    told = house.notices.facts
    reply = LoginReply(
        **envelope(house.context, hello),
        session=house.random_bytes(8).hex(),
        terminal=seat.id,
        merchant=seat.merchant[:NAME_SHOWN],
        store=seat.store[:NAME_SHOWN],
        catalogue=told.catalogue,
        idle_s=house.idle_s,
        last_batch=seat.last_batch,
        next_key=house.keys[told.key_id].public,
        next_key_id=told.key_id,
        change_key=seat.change_key,
    )
    return Admitted(seat, reply, told, key_asked=seat.change_key)


def _look_at_clock(house: House, seat: TerminalSeat, hello: Enrol | Login) -> None:
    """A terminal whose clock is wrong is served all the same; every reply tells it the time."""
    off = (moment(hello.at) - house.context.now()) // timedelta(seconds=1)
    if abs(off) > CLOCK_OFF_SECONDS:
        house.log.warning("terminal_clock_off", terminal=seat.id, seconds=off)
