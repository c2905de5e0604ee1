"""A naive model of the books: what a person with a pencil would do. Nothing of ledger.rules is in it."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

from ledger.postings import Code
from tests.ledger.states import NOW, TODAY

__all__ = ["GRACE", "HIGH", "LOW", "Naive", "PencilLot", "Step"]

GRACE = 30
OPEN_HOLDS = 20
LOW, HIGH = 10, 500  # what the cinema sells at once
Part: TypeAlias = tuple[int, int]  # which lot, how many points
Step: TypeAlias = tuple[Any, ...]  # what, under which number, and what it says
Answer: TypeAlias = tuple[int, int]  # code, points


@dataclass
class PencilLot:
    points: int
    last_day: date | None
    held: int = 0


@dataclass
class Deed:
    """What was approved under a number: points of lots, and what became of it."""

    kind: str
    parts: list[Part]
    until: datetime = NOW
    fate: str = "stands"
    back: dict[int, int] = field(default_factory=dict)

    @property
    def points(self) -> int:
        return sum(points for _, points in self.parts)


@dataclass
class Naive:
    """A list of lots, a diary of answers, and a list of deeds."""

    lots: list[PencilLot]
    now: datetime = NOW
    today: date = TODAY

    def __post_init__(self) -> None:
        self.diary: dict[int, tuple[Step, Answer]] = {}
        self.gone: set[int] = set()
        self.deeds: dict[int, Deed] = {}

    # The state of things

    def over(self, lot: PencilLot) -> bool:
        return lot.last_day is not None and lot.last_day < self.today

    def order(self, places: list[int]) -> list[int]:
        return sorted(places, key=lambda place: (self.lots[place].last_day or date.max, place))

    @property
    def balance(self) -> int:
        return sum(lot.points - lot.held for lot in self.lots if not self.over(lot))

    # What happens

    def do(self, step: Step) -> Answer:
        """The code and the points of the answer. Holds whose time is over end before anything else."""
        for deed in self.deeds.values():
            if deed.kind == "hold" and deed.fate == "stands" and deed.until <= self.now:
                self.let_go(deed, "lapse")
        what, number, *rest = step
        if what == "inquire":
            return Code.APPROVED, 0
        if what == "status":
            return self.status(*rest)
        if number in self.diary:
            told, before = self.diary[number]
            return before if told == step else (Code.TXID_REUSED, 0)
        if number in self.gone:
            return Code.UNDONE_BEFORE, 0
        answer: Answer = getattr(self, what)(number, *rest)
        if what != "expire" or answer[1] > 0:
            self.diary[number] = (step, answer)
        return answer

    def status(self, original: int, fence: bool) -> Answer:
        if original in self.diary:
            return Code.APPROVED, self.diary[original][1][1]
        if fence:
            self.gone.add(original)
        return Code.NOT_FOUND, 0

    def short(self, amount: int) -> Answer | None:
        """Why so many points cannot be taken."""
        if self.balance >= amount:
            return None
        everything = sum(lot.points - lot.held for lot in self.lots)
        return (Code.POINTS_EXPIRED if everything >= amount else Code.POINTS_INSUFFICIENT), 0

    def parts_of(self, amount: int) -> list[Part]:
        left, parts = amount, []
        for place in self.order([n for n, lot in enumerate(self.lots) if not self.over(lot)]):
            part = min(self.lots[place].points - self.lots[place].held, left)
            if part:
                parts.append((place, part))
                left -= part
        return parts

    def adjust(self, number: int, amount: int) -> Answer:
        if amount <= 0:
            return Code.AMOUNT_INVALID, 0
        refused = self.short(amount)
        if refused is None:
            self.take(self.parts_of(amount))
        return refused or (Code.APPROVED, amount)

    def spend(self, number: int, kind: str, amount: int) -> Answer:
        if not LOW <= amount <= HIGH:
            return Code.AMOUNT_INVALID, 0
        held = [deed for deed in self.deeds.values() if deed.kind == "hold" and deed.fate == "stands"]
        if kind == "hold" and len(held) >= OPEN_HOLDS:
            return Code.LIMIT_EXCEEDED, 0
        refused = self.short(amount)
        if refused is not None:
            return refused
        self.deeds[number] = Deed(kind, self.parts_of(amount))
        return Code.APPROVED, amount

    def redeem(self, number: int, amount: int) -> Answer:
        answer = self.spend(number, "redeem", amount)
        if number in self.deeds:
            self.take(self.deeds[number].parts)
        return answer

    def hold(self, number: int, amount: int, seconds: int) -> Answer:
        answer = self.spend(number, "hold", amount)
        if number in self.deeds:
            self.deeds[number].until = self.now + timedelta(seconds=seconds)
            for place, points in self.deeds[number].parts:
                self.lots[place].held += points
        return answer

    def take(self, parts: list[Part]) -> None:
        for place, points in parts:
            self.lots[place].points -= points

    def let_go(self, hold: Deed, fate: str) -> None:
        hold.fate = fate
        for place, points in hold.parts:
            self.lots[place].held -= points

    def holding(self, number: int) -> Code | Deed:
        deed = self.deeds.get(number)
        if deed is None or deed.kind != "hold":
            return Code.HOLD_UNKNOWN
        if deed.fate != "stands":
            return Code.HOLD_EXPIRED if deed.fate == "lapse" else Code.HOLD_ENDED
        return deed

    def capture(self, number: int, hold: int, amount: int) -> Answer:
        held = self.holding(hold)
        if isinstance(held, Code):
            return held, 0
        if not 0 < amount <= held.points:
            return (Code.AMOUNT_INVALID if amount <= 0 else Code.AMOUNT_ABOVE_HOLD), 0
        self.let_go(held, "captured")
        parts, left = [], amount
        of = dict(held.parts)
        for place in self.order(list(of)):
            part = min(of[place], left)
            if part:
                parts.append((place, part))
                left -= part
        self.take(parts)
        self.deeds[number] = Deed("capture", parts)
        return Code.APPROVED, amount

    def release(self, number: int, hold: int) -> Answer:
        held = self.holding(hold)
        if isinstance(held, Code):
            return held, 0
        self.let_go(held, "released")
        return Code.APPROVED, held.points

    def refund(self, number: int, original: int, amount: int | None) -> Answer:
        deed = self.deeds.get(original)
        if deed is None or deed.kind == "hold":
            return Code.ORIGINAL_UNKNOWN, 0
        if deed.fate == "reversed":
            return Code.ORIGINAL_UNDONE, 0
        remains = deed.points - sum(deed.back.values())
        wanted = remains if amount is None else amount
        if amount is not None and amount <= 0:
            return Code.AMOUNT_INVALID, 0
        if not 0 < wanted <= remains:
            return Code.AMOUNT_ABOVE_REST, 0
        # What would be used last today comes back first.
        parts, left, of = [], wanted, dict(deed.parts)
        for place in reversed(self.order(list(of))):
            part = min(of[place] - deed.back.get(place, 0), left)
            if part:
                parts.append((place, part))
                deed.back[place] = deed.back.get(place, 0) + part
                left -= part
        self.give_back(parts)
        return Code.APPROVED, wanted

    def give_back(self, parts: list[Part]) -> None:
        given = [self.lots[place] for place, _ in parts]
        late = [lot for lot in given if self.over(lot) and not lot.held]
        if late:
            self.break_off()
        for lot in late:
            lot.last_day = self.today + timedelta(days=GRACE)
        for place, points in parts:
            self.lots[place].points += points

    def break_off(self) -> int:
        over = [lot for lot in self.lots if self.over(lot)]
        points = sum(lot.points - lot.held for lot in over)
        for lot in over:
            lot.points = lot.held
        return points

    def reverse(self, number: int, original: int) -> Answer:
        if original not in self.diary:
            self.gone.add(original)
        deed = self.deeds.get(original)
        if deed is None or deed.fate != "stands" or deed.back:
            return Code.APPROVED, 0
        if deed.kind == "hold":
            self.let_go(deed, "reversed")
        else:
            deed.fate = "reversed"
            self.give_back(deed.parts)
        return Code.APPROVED, deed.points

    def expire(self, number: int) -> Answer:
        return Code.APPROVED, self.break_off()

    def grant(self, number: int, points: int, last_day: date | None) -> Answer:
        self.lots.append(PencilLot(points, last_day))
        return Code.APPROVED, points
