"""The catalogue as the terminal holds it: fetched page by page, and again only when it has changed."""

from collections.abc import Awaitable, Callable, Sequence

from protocol.messages import Catalogue, CatalogueItem, CatalogueReply
from txserver.terminal_envelope import Numbering
from txserver.terminal_link import Trouble
from txserver.terminal_outcomes import Unreachable
from txserver.terminal_rules import APPROVED_CODE

__all__ = ["HeldCatalogue"]


class HeldCatalogue:
    """`ask` sends one question and gives its reply, or raises Unreachable."""

    def __init__(self, numbering: Numbering, ask: Callable[[Catalogue], Awaitable[CatalogueReply]]) -> None:
        self._numbering = numbering
        self._ask = ask
        self._held: tuple[int, list[CatalogueItem]] = (0, [])

    def heard(self, version: int) -> None:
        """The server has this version now: another one that is held is no longer true."""
        if self._held[0] != version:
            self._held = (0, [])

    async def fetch(self) -> Sequence[CatalogueItem]:
        """All services sold here. Unreachable."""
        held, services = self._held
        version, found = 0, list[CatalogueItem]()
        after: str | None = None
        while True:
            page = await self._ask(Catalogue(**self._numbering.envelope(), held=held, after=after))
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
                self._held = (version, found)
                return found
            held, after = 0, page.services[-1].code
