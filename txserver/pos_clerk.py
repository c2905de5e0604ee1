"""The clerk at the screen: what is asked, what is shown, and what was scanned last."""

from collections.abc import Sequence
from contextlib import suppress

from protocol.messages import CatalogueItem
from txserver.pos_desk import Desk, Fault, sentence_of
from txserver.receipt import Receipt, panel, printable, service_name, txid_text
from txserver.receipt_inquiries import catalogue_receipt
from txserver.receipt_purchases import purchase_receipt, result_title
from txserver.scan import read_card
from txserver.terminal import Outcome, Result, Terminal, Unreachable

__all__ = ["Clerk", "ask"]

YES = ("y", "yes", "是")


async def ask(desk: Desk, key: str, *, hidden: bool = False, **values: object) -> str:
    """What the clerk types. EOFError when there is nobody (any more)."""
    if desk.ask is None:
        raise EOFError
    return (await desk.ask(desk.texts(key, **values), hidden)).strip()


class Clerk:
    """One terminal with somebody before it. `card` is the credential that was scanned last."""

    def __init__(self, desk: Desk, terminal: Terminal) -> None:
        self.desk = desk
        self.texts = desk.texts
        self.terminal = terminal
        self.card: str | None = None
        self.names: dict[str, str] = {}
        self.catalogue: int | None = None
        self._told = 0

    # ---- questions ------------------------------------------------------------------------------

    async def ask(self, key: str, *, hidden: bool = False, **values: object) -> str:
        """What is typed."""
        return await ask(self.desk, key, hidden=hidden, **values)

    async def agrees(self, key: str) -> bool:
        """A yes to a question; anything else is a no, and is told that nothing was changed."""
        if (await self.ask(key)).lower() in YES:
            return True
        self.say("kept")
        return False

    async def number(self, key: str, default: str = "", **values: object) -> int:
        """A whole number from 1; an empty answer is `default`."""
        while True:
            text = await self.ask(key, hidden=False, **values) or default
            if text.isdecimal() and int(text) >= 1:
                return int(text)
            self.say("fault.number")

    async def number_or_all(self, key: str, **values: object) -> int | None:
        """A whole number from 1; an empty answer is None."""
        while True:
            text = await self.ask(key, hidden=False, **values)
            if not text:
                return None
            if text.isdecimal() and int(text) >= 1:
                return int(text)
            self.say("fault.number")

    async def pin(self) -> str | None:
        """The card's PIN, or none."""
        return await self.ask("ask.pin", hidden=True) or None

    async def scan(self) -> None:
        """Another card."""
        self.card = read_card(await self.ask("ask.card"))

    async def shown_card(self) -> str:
        """The card that was scanned last, or one that is scanned now."""
        if self.card is None:
            await self.scan()
        assert self.card is not None
        return self.card

    async def choose_service(self) -> CatalogueItem:
        """One of the services sold here. Fault when there are none."""
        services = await self.services()
        self.print(catalogue_receipt(services, self.terminal.identity, self.texts))
        if not services:
            raise Fault(self.texts("nothing"))
        while True:
            chosen = await self.ask("ask.service")
            for number, service in enumerate(services, start=1):
                if chosen in (str(number), service.code):
                    return service
            self.say("not_a_choice")

    # ---- what is shown --------------------------------------------------------------------------

    def say(self, key: str, **values: object) -> None:
        """A sentence, not on the receipt."""
        self.desk.say(self.texts(key, **values))

    def print(self, receipt: Receipt) -> None:
        """A receipt."""
        self.desk.paper.print(panel(receipt))

    def show(self, receipt: Receipt) -> None:
        """The same, to look at: not for the customer."""
        self.desk.voice.print(panel(receipt))

    def print_result(self, result: Result, *, about: bytes | None = None) -> None:
        """How an operation came out."""
        terminal = self.terminal
        # The clerk sees this one here; the menu need not tell it again.
        self._told = len(terminal.settled)
        receipt = purchase_receipt(
            result,
            terminal.identity,
            self.texts,
            unsettled=terminal.unsettled,
            names=self.names,
            about=about,
        )
        self.print(receipt)
        if result.outcome is Outcome.OFFLINE and terminal.trouble is not None:
            self.desk.say(sentence_of(Unreachable(terminal.trouble), self.desk))

    def tell_settled(self) -> None:
        """What became of earlier purchases since this was told last."""
        for result in self.terminal.settled[self._told :]:
            if result.txid is not None:
                title = result_title(result, self.texts)
                self.say("settled", txid=txid_text(result.txid), title=title)
        self._told = len(self.terminal.settled)

    def spending(self, service: CatalogueItem, much: int) -> str:
        """What the member is about to spend, before the PIN says yes to it."""
        name = printable(service_name(service, self.texts))
        if service.open:
            return self.texts("spend", service=name, points=much)
        price = service.points
        return self.texts("spend_units", service=name, price=price, quantity=much, points=price * much)

    # ---- what is sold ---------------------------------------------------------------------------

    async def services(self) -> Sequence[CatalogueItem]:
        """The services of now, and their names for receipts. Unreachable."""
        services = await self.terminal.catalogue()
        self.names = {service.code: service_name(service, self.texts) for service in services}
        self.catalogue = self.terminal.catalogue_version
        return services

    async def learn_names(self) -> None:
        """The names of services, if they are to be had at once; a purchase is known by its code as well."""
        if self.names or not self.terminal.online:
            return
        with suppress(Unreachable):
            await self.services()
