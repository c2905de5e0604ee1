"""Where an emulated POS stands: its folder, its language, its paper; and its faults in sentences."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio
from rich.console import Console

from protocol.credentials import CredentialError
from protocol.errors import LocalProtocolError
from txserver.pos_reasons import sentence, why
from txserver.pos_texts import Texts
from txserver.receipt import printable
from txserver.scan import ScanError, read_code
from txserver.shop_file import WorldError
from txserver.terminal import Terminal, UnknownPurchase, Unreachable, Unsettled, open_terminal
from txserver.terminal_enrolment import EnrolmentFailed, enrol
from txserver.terminal_identity import IdentityError, TerminalIdentity
from txserver.terminal_link import Trouble
from txserver.terminal_store import PurchaseStore, StoreError

__all__ = [
    "FAULTS", "JOURNAL", "Ask", "Desk", "Dial", "Fault", "at_work", "become_terminal", "known_fault",
    "opened_store", "sentence_of",
]  # fmt: skip

JOURNAL = 20
"""Purchases that the journal shows: what fits a screen."""

Ask = Callable[[str, bool], Awaitable[str]]
Dial = Callable[[str, int], Awaitable[trio.abc.Stream]]


class Fault(Exception):
    """A command cannot be done; the text is a sentence for the clerk."""


FAULTS = (
    Fault, IdentityError, StoreError, EnrolmentFailed, CredentialError, ScanError, Unreachable,
    UnknownPurchase, Unsettled, WorldError, LocalProtocolError,
)  # fmt: skip
"""What may go wrong at a POS, each with a sentence."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a POS stands: its folder and language, the world outside, paper and voice.

    `ask(question, hidden)` gives what the clerk types; None when there is nobody to ask. The PINs and the
    one-time code are those of the environment, for scripts.
    """

    device: Path
    texts: Texts
    random: Callable[[int], bytes]
    now_ms: Callable[[], int]
    dial: Dial
    paper: Console
    voice: Console
    ask: Ask | None = None
    pin: str | None = field(default=None, repr=False)
    new_pin: str | None = field(default=None, repr=False)
    reset_code: str | None = field(default=None, repr=False)

    def say(self, sentence: str) -> None:
        """To the clerk, not on the receipt; one line stays one line, whatever the width."""
        self.voice.print(sentence, soft_wrap=True)


def known_fault(group: ExceptionGroup) -> Exception | None:
    """The fault inside a group, if there is nothing else in it: a terminal runs in a nursery, so what
    stops it (its disk) comes out in a group.
    """
    known = group.subgroup(FAULTS)
    if known is None or group.split(FAULTS)[1] is not None:
        return None
    inner: Exception = known
    while isinstance(inner, ExceptionGroup):
        inner = inner.exceptions[0]
    return inner


def sentence_of(fault: Exception, desk: Desk) -> str:
    """What a fault means, for the clerk."""
    texts = desk.texts
    match fault:
        case Unreachable():
            return _unreachable(fault.trouble, desk)
        case Unsettled():
            return texts("fault.unsettled", count=fault.count)
        case UnknownPurchase():
            return texts("fault.no_purchase")
        case CredentialError(reason="chip"):
            return texts("fault.chip")
        case CredentialError():
            return texts("fault.card")
        case LocalProtocolError():
            return texts("fault.request", why=why(str(fault), texts))
        case Fault():
            return printable(str(fault))
        case _:
            return sentence(str(fault), texts)


def _unreachable(trouble: Trouble | None, desk: Desk) -> str:
    identity = TerminalIdentity.load(desk.device)
    place = {"host": identity.host, "port": identity.port}
    if trouble is not None and trouble.kind == "refused":
        return desk.texts("fault.refused", why=why(trouble.detail, desk.texts))
    if trouble is not None and trouble.kind == "closed" and trouble.detail == "closed":
        return desk.texts("fault.unreachable_handshake", **place)
    reason = desk.texts("no_reply") if trouble is None else why(trouble.detail, desk.texts)
    return desk.texts("fault.unreachable", **place, why=reason)


@contextmanager
def opened_store(desk: Desk) -> Iterator[PurchaseStore]:
    """The device's purchases. StoreError when another program has them."""
    store = PurchaseStore(desk.device)
    try:
        yield store
    finally:
        store.close()


@asynccontextmanager
async def at_work(desk: Desk) -> AsyncIterator[Terminal]:
    """The device's terminal, running. IdentityError when it is not enrolled, StoreError when it is in use."""
    identity = TerminalIdentity.load(desk.device)
    with opened_store(desk) as store:
        terminal = Terminal(
            identity,
            store,
            connect=partial(desk.dial, identity.host, identity.port),
            random=desk.random,
            now_ms=desk.now_ms,
            keep_identity=lambda changed: changed.save(desk.device),
        )
        async with open_terminal(terminal):
            yield terminal


async def become_terminal(text: str, desk: Desk, *, replace: bool = False) -> TerminalIdentity:
    """Enrol this device with a code, or with a picture of one. Fault when it is a terminal already."""
    try:
        code = read_code(text)
    except CredentialError as error:
        raise Fault(desk.texts("fault.code", why=why(error.reason, desk.texts))) from None
    try:
        present = TerminalIdentity.load(desk.device)
    except IdentityError:
        present = None
    if present is not None:
        if not replace:
            raise Fault(desk.texts("fault.enrolled", folder=desk.device, terminal=present.terminal))
        with opened_store(desk) as store:
            owing = store.unfinished()
        if owing:
            raise Fault(desk.texts("fault.enrolled_owing", folder=desk.device, terminal=present.terminal))
    connect = partial(desk.dial, code.host, code.port)
    return await enrol(code, connect, folder=desk.device, random=desk.random, now_ms=desk.now_ms)
