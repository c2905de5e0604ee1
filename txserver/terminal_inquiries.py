"""What a terminal asks, for the member or for itself. Nothing of it is stored."""

from collections.abc import Callable, Sequence

import trio

from protocol.messages import (
    BalanceInquiry,
    BalanceInquiryReply,
    CatalogueItem,
    CatalogueReply,
    ConsumptionInquiry,
    ConsumptionInquiryReply,
    Echo,
    EchoReply,
    PinChange,
    PinChangeReply,
    TransactionStatus,
    TransactionStatusReply,
)
from txserver.terminal_catalogue import HeldCatalogue
from txserver.terminal_envelope import Numbering
from txserver.terminal_operations import Purchase
from txserver.terminal_outcomes import UnknownPurchase
from txserver.terminal_questions import Questions

__all__ = ["Inquiries"]


class Inquiries:
    """`find` gives a purchase of this terminal by its txid, if the store has it."""

    def __init__(
        self, questions: Questions, numbering: Numbering, find: Callable[[bytes], Purchase | None]
    ) -> None:
        self._held_catalogue = HeldCatalogue(
            numbering, lambda question: questions.once(question, CatalogueReply)
        )
        self._questions = questions
        self._numbering = numbering
        self._find = find

    async def status(
        self, original: bytes, *, credential: str | None = None, chip: bytes | None = None
    ) -> TransactionStatusReply:
        """What the server has recorded, without a fence: it changes nothing. Unreachable, UnknownPurchase.

        The credential is needed for a purchase that is not, or no longer, in the store.
        """
        if credential is None:
            purchase = self._find(original)
            if purchase is None:
                raise UnknownPurchase
            credential, chip = purchase.request.credential, purchase.request.chip
        envelope = self._numbering.envelope()
        question = TransactionStatus(**envelope, original=original, credential=credential, chip=chip)
        return await self._questions.once(question, TransactionStatusReply)

    async def balance(
        self, credential: str, *, pin: str | None = None, chip: bytes | None = None
    ) -> BalanceInquiryReply:
        """What the account can spend. Unreachable."""
        question = BalanceInquiry(**self._numbering.envelope(), credential=credential, pin=pin, chip=chip)
        return await self._questions.once(question, BalanceInquiryReply)

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
        return await self._questions.once(question, ConsumptionInquiryReply)

    async def change_pin(
        self,
        credential: str,
        new_pin: str,
        *,
        pin: str | None = None,
        reset_code: str | None = None,
        chip: bytes | None = None,
    ) -> PinChangeReply:
        """Set the card's PIN, on the word of the present one or of a one-time code.

        Repeated until the server answers, at most UNKNOWN_S; Unreachable when it does not, and then either
        PIN may be the right one.
        """
        request = PinChange(
            **self._numbering.envelope(),
            credential=credential,
            new_pin=new_pin,
            chip=chip,
            pin=pin,
            reset_code=reset_code,
        )
        return await self._questions.insist(request, PinChangeReply)

    async def catalogue(self) -> Sequence[CatalogueItem]:
        """The services sold here, all pages; asked again, only a change is transferred. Unreachable."""
        return await self._held_catalogue.fetch()

    async def echo(self) -> float:
        """Seconds to the server and back. Unreachable."""
        began = trio.current_time()
        await self._questions.once(Echo(**self._numbering.envelope()), EchoReply)
        return trio.current_time() - began
