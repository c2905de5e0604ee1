"""The reference terminal: what a device does with a purchase, exactly as protocol/README.md asks.

Parts with a line between them: `terminal_link` knows sessions; `terminal_rules` knows, purely, what has to
be done about a purchase; `terminal_purchases` carries that out and keeps `terminal_store` in step; this
file is what a program that sells uses. The emulated POS, the bench and the tests are its users.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio
from msgspec.structs import replace

from protocol.codec import encode
from protocol.errors import LocalProtocolError
from protocol.messages import (
    Capture,
    Hold,
    LoginReply,
    Notice,
    Redeem,
    Refund,
    Release,
)
from txserver.terminal_batches import Batches, DayEnd, Unsettled
from txserver.terminal_envelope import Numbering
from txserver.terminal_identity import TerminalIdentity
from txserver.terminal_inquiries import Inquiries
from txserver.terminal_key_change import KeyChanges
from txserver.terminal_keys import TerminalKeys
from txserver.terminal_link import Connect, TerminalLink, Trouble
from txserver.terminal_operations import Operation
from txserver.terminal_outcomes import Outcome, Result, UnknownPurchase, Unreachable
from txserver.terminal_purchases import Purchases
from txserver.terminal_questions import Questions
from txserver.terminal_rules import Purchase, content_of
from txserver.terminal_store import PurchaseStore

__all__ = [
    "DayEnd", "Outcome", "Result", "Terminal", "UnknownPurchase", "Unreachable", "Unsettled", "open_terminal",
]  # fmt: skip

SOFTWARE = "tessera-reference/1"

CLOCK_LIMIT_S = 60
"""A clock that is off by less needs nobody's attention."""


class Terminal(Inquiries):
    """One terminal. Its methods work while `run` runs; several may be under way at once.

    `connect` opens a stream to the server and raises OSError when it cannot; `random(n)` gives n random
    bytes; `now_ms` is the time of day. Deadlines go by trio's clock. `keep_identity` makes a changed
    identity durable, usually TerminalIdentity.save into the device folder; without it no key is changed.

    `business_date`: the server's, YYYY-MM-DD, None before the first login. `clock_off_s`: by how many
    seconds the server's clock is ahead of ours, 0 when it is about right. `catalogue_version`: the newest
    that the server has told, also while an older catalogue is held.
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
        keep_identity: Callable[[TerminalIdentity], None] | None = None,
    ) -> None:
        store.forget_before(now_ms())
        self.business_date: str | None = None
        self.clock_off_s = 0
        self.catalogue_version: int | None = None
        self._store = store
        self._now_ms = now_ms
        self._numbering = Numbering(
            random=random, now_ms=now_ms, last_stan=store.last_stan(), batch=store.open_batch()
        )
        self._scope = trio.CancelScope()
        self._keys = TerminalKeys(identity, random=random, keep=keep_identity)
        self._link = TerminalLink(
            self._keys, connect=connect, random=random, numbering=self._numbering, software=software
        )
        self._purchases = Purchases(store, self._link, self._numbering, random)
        questions = Questions(self._link, line=self._purchases.line, random=random)
        super().__init__(questions, self._numbering, self._purchases.find)
        self._batches = Batches(
            store, self._numbering, insist=questions.insist, settled=self._purchases.settled_in
        )
        self._key_change = KeyChanges(
            self._keys, self._link, self._numbering, random=random, change=self._purchases.change
        )
        self._link.on_login = self._logged_in
        self._link.on_notice = self._noticed

    @property
    def identity(self) -> TerminalIdentity:
        """Who this terminal is, with the keys of now."""
        return self._keys.identity

    @property
    def batch(self) -> int:
        """The number of the batch that new transactions belong to."""
        return self._numbering.batch

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
        """What became of what goes out by itself: reversals, captures, releases, what was still unknown."""
        return self._purchases.settled

    def recent(self, count: int = 20) -> list[Purchase]:
        """The latest purchases of this terminal, newest first."""
        return self._store.recent(count)

    async def run(self) -> None:
        """Keep a session, settle what is unsettled; until `close`."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._purchases.settle)
                nursery.start_soon(self._key_change.run)
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
        another purchase; StoreError when the store takes nothing, and then nothing was sent. A `txid` that
        the store knows repeats that purchase.
        """
        request = Redeem(
            **self._numbering.envelope(txid),
            credential=credential,
            service=service,
            chip=chip,
            quantity=quantity,
            amount=amount,
            reference=reference,
        )
        return await self._make(request, pin)

    async def hold(
        self,
        credential: str,
        service: str,
        *,
        pin: str | None = None,
        quantity: int | None = None,
        amount: int | None = None,
        hold_s: int | None = None,
        chip: bytes | None = None,
        reference: str | None = None,
        txid: bytes | None = None,
    ) -> Result:
        """Reserve points for `hold_s` seconds, the server's default when None. Otherwise as `redeem`."""
        request = Hold(
            **self._numbering.envelope(txid),
            credential=credential,
            service=service,
            chip=chip,
            quantity=quantity,
            amount=amount,
            hold_s=hold_s,
            reference=reference,
        )
        return await self._make(request, pin)

    async def capture(self, hold: bytes, points: int, *, reference: str | None = None) -> Result:
        """Take `points` of a hold of this terminal and give back the rest; also without a line.

        The job is done: so it is stored at once, sent before anything new, and never dropped. Waits
        `READY_S` for the server's word, STORED when there is none yet. UnknownPurchase when this terminal
        made no such hold; LocalProtocolError when it does not know yet whether it did.
        """
        held = self._purchases.hold_of(hold).request
        request = Capture(
            **self._numbering.envelope(),
            hold=hold,
            credential=held.credential,
            chip=held.chip,
            amount=points,
            reference=reference,
        )
        encode(request)
        return await self._purchases.advise(request)

    async def release(self, hold: bytes) -> Result:
        """Give back all points of a hold of this terminal. Otherwise as `capture`."""
        held = self._purchases.hold_of(hold).request
        request = Release(**self._numbering.envelope(), hold=hold, credential=held.credential, chip=held.chip)
        encode(request)
        return await self._purchases.advise(request)

    async def refund(
        self,
        original: bytes,
        credential: str,
        *,
        amount: int | None = None,
        terminal: int | None = None,
        chip: bytes | None = None,
        reference: str | None = None,
        txid: bytes | None = None,
    ) -> Result:
        """Give points back for a Redeem or a Capture of this merchant: `amount`, or all that remain.

        `terminal`: the one that sold it, if it was another. UNKNOWN when there is no answer within a
        minute: the server is asked until it tells, and `settled` has it then. Otherwise as `redeem`.
        """
        request = Refund(
            **self._numbering.envelope(txid),
            original=original,
            credential=credential,
            amount=amount,
            terminal=terminal,
            chip=chip,
            reference=reference,
        )
        return await self._make(request, None)

    async def _make(self, request: Operation, pin: str | None) -> Result:
        earlier = self._purchases.find(request.id)
        # A request that the server would close the line for must not get into the store.
        encode(request if pin is None else replace(request, pin=pin))
        if earlier is None:
            return await self._purchases.make(request, pin)
        if content_of(earlier.request) != content_of(request):
            raise LocalProtocolError("this txid belongs to another purchase; a new one needs a new txid")
        return await self._purchases.repeat(earlier, pin)

    async def reverse(self, original: bytes, *, reason: str = "not_given") -> Result:
        """Take a purchase back: stored at once, and never dropped. Waits `READY_S` for the server's word.

        UnknownPurchase when this terminal did not make it, or too long ago; LocalProtocolError for a
        Release or a Refund, which cannot be taken back.
        """
        return await self._purchases.reverse(original, reason)

    async def reconcile(self) -> DayEnd:
        """Day's end: close the open batch and compare it with the server's; the next one is open at once.

        Unsettled when something in the batch has no outcome after READY_S: nothing was closed.
        Unreachable when the server does not answer: the batch is closed here, its totals are stored, and
        the next call, also after a restart, goes on with it.
        """
        return await self._batches.end()

    def _logged_in(self, reply: LoginReply) -> None:
        self.business_date = reply.business_date
        self.catalogue_version = reply.catalogue
        self._compare_clocks(reply.server_at)
        self._batches.heard(reply.last_batch)

    def _noticed(self, notice: Notice) -> None:
        self._compare_clocks(notice.server_at)
        if notice.catalogue is not None:
            self.catalogue_version = notice.catalogue
            self._held_catalogue.heard(notice.catalogue)
        if notice.business_date is not None:
            self.business_date = notice.business_date

    def _compare_clocks(self, server_at: int) -> None:
        off_s = round((server_at - self._now_ms()) / 1000)
        self.clock_off_s = off_s if abs(off_s) > CLOCK_LIMIT_S else 0


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
