"""The first page: today's figures, the last days as charts, what waits; and finding things by number."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from admin import current
from admin.access import SIGNED_IN, requires
from admin.charts import Area, AreaChart, areas, shares, sparkline
from admin.language import gettext as _
from admin.language import language, points
from admin.transactions import asker
from ledger import point_orders
from ledger.businessday import business_date, date_at, read_calendar
from ledger.card_details import find_card
from ledger.database import Connection, Scope
from ledger.finding import is_transaction, member_of_code, transaction_of_txid
from ledger.totals import Figures, Line, Totals, figures, parts, totals
from ledger.transaction_names import names_of
from ledger.waiting import batches_that_differ, imports_to_look_at
from ledger.walks import NO_BOUND, Whose

__all__ = ["PERIODS", "blueprint"]

PERIODS = (7, 30, 90)  # days
TOP = 6
SPARK_HEIGHT = 44  # pixels
WORDS_MOST = 100

blueprint = Blueprint("home", __name__)


class Tile(NamedTuple):
    """A figure of today: its name, what it is, what else there is to say, and the days before as a line."""

    label: str
    value: str
    more: str
    spark: Area | None
    look: str


class Waiting(NamedTuple):
    """Something that waits for this person: how many, what they are, and the page to go to."""

    many: int | None
    words: str
    page: str


class Top(NamedTuple):
    """A merchant or a service: its name, the points redeemed there, and its bar in percent."""

    name: str
    spent: int
    share: float


class Day(NamedTuple):
    """One date of the chart's table."""

    date: date
    figures: Figures


class Overview(NamedTuple):
    """The figures of the page; `days` oldest first."""

    tiles: list[Tile]
    days: list[Day]
    chart: AreaChart
    top: list[Top]
    behind: int
    period: Figures
    previous: Figures | None


@blueprint.get("/")
@requires(SIGNED_IN)
def overview() -> ResponseReturnValue:
    """The first page: to each person the parts that they may see."""
    asked = request.args.get("days", "30")
    length = int(asked) if asked in {str(period) for period in PERIODS} else 30
    may, staff = current_user.permissions, current.staff()
    shown, views = None, "transactions.view" in may
    scope = staff.scope("transactions.view") if views else Scope.tenant(staff.tenant_id)
    with current.database().transaction(scope) as connection:
        today = business_date(connection)
        if views and today is not None:
            shown = _overview(connection, asker("transactions.view"), today, length)
    return render_template(
        "home/overview.html",
        shown=shown,
        today=today,
        length=length,
        periods=PERIODS,
        waiting=_waiting(today),
    )


def _overview(connection: Connection, whose: Whose, today: date, length: int) -> Overview:
    first = today - timedelta(days=length - 1)
    before = first - timedelta(days=length)
    found = totals(connection, whose, before, parts_since=first)
    by_day: dict[date, list[Line]] = {}
    for line in found.lines:
        by_day.setdefault(line.date, []).append(line)
    dates = [first + timedelta(days=n) for n in range(length)]
    days = [Day(each, figures(by_day.get(each, []))) for each in dates]
    earlier = [line for line in found.lines if line.date < first]
    return Overview(
        tiles=_tiles(whose, days, found),
        days=days,
        chart=areas([[day.figures.granted for day in days], [day.figures.spent for day in days]])
        if whose.kind != "merchant"
        else areas([[day.figures.spent for day in days]]),
        top=_top(connection, whose, found),
        behind=found.behind,
        period=figures(line for line in found.lines if line.date >= first),
        previous=figures(earlier) if earlier else None,
    )


def _tiles(whose: Whose, days: Sequence[Day], found: Totals) -> list[Tile]:
    """Today's figures, as far as they concern who asks."""
    now = days[-1].figures
    count = Tile(
        _("Transactions today"), points(now.count),
        _("%(share)s refused", share=_percent(now.refused_share)),
        _spark([day.figures.count for day in days]), "traffic",
    )  # fmt: skip
    spent = Tile(
        _("Points redeemed today"), points(now.spent),
        _("%(points)s given back", points=points(now.back)),
        _spark([day.figures.spent for day in days]), "spent",
    )  # fmt: skip
    refused = Tile(
        _("Refused today"), points(now.refused), _("of %(count)s", count=points(now.count)),
        _spark([day.figures.refused for day in days]), "refused",
    )  # fmt: skip
    terminals = Tile(
        _("Terminals in use today"), points(found.terminals), _("with a transaction"), None, "terminals"
    )
    whole = sum(day.figures.granted for day in days)
    granted = Tile(
        _("Points granted today"), points(now.granted),
        _("%(points)s in %(days)d days", points=points(whole), days=len(days)),
        _spark([day.figures.granted for day in days]), "granted",
    )  # fmt: skip
    match whose.kind:
        case "operator":
            return [spent, granted, count, terminals]
        case "enterprise":
            return [spent, granted, count, refused]
    return [spent, count, refused, terminals]


def _spark(values: Sequence[int]) -> Area | None:
    return sparkline(values, SPARK_HEIGHT) if any(values) else None


def _percent(share: float) -> str:
    return f"{share * 100:.1f}%"


def _top(connection: Connection, whose: Whose, found: Totals) -> list[Top]:
    """The merchants, or a merchant's services, that took the most points."""
    best = parts(found.parts, most=TOP)
    noun = "merchant"
    if whose.kind == "merchant":
        noun = "service_zh" if language() == "zh" else "service"
    names = names_of(connection, noun, [part.part_id for part in best])
    widths = shares([part.figures.spent for part in best])
    return [
        Top(names.get(part.part_id, f"#{part.part_id}"), part.figures.spent, width)
        for part, width in zip(best, widths, strict=True)
    ]


def _waiting(today: date | None) -> list[Waiting]:
    """What waits for this person, each in the scope of the permission that deals with it."""
    may, staff, found = current_user.permissions, current.staff(), []
    database = current.database()
    if may & {"points.approve", "points.confirm"}:
        decides = "points.approve" if "points.approve" in may else "points.confirm"
        with database.transaction(staff.scope(decides)) as connection:
            count = point_orders.waiting_for(connection, staff=staff.id, permissions=may)
        found.append(Waiting(count, _("Orders of points to decide"), url_for("points.waiting")))
    if "members.import" in may and staff.tenant_kind == "enterprise":
        scope = staff.scope("members.import")
        with database.transaction(scope) as connection:
            only = None if scope.units is None else staff.id
            count = imports_to_look_at(connection, staff.tenant_id, staff=only)
        found.append(Waiting(count, _("Checked files of members to confirm"), url_for("members.import_file")))
    if "terminals.view" in may and today is not None:
        with database.transaction(staff.scope("terminals.view")) as connection:
            count = batches_that_differ(connection, today)
        found.append(Waiting(count, _("Terminals whose last batch differs"), url_for("terminals.overview")))
    if "day.change" in may:
        with database.transaction(staff.scope("day.change")) as connection:
            due = date_at(current.now(), read_calendar(connection))
        if today is None or due > today:
            late = _("The business day is behind the calendar")
            found.append(Waiting(None, late, url_for("day.overview")))
    return [each for each in found if each.many != 0]


@blueprint.get("/find")
@requires(SIGNED_IN)
def find() -> ResponseReturnValue:
    """The page of a card, a member or a transaction by its number; else a page that says what to type."""
    words = request.args.get("q", "").strip()[:WORDS_MOST]
    target = _target(words) if words and "\x00" not in words else None
    if target is not None:
        return redirect(target, code=303)
    return render_template("home/find.html", words=words), 404 if words else 200


def _target(words: str) -> str | None:
    may, staff, database = current_user.permissions, current.staff(), current.database()
    digits = words.replace(" ", "")
    if "cards.view" in may and len(digits) == 16:
        with database.transaction(staff.scope("cards.view")) as connection:
            if find_card(connection, digits) is not None:
                return url_for("cards.card", number=digits)
    if "members.view" in may:
        with database.transaction(staff.scope("members.view")) as connection:
            member = member_of_code(connection, words)
        if member is not None:
            return url_for("members.one", member=member)
    if "transactions.view" in may:
        with database.transaction(staff.scope("transactions.view")) as connection:
            transaction = _transaction(connection, words)
        if transaction is not None:
            return url_for("transactions.one", transaction=transaction)
    return None


def _transaction(connection: Connection, words: str) -> int | None:
    digits = words.removeprefix("#")
    if digits.isascii() and digits.isdigit() and len(digits) <= 19 and int(digits) < NO_BOUND:
        return int(digits) if is_transaction(connection, int(digits)) else None
    try:
        return transaction_of_txid(connection, UUID(words))
    except ValueError:
        return None
