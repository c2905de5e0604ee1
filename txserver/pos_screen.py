"""The emulated POS for people: a menu in the terminal window, one action after another."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import trio
from rich.panel import Panel
from rich.text import Text

from protocol.messages import CatalogueItem
from txserver import receipt as receipts
from txserver.pos_desk import (
    FAULTS,
    JOURNAL,
    Desk,
    Fault,
    at_work,
    become_terminal,
    chosen_purchase,
    known_fault,
    nothing_to_undo,
    sentence_of,
)
from txserver.pos_reasons import why
from txserver.receipt import TAIL, Receipt, panel, service_name, txid_text
from txserver.scan import read_card
from txserver.terminal import Outcome, Result, Terminal, Unreachable
from txserver.terminal_identity import IdentityError, TerminalIdentity

__all__ = ["show"]

YES = ("y", "yes", "是")


async def show(desk: Desk) -> int:
    """Run the screen until the clerk leaves it; the exit code."""
    try:
        await _be_a_terminal(desk)
        async with at_work(desk) as terminal:
            await _Screen(desk, terminal).run()
    except EOFError:
        pass
    except FAULTS as error:
        desk.say(sentence_of(error, desk))
        return 2
    except ExceptionGroup as group:
        fault = known_fault(group)
        if fault is None:
            raise
        desk.say(sentence_of(fault, desk))
        return 2
    desk.say(desk.texts("goodbye"))
    return 0


async def _ask(desk: Desk, key: str, *, hidden: bool = False) -> str:
    """What the clerk types. EOFError when there is nobody (any more)."""
    if desk.ask is None:
        raise EOFError
    return (await desk.ask(desk.texts(key), hidden)).strip()


async def _be_a_terminal(desk: Desk) -> None:
    """Enrol first, if that was not done; EOFError when the clerk gives no code."""
    try:
        TerminalIdentity.load(desk.device)
    except IdentityError:
        desk.say(desk.texts("welcome"))
    else:
        return
    while True:
        code = await _ask(desk, "ask.code")
        if not code:
            raise EOFError
        try:
            identity = await become_terminal(code, desk)
        except FAULTS as error:
            desk.say(sentence_of(error, desk))
        else:
            desk.paper.print(panel(receipts.enrolment_receipt(identity, desk.texts)))
            return


class _Screen:
    """One terminal's menu. `card` is the credential that was scanned last."""

    def __init__(self, desk: Desk, terminal: Terminal) -> None:
        self._desk = desk
        self._texts = desk.texts
        self._terminal = terminal
        self._card: str | None = None
        self._told = 0
        self._names: dict[str, str] = {}
        self._actions: list[tuple[str, Callable[[], Awaitable[None]] | None]] = [
            ("menu.scan", self._scan),
            ("menu.redeem", self._redeem),
            ("menu.balance", self._balance),
            ("menu.history", self._history),
            ("menu.reverse", self._reverse),
            ("menu.catalogue", self._catalogue),
            ("menu.journal", self._journal),
            ("menu.quit", None),
        ]

    async def run(self) -> None:
        """Menu, choice, action, until the last choice."""
        self._desk.say(self._texts("connecting"))
        await self._terminal.ready()
        while True:
            self._tell_settled()
            self._desk.voice.print(self._menu())
            choice = await _ask(self._desk, "ask.choice")
            if not (choice.isdecimal() and 1 <= int(choice) <= len(self._actions)):
                self._desk.say(self._texts("not_a_choice"))
                continue
            action = self._actions[int(choice) - 1][1]
            if action is None:
                return
            try:
                await action()
            except FAULTS as error:
                self._desk.say(sentence_of(error, self._desk))

    def _menu(self) -> Panel:
        texts, terminal = self._texts, self._terminal
        if terminal.online:
            line = texts("online")
        else:
            trouble = terminal.trouble
            line = texts("offline", why=why(trouble.detail, texts) if trouble else texts("connecting"))
        card = texts("no_card") if self._card is None else texts("card_shown", tail=self._card[-TAIL:])
        facts = [line, card]
        if terminal.unsettled:
            facts.append(texts("unsettled", count=terminal.unsettled))
        body = Text(" · ".join(facts), style="green" if terminal.online else "yellow")
        for number, (key, _) in enumerate(self._actions, start=1):
            body.append(f"\n {number}  ", style="bold cyan")
            body.append(texts(key), style="default")
        identity = terminal.identity
        title = receipts.printable(f"{identity.merchant} · {identity.store} · {identity.terminal}")
        return Panel(body, title=Text(title), title_align="left", width=receipts.WIDTH + 4)

    def _tell_settled(self) -> None:
        for result in self._terminal.settled[self._told :]:
            if result.txid is not None:
                title = self._texts(f"title.{result.outcome.value}")
                self._desk.say(self._texts("settled", txid=txid_text(result.txid), title=title))
        self._told = len(self._terminal.settled)

    def _print(self, receipt: Receipt) -> None:
        self._desk.paper.print(panel(receipt))

    def _print_result(self, result: Result) -> None:
        terminal = self._terminal
        # The clerk sees this one here; the menu need not tell it again.
        self._told = len(terminal.settled)
        self._print(
            receipts.purchase_receipt(
                result, terminal.identity, self._texts, unsettled=terminal.unsettled, names=self._names
            )
        )
        if result.outcome is Outcome.OFFLINE and terminal.trouble is not None:
            self._desk.say(sentence_of(Unreachable(terminal.trouble), self._desk))

    async def _scan(self) -> None:
        self._card = read_card(await _ask(self._desk, "ask.card"))

    async def _shown_card(self) -> str:
        if self._card is None:
            await self._scan()
        assert self._card is not None
        return self._card

    async def _redeem(self) -> None:
        card = await self._shown_card()
        service = await self._choose_service()
        much = await self._number("ask.amount") if service.open else await self._number("ask.quantity", "1")
        self._desk.say(self._spending(service, much))
        pin = await _ask(self._desk, "ask.pin", hidden=True) or None
        if service.open:
            result = await self._terminal.redeem(card, service.code, pin=pin, amount=much)
        else:
            result = await self._terminal.redeem(card, service.code, pin=pin, quantity=much)
        self._print_result(result)

    def _spending(self, service: CatalogueItem, much: int) -> str:
        """What the member is about to spend, before the PIN says yes to it."""
        name = receipts.printable(service_name(service, self._texts))
        if service.open:
            return self._texts("spend", service=name, points=much)
        price = service.points
        return self._texts("spend_units", service=name, price=price, quantity=much, points=price * much)

    async def _services(self) -> Sequence[CatalogueItem]:
        services = await self._terminal.catalogue()
        self._names = {service.code: service_name(service, self._texts) for service in services}
        return services

    async def _choose_service(self) -> CatalogueItem:
        services = await self._services()
        self._print(receipts.catalogue_receipt(services, self._terminal.identity, self._texts))
        if not services:
            raise Fault(self._texts("nothing"))
        while True:
            chosen = await _ask(self._desk, "ask.service")
            for number, service in enumerate(services, start=1):
                if chosen in (str(number), service.code):
                    return service
            self._desk.say(self._texts("not_a_choice"))

    async def _number(self, key: str, default: str = "") -> int:
        """A whole number from 1; an empty answer is `default`."""
        while True:
            text = await _ask(self._desk, key) or default
            try:
                number = int(text)
            except ValueError:
                number = 0
            if number >= 1:
                return number
            self._desk.say(self._texts("fault.number"))

    async def _balance(self) -> None:
        reply = await self._terminal.balance(await self._shown_card())
        self._print(receipts.balance_receipt(reply, self._terminal.identity, self._texts))

    async def _history(self) -> None:
        card = await self._shown_card()
        pin = await _ask(self._desk, "ask.pin_needed", hidden=True)
        if not pin:
            raise Fault(self._texts("fault.pin_needed"))
        reply = await self._terminal.history(card, pin=pin)
        self._print(receipts.history_receipt(reply, self._terminal.identity, self._texts))

    async def _reverse(self) -> None:
        text = await _ask(self._desk, "ask.reverse") or "last"
        purchase = chosen_purchase(text, self._desk, self._terminal)
        needless = nothing_to_undo(purchase, self._desk, last=text == "last")
        if needless is not None:
            raise Fault(needless)
        await self._learn_names()
        identity = self._terminal.identity
        question = receipts.undo_question(purchase, identity, self._texts, names=self._names)
        self._desk.voice.print(panel(question))
        if (await _ask(self._desk, "ask.undo")).lower() not in YES:
            self._desk.say(self._texts("kept"))
            return
        self._print_result(await self._terminal.reverse(purchase.txid))

    async def _learn_names(self) -> None:
        """The names of services, if they are to be had at once; a purchase is known by its code as well."""
        if self._names or not self._terminal.online:
            return
        with suppress(Unreachable):
            await self._services()

    async def _catalogue(self) -> None:
        services = await self._services()
        self._print(receipts.catalogue_receipt(services, self._terminal.identity, self._texts))

    async def _journal(self) -> None:
        await trio.lowlevel.checkpoint()
        purchases = self._terminal.recent(JOURNAL)
        self._print(receipts.journal_receipt(purchases, self._terminal.identity, self._texts))
