"""Tells the server of the terminal's next key, whenever it asks for one."""

from collections.abc import Awaitable, Callable

import trio

from protocol.messages import KeyChange, KeyChangeReply
from txserver.terminal_envelope import Numbering, uniform
from txserver.terminal_keys import TerminalKeys
from txserver.terminal_link import TerminalLink
from txserver.terminal_rules import APPROVED_CODE, NOT_RECORDED, backoff_s
from txserver.terminal_session import NoAnswer

__all__ = ["KeyChanges"]


class KeyChanges:
    """`change()` waits until something about the line has changed."""

    def __init__(
        self,
        keys: TerminalKeys,
        link: TerminalLink,
        numbering: Numbering,
        *,
        random: Callable[[int], bytes],
        change: Callable[[], Awaitable[None]],
    ) -> None:
        self._keys = keys
        self._link = link
        self._numbering = numbering
        self._random = random
        self._change = change

    async def run(self) -> None:
        """For as long as the terminal runs."""
        failures = 0
        while True:
            pair = self._keys.next_pair() if self._keys.wanted and self._link.online else None
            if pair is None:
                failures = 0
                await self._change()
                continue
            request = KeyChange(**self._numbering.envelope(), key=pair.public)
            try:
                code = (await self._link.ask(request, KeyChangeReply)).code
            except NoAnswer:
                # Perhaps it arrived: the next handshake shows it.
                code = NOT_RECORDED
            if code == APPROVED_CODE:
                self._keys.accepted()
            elif code == NOT_RECORDED:
                await trio.sleep(backoff_s(failures, uniform(self._random)))
                failures += 1
            else:
                self._keys.refused()
