"""Budgets: how many points an enterprise may fund; and from where on a second person approves an order."""

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from ledger.organisations import lock_tree

__all__ = [
    "APPROVAL_POINTS", "Budget", "BudgetRefused", "approval_points", "budgets", "change_budget",
    "create_budget", "give_back", "lock_budget", "reserve", "set_approval_points",
]  # fmt: skip

APPROVAL_POINTS = 10_000  # of an order, unless the enterprise's terms say otherwise

COLUMNS = "id, enterprise_id, lower(during) AS since, upper(during) AS until, points, used"
LIST = text(
    f"SELECT {COLUMNS} FROM budget WHERE enterprise_id = :enterprise ORDER BY lower(during) DESC, id DESC"
)
LOCK = text(f"SELECT {COLUMNS} FROM budget WHERE enterprise_id = :enterprise AND id = :id FOR UPDATE")
# Who comes second waits here and then reads what the first has left.
LOCK_OF_DAY = text(
    f"""SELECT {COLUMNS} FROM budget
        WHERE enterprise_id = :enterprise AND during @> CAST(:day AS date) FOR UPDATE"""
)
INSERT = text(
    """INSERT INTO budget (enterprise_id, during, points)
       VALUES (:enterprise, daterange(CAST(:since AS date), CAST(:until AS date)), :points) RETURNING id"""
)
CHANGE = text("UPDATE budget SET points = :points WHERE enterprise_id = :enterprise AND id = :id")
USE = text("UPDATE budget SET used = used + :points WHERE enterprise_id = :enterprise AND id = :id")
READ_TERMS = text("SELECT points FROM approval_terms WHERE enterprise_id = :enterprise")
SET_TERMS = text(
    """INSERT INTO approval_terms (enterprise_id, points) VALUES (:enterprise, :points)
       ON CONFLICT (enterprise_id) DO UPDATE SET points = excluded.points"""
)


@dataclass(frozen=True, slots=True)
class Budget:
    """`points` that may be funded from `since` to `last`, both inclusive; None is without end."""

    id: int
    enterprise_id: int
    since: date | None
    last: date | None
    points: int
    used: int

    @property
    def left(self) -> int:
        return self.points - self.used


class BudgetRefused(Exception):
    """The budget cannot be so: `why` is "overlap" or "used"; then `used` points are granted already."""

    def __init__(self, why: str, used: int = 0) -> None:
        super().__init__(why)
        self.why, self.used = why, used


def budgets(connection: Connection, enterprise: int) -> list[Budget]:
    """The enterprise's budgets, the latest first."""
    return [_budget(row) for row in connection.execute(LIST, {"enterprise": enterprise})]


def create_budget(
    connection: Connection, *, enterprise: int, since: date | None, last: date | None, points: int
) -> int:
    """A new budget; returns its id. BudgetRefused where another covers one of its days."""
    until = None if last in (None, date.max) else last + timedelta(days=1)
    told = {"enterprise": enterprise, "since": since, "until": until, "points": points}
    try:
        with connection.begin_nested():
            new: int = connection.execute(INSERT, told).scalar_one()
    except IntegrityError as error:
        raise BudgetRefused("overlap") from error
    return new


def change_budget(connection: Connection, budget: Budget, points: int) -> Budget:
    """Another number of points; returns the budget as it was. BudgetRefused below what is granted already.

    Only under `lock_budget`.
    """
    if points < budget.used:
        raise BudgetRefused("used", budget.used)
    told = {"enterprise": budget.enterprise_id, "id": budget.id, "points": points}
    connection.execute(CHANGE, told)
    return budget


def lock_budget(connection: Connection, enterprise: int, budget: int) -> Budget | None:
    """The budget, which nobody else uses or changes until the transaction ends."""
    row = connection.execute(LOCK, {"enterprise": enterprise, "id": budget}).one_or_none()
    return None if row is None else _budget(row)


def reserve(connection: Connection, *, enterprise: int, day: date, points: int) -> tuple[Budget | None, bool]:
    """Take `points` from the budget of that day: it, as it was, and whether they fit. Without one all fits.

    The budget stays locked until the transaction ends, so that two who grant at once are counted both.
    """
    row = connection.execute(LOCK_OF_DAY, {"enterprise": enterprise, "day": day}).one_or_none()
    if row is None:
        return None, True
    budget = _budget(row)
    if points > budget.left:
        return budget, False
    connection.execute(USE, {"enterprise": enterprise, "id": budget.id, "points": points})
    return budget, True


def give_back(connection: Connection, *, enterprise: int, budget: int, points: int) -> None:
    """What was reserved and then not granted."""
    connection.execute(USE, {"enterprise": enterprise, "id": budget, "points": -points})


def approval_points(connection: Connection, enterprise: int, *, lock: bool = False) -> int:
    """The most points that an order may have without a second person.

    With `lock`, nobody else sets it until the transaction ends.
    """
    if lock:
        lock_tree(connection, enterprise)  # the terms may have no row yet
    found = connection.execute(READ_TERMS, {"enterprise": enterprise}).scalar_one_or_none()
    return APPROVAL_POINTS if found is None else int(found)


def set_approval_points(connection: Connection, enterprise: int, points: int) -> None:
    """From now on; orders that wait already go on waiting."""
    connection.execute(SET_TERMS, {"enterprise": enterprise, "points": points})


def _budget(row: "object") -> Budget:
    id_, enterprise, since, until, points, used = tuple(row)  # type: ignore[arg-type, var-annotated]
    return Budget(id_, enterprise, since, None if until is None else until - timedelta(days=1), points, used)
