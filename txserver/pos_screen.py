"""The emulated POS for people: a menu in the terminal window, one action after another."""

from collections.abc import Awaitable, Callable, Sequence

from rich.panel import Panel
from rich.text import Text

from txserver import pos_actions as actions
from txserver.pos_choice import holds_of, server_now_ms
from txserver.pos_clerk import Clerk, ask
from txserver.pos_desk import FAULTS, Desk, at_work, become_terminal, known_fault, sentence_of
from txserver.pos_reasons import why
from txserver.receipt import TAIL, WIDTH, enrolment_receipt, panel, printable
from txserver.terminal_identity import IdentityError, TerminalIdentity

__all__ = ["show"]

Act = Callable[[Clerk], Awaitable[None]]

HOLDS: Sequence[tuple[str, Act]] = (
    ("menu.hold", actions.hold),
    ("menu.capture", actions.capture),
    ("menu.release", actions.release),
)
GIVING_BACK: Sequence[tuple[str, Act]] = (
    ("menu.reverse", actions.reverse),
    ("menu.refund", actions.refund),
)
MORE: Sequence[tuple[str, Act]] = (
    ("menu.catalogue", actions.catalogue),
    ("menu.journal", actions.journal),
    ("menu.status", actions.status),
    ("menu.pin", actions.change_pin),
    ("menu.day_end", actions.day_end),
)
MAIN: Sequence[tuple[str, Act | Sequence[tuple[str, Act]]]] = (
    ("menu.scan", actions.scan),
    ("menu.redeem", actions.redeem),
    ("menu.balance", actions.balance),
    ("menu.history", actions.history),
    ("menu.holds", HOLDS),
    ("menu.back_page", GIVING_BACK),
    ("menu.more", MORE),
)
"""The first page; a further page stands where an action would. The last number leaves a page."""


async def show(desk: Desk) -> int:
    """Run the screen until the clerk leaves it; the exit code."""
    try:
        await _be_a_terminal(desk)
        async with at_work(desk) as terminal:
            await _run(Clerk(desk, terminal))
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


async def _be_a_terminal(desk: Desk) -> None:
    """Enrol first, if that was not done; EOFError when the clerk gives no code."""
    try:
        TerminalIdentity.load(desk.device)
    except IdentityError:
        desk.say(desk.texts("welcome"))
    else:
        return
    while True:
        code = await ask(desk, "ask.code")
        if not code:
            raise EOFError
        try:
            identity = await become_terminal(code, desk)
        except FAULTS as error:
            desk.say(sentence_of(error, desk))
        else:
            desk.paper.print(panel(enrolment_receipt(identity, desk.texts)))
            return


async def _run(clerk: Clerk) -> None:
    """Menu, choice, action, until the last choice."""
    clerk.say("connecting")
    await clerk.terminal.ready()
    while True:
        clerk.tell_settled()
        clerk.desk.voice.print(_menu(clerk))
        place = await _choice(clerk, len(MAIN) + 1)
        if place is None:
            continue
        if place == len(MAIN):
            return
        chosen = MAIN[place][1]
        action = chosen if callable(chosen) else await _further(clerk, *MAIN[place])
        if action is None:
            continue
        try:
            await action(clerk)
        except FAULTS as error:
            clerk.desk.say(sentence_of(error, clerk.desk))


async def _further(clerk: Clerk, key: str, page: object) -> Act | None:
    """The action that is chosen on a further page; None for none, and then the first page comes back."""
    assert isinstance(page, Sequence)
    keys = [*(key for key, _ in page), "menu.back"]
    body = Text()
    _number(body, keys, clerk, first=True)
    clerk.desk.voice.print(_framed(body, clerk.texts(key).removesuffix(" …")))
    place = await _choice(clerk, len(keys), empty=len(page))
    if place is None or place == len(page):
        return None
    action: Act = page[place][1]
    return action


async def _choice(clerk: Clerk, most: int, *, empty: int | None = None) -> int | None:
    """The place, from 0, of what was chosen; `empty` for an empty answer, None for one that is no number."""
    text = await clerk.ask("ask.choice")
    if not text and empty is not None:
        return empty
    if text.isdecimal() and 1 <= int(text) <= most:
        return int(text) - 1
    clerk.say("not_a_choice")
    return None


def _menu(clerk: Clerk) -> Panel:
    texts, terminal = clerk.texts, clerk.terminal
    if terminal.online:
        line = texts("online")
    else:
        trouble = terminal.trouble
        line = texts("offline", why=why(trouble.detail, texts) if trouble else texts("connecting"))
    facts = [line, texts("no_card") if clerk.card is None else texts("card_shown", tail=clerk.card[-TAIL:])]
    if terminal.unsettled:
        facts.append(texts("unsettled", count=terminal.unsettled))
    body = Text(" · ".join(facts), style="green" if terminal.online else "yellow")
    if terminal.business_date is not None:
        body.append("\n" + texts("business_date", day=terminal.business_date), style="dim")
    for sentence in _news(clerk):
        body.append(f"\n{sentence}", style="yellow")
    _number(body, [*(key for key, _ in MAIN), "menu.quit"], clerk)
    identity = terminal.identity
    return _framed(body, printable(f"{identity.merchant} · {identity.store} · {identity.terminal}"))


def _news(clerk: Clerk) -> list[str]:
    """What the clerk has to know besides: nothing, on most days."""
    texts, terminal = clerk.texts, clerk.terminal
    news = []
    holds = holds_of(clerk.desk, terminal)
    if holds:
        ends_at = None if holds[0].answer is None else holds[0].answer.expires_at
        now_ms = server_now_ms(clerk.desk, terminal)
        left = "–" if ends_at is None else texts.span((ends_at - now_ms) / 1000)
        news.append(texts("open_hold" if len(holds) == 1 else "open_holds", count=len(holds), left=left))
    if clerk.catalogue is not None and terminal.catalogue_version != clerk.catalogue:
        news.append(texts("new_catalogue"))
    if terminal.clock_off_s:
        # The server's time less ours: above 0 we are behind.
        key = "clock_behind" if terminal.clock_off_s > 0 else "clock_ahead"
        news.append(texts(key, minutes=round(abs(terminal.clock_off_s) / 60)))
    return news


def _number(body: Text, keys: Sequence[str], clerk: Clerk, *, first: bool = False) -> None:
    """The choices of a page, one a line."""
    for number, key in enumerate(keys, start=1):
        body.append("" if first and number == 1 else "\n")
        body.append(f" {number}  ", style="bold cyan")
        body.append(clerk.texts(key), style="default")


def _framed(body: Text, title: str) -> Panel:
    return Panel(body, title=Text(title), title_align="left", width=WIDTH + 4)
