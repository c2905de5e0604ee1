"""The reference terminal: what a device does with a purchase, exactly as protocol/README.md asks.

Parts with a line between them: `terminal_link` knows sessions; `terminal_rules` knows, purely, what has to
be done about a purchase; `terminal_purchases` carries that out and keeps `terminal_store` in step; this
file is what a program that sells uses. The emulated POS, the bench and the tests are its users.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import trio
from msgspec.structs import replace

from protocol.codec import encode
from protocol.errors import LocalProtocolError
from protocol.messages import (
    BalanceInquiry,
    BalanceInquiryReply,
    Catalogue,
    CatalogueItem,
    CatalogueReply,
    ConsumptionInquiry,
    ConsumptionInquiryReply,
    Echo,
    EchoReply,
    LoginReply,
    Redeem,
    Reply,
    Request,
    TransactionStatus,
    TransactionStatusReply,
)
from txserver.terminal_envelope import Numbering
from txserver.terminal_identity import TerminalIdentity
from txserver.terminal_link import Connect, NoAnswer, TerminalLink, Trouble
from txserver.terminal_purchases import READY_S, Outcome, Purchases, Result, UnknownPurchase
from txserver.terminal_rules import APPROVED_CODE, Purchase, content_of
from txserver.terminal_store import PurchaseStore

__all__ = ["Outcome", "Result", "Terminal", "Unreachable", "UnknownPurchase", "open_terminal"]

SOFTWARE = "tessera-reference/1"

R = TypeVar("R", bound=Reply)


class Unreachable(Exception):
    """An inquiry got no reply. Nothing was stored, nothing is left to do. `trouble`: why, if known."""

    def __init__(self, trouble: Trouble | None) -> None:
        super().__init__("the server does not answer" if trouble is None else trouble.detail)
        self.trouble = trouble


class Terminal:
    """One terminal. Its methods work while `run` runs; several may be under way at once.

    `connect` opens a stream to the server and raises OSError when it cannot; `random(n)` gives n random
    bytes; `now_ms` is the time of day. Deadlines go by trio's clock.
    """

    def __init__(
        self,
        identity: TerminalIdentity,
        store: PurchaseStore,
        *,
        connect: Connect,
        random: Callable[[int], bytes],
        now_ms: Callable[[], int],
        software: str = SOFTWARE,
    ) -> None:
        store.forget_before(now_ms())
        self.identity = identity
        self._store = store
        self._numbering = Numbering(random=random, now_ms=now_ms, last_stan=store.last_stan())
        self._scope = trio.CancelScope()
        self._catalogue: tuple[int, list[CatalogueItem]] = (0, [])
        self._link = TerminalLink(
            identity, connect=connect, random=random, numbering=self._numbering, software=software
        )
        self._purchases = Purchases(store, self._link, self._numbering, random)

    @property
    def online(self) -> bool:
        """Whether a session stands."""
        return self._link.online

    @property
    def trouble(self) -> Trouble | None:
        """Why there is no session, if there is none."""
        return self._link.trouble

    @property
    def hello(self) -> LoginReply | None:
        """The server's latest reply to a Login."""
        return self._link.hello

    @property
    def unsettled(self) -> int:
        """How many purchases are not final yet."""
        return len(self._purchases.live)

    @property
    def settled(self) -> Sequence[Result]:
        """What became of purchases that no caller waits for: those of an earlier run, stored reversals."""
        return self._purchases.settled

    def recent(self, count: int = 20) -> list[Purchase]:
        """The latest purchases of this terminal, newest first."""
        return self._store.recent(count)

    async def run(self) -> None:
        """Keep a session, settle what is unsettled; until `close`."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._purchases.settle)
                nursery.start_soon(self._link.run)

    async def close(self) -> None:
        """Let requests under way finish, Logout, end `run`."""
        await self._link.close()
        self._scope.cancel()

    async def ready(self) -> bool:
        """Wait until a new debit may go out, at most READY_S; False when it may not."""
        return await self._purchases.ready()

    async def redeem(
        self,
        credential: str,
        service: str,
        *,
        pin: str | None = None,
        quantity: int | None = None,
        amount: int | None = None,
        chip: bytes | None = None,
        reference: str | None = None,
        txid: bytes | None = None,
    ) -> Result:
        """Spend points. The result is final for the terminal, at the latest a minute later.

        LocalProtocolError for fields that no message may hold, and for a `txid` that the store knows as
        another purchase; StoreError when the store takes nothing,
        and then nothing was sent. A `txid` that the store knows repeats that purchase.
        """
        earlier = None if txid is None else self._purchases.find(txid)
        request = Redeem(
            **self._numbering.envelope(txid),
            credential=credential,
            service=service,
            chip=chip,
            quantity=quantity,
            amount=amount,
            reference=reference,
        )
        # A request that the server would close the line for must not get into the store.
        encode(replace(request, pin=pin))
        if earlier is not None:
            if content_of(earlier.request) != content_of(request):
                raise LocalProtocolError("this txid belongs to another purchase; a new one needs a new txid")
            return await self._purchases.repeat(earlier, request, pin)
        return await self._purchases.make(request, pin)

    async def reverse(self, original: bytes, *, reason: str = "not_given") -> Result:
        """Take a purchase back: stored at once, and never dropped. Waits `READY_S` for the server's word.

        UnknownPurchase when this terminal did not make it, or too long ago.
        """
        return await self._purchases.reverse(original, reason)

    async def status(
        self, original: bytes, *, credential: str | None = None, chip: bytes | None = None
    ) -> TransactionStatusReply:
        """What the server has recorded, without a fence: it changes nothing. Unreachable, UnknownPurchase.

        The credential is needed for a purchase that is not, or no longer, in the store.
        """
        if credential is None:
            purchase = self._purchases.find(original)
            if purchase is None:
                raise UnknownPurchase
            credential, chip = purchase.request.credential, purchase.request.chip
        envelope = self._numbering.envelope()
        question = TransactionStatus(**envelope, original=original, credential=credential, chip=chip)
        return await self._inquire(question, TransactionStatusReply)

    async def balance(
        self, credential: str, *, pin: str | None = None, chip: bytes | None = None
    ) -> BalanceInquiryReply:
        """What the account can spend. Unreachable."""
        question = BalanceInquiry(**self._numbering.envelope(), credential=credential, pin=pin, chip=chip)
        return await self._inquire(question, BalanceInquiryReply)

    async def history(
        self,
        credential: str,
        *,
        pin: str | None = None,
        chip: bytes | None = None,
        since: str | None = None,
        until: str | None = None,
        cursor: str | None = None,
    ) -> ConsumptionInquiryReply:
        """A page of what happened on the account, newest first; days are YYYY-MM-DD. Unreachable."""
        question = ConsumptionInquiry(
            **self._numbering.envelope(),
            credential=credential,
            pin=pin,
            chip=chip,
            since=since,
            until=until,
            cursor=cursor,
        )
        return await self._inquire(question, ConsumptionInquiryReply)

    async def catalogue(self) -> Sequence[CatalogueItem]:
        """The services sold here, all pages; asked again, only a change is transferred. Unreachable."""
        held, services = self._catalogue
        version, found = 0, list[CatalogueItem]()
        after: str | None = None
        while True:
            question = Catalogue(**self._numbering.envelope(), held=held, after=after)
            page = await self._inquire(question, CatalogueReply)
            if page.code != APPROVED_CODE:
                raise Unreachable(Trouble("refused", f"{page.code} {page.text}"))
            if page.unchanged:
                return services
            if after is not None and page.version != version:
                # Changed between two pages: begin again.
                held, found, after = 0, [], None
                continue
            version = page.version
            found += page.services
            if not page.more or not page.services:
                self._catalogue = (version, found)
                return found
            held, after = 0, page.services[-1].code

    async def echo(self) -> float:
        """Seconds to the server and back. Unreachable."""
        began = trio.current_time()
        await self._inquire(Echo(**self._numbering.envelope()), EchoReply)
        return trio.current_time() - began

    async def _inquire(self, question: Request, kind: type[R]) -> R:
        """Asked once: an inquiry with a wrong PIN that is repeated would count twice."""
        encode(question)
        try:
            return await self._link.ask(question, kind, patience_s=READY_S)
        except NoAnswer:
            raise Unreachable(self.trouble) from None


@asynccontextmanager
async def open_terminal(terminal: Terminal) -> AsyncIterator[Terminal]:
    """Run a terminal for the length of a block, with Logout at its end unless the block fails.

    What the block raises comes out as it is; a fault of the terminal itself comes out in a group.
    """
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(terminal.run)
        try:
            yield terminal
        except Exception as error:  # noqa: BLE001 - raised again below, out of the nursery's group
            failure = error
        else:
            await terminal.close()
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
