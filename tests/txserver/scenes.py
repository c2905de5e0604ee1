"""One member with a card at one terminal, and whatever they ask of the server."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ledger.database import Scope
from protocol.messages import (
    BalanceInquiry,
    ConsumptionInquiry,
    LoginReply,
    ReversalAdvice,
    TransactionStatus,
)
from tests.factories import PIN, Holder
from tests.txserver.server_house import (
    OpenHouse,
    RawTerminal,
    capture,
    envelope,
    hold,
    payload,
    pin_change,
    redeem,
    refund,
    release,
)


@dataclass
class Scene:
    """`fields` go into every message that shows the card and may carry a PIN."""

    house: OpenHouse
    holder: Holder
    terminal: RawTerminal
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """The terminal's id."""
        assert isinstance(self.terminal.welcome, LoginReply)
        return self.terminal.welcome.terminal

    def change(self, work: Callable[[Any], object]) -> None:
        """Change something in the database, in a transaction of its own."""
        with self.house.books.database.transaction(Scope.everything()) as connection:
            work(connection)

    def sql(self, statement: str) -> None:
        self.change(lambda connection: connection.exec_driver_sql(statement))

    async def redeem(self, **fields: Any) -> Any:
        return await self.terminal.ask(redeem(self.holder, **(self.fields | fields)))

    async def hold(self, **fields: Any) -> Any:
        return await self.terminal.ask(hold(self.holder, **(self.fields | fields)))

    async def capture(self, held: bytes, amount: int, **fields: Any) -> Any:
        return await self.terminal.ask(capture(self.holder, held, amount, **fields))

    async def release(self, held: bytes, **fields: Any) -> Any:
        return await self.terminal.ask(release(self.holder, held, **fields))

    async def refund(self, original: bytes, amount: int | None = None, **fields: Any) -> Any:
        return await self.terminal.ask(refund(self.holder, original, amount, **fields))

    async def pin_change(self, new_pin: str, **fields: Any) -> Any:
        return await self.terminal.ask(pin_change(self.holder, new_pin, **(self.fields | fields)))

    async def balance(self, **fields: Any) -> Any:
        given = {"credential": payload(self.holder), "pin": PIN} | self.fields | fields
        return await self.terminal.ask(BalanceInquiry(**envelope(), **given))

    async def consumption(self, **fields: Any) -> Any:
        given = {"credential": payload(self.holder), "pin": PIN} | self.fields | fields
        return await self.terminal.ask(ConsumptionInquiry(**envelope(), **given))

    async def reversal(self, original: bytes, **fields: Any) -> Any:
        given = {"credential": payload(self.holder), "reason": "timeout"} | fields
        return await self.terminal.ask(ReversalAdvice(**(envelope() | {"original": original} | given)))

    async def status(self, original: bytes, **fields: Any) -> Any:
        given: dict[str, Any] = {"credential": payload(self.holder), "fence": True} | fields
        return await self.terminal.ask(TransactionStatus(**envelope(), original=original, **given))


async def create_scene(house: OpenHouse, **fields: Any) -> Scene:
    """A new member, with what `fields` say of them, at a new terminal."""
    return Scene(house, house.books.holder(**fields), await house.terminal())
