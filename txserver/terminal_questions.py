"""Requests that no store keeps: inquiries are sent once, what the server records until it answers."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
from msgspec.structs import replace

from protocol.codec import encode
from protocol.messages import Reply, Request
from txserver.terminal_envelope import uniform
from txserver.terminal_link import TerminalLink
from txserver.terminal_outcomes import Unreachable
from txserver.terminal_rules import NOT_RECORDED, UNKNOWN_S, backoff_s
from txserver.terminal_session import NoAnswer

__all__ = ["READY_S", "Questions"]

READY_S = 10.0
"""How long a customer is kept waiting for a line before the terminal says that it is offline."""

R = TypeVar("R", bound=Reply)


class Questions:
    """`line()` waits a while for a session and says whether one stands."""

    def __init__(
        self,
        link: TerminalLink,
        *,
        line: Callable[[], Awaitable[bool]],
        random: Callable[[int], bytes],
    ) -> None:
        self._link = link
        self._line = line
        self._random = random

    async def once(self, question: Request, kind: type[R]) -> R:
        """Asked once: an inquiry with a wrong PIN that is repeated would count twice. Unreachable."""
        encode(question)
        try:
            return await self._link.ask(question, kind, patience_s=READY_S)
        except NoAnswer:
            raise Unreachable(self._link.trouble) from None

    async def insist(self, request: Request, kind: type[R]) -> R:
        """Repeated under its id, which the server records, until there is an answer, at most UNKNOWN_S.

        Unreachable: then nobody knows what became of it.
        """
        encode(request)
        failures = 0
        if await self._line():
            with trio.move_on_after(UNKNOWN_S):
                while True:
                    try:
                        reply = await self._link.ask(request, kind)
                        if reply.code != NOT_RECORDED:
                            return reply
                    except NoAnswer:
                        pass
                    request = replace(request, repeat=True)
                    await trio.sleep(backoff_s(failures, uniform(self._random)))
                    failures += 1
        raise Unreachable(self._link.trouble)
