"""The room of points. Its first page: what expires, on which day, how many, of how many members."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from admin import current, point_budget, point_new, point_orders
from admin.access import requires
from admin.charts import bars
from admin.point_words import fault_words, line_outcome, order_kind, order_paid, order_standing
from ledger.businessday import business_date
from ledger.reports import Expiring, expiring

__all__ = ["LINES_MOST", "MONTHS", "blueprint"]

MONTHS = 12
LINES_MOST = 400  # a year of days, and some with several funders

blueprint = Blueprint("points", __name__)
for pages in (point_orders, point_new, point_budget):
    pages.add_pages(blueprint)
for word in (fault_words, line_outcome, order_kind, order_paid, order_standing):
    blueprint.add_app_template_filter(word)


class Month(NamedTuple):
    """What expires in a month of the calendar, named by its first day."""

    first: date
    points: int


@blueprint.get("/points")
@requires("points.view")
def overview() -> ResponseReturnValue:
    """The next twelve months: a bar a month, and a table of the days."""
    with current.database().transaction(current.scope()) as connection:
        today = business_date(connection)
        until = None if today is None else _last_day(today)
        lines = [] if until is None else expiring(connection, until=until, most=LINES_MOST + 1)
    if len(lines) > LINES_MOST:  # the last day that is shown is shown whole
        lines = [line for line in lines if line.last_day < lines[-1].last_day]
        until = lines[-1].last_day if lines else today
    months = [] if today is None else _by_month(lines, today)
    return render_template(
        "points/expiring.html",
        lines=lines,
        months=months,
        chart=bars([month.points for month in months]) if lines else None,
        total=sum(line.points for line in lines),
        held=sum(line.held for line in lines),
        today=today,
        until=until,
        funders=len({line.funder_id for line in lines}) > 1,
    )


def _last_day(today: date) -> date:
    """The last day of the eleventh month after this one: twelve whole months with the present one."""
    year, month = divmod(today.year * 12 + today.month - 1 + MONTHS, 12)
    return date.fromordinal(date(year, month + 1, 1).toordinal() - 1)


def _by_month(lines: Sequence[Expiring], today: date) -> list[Month]:
    sums = dict.fromkeys((_first(today, ahead) for ahead in range(MONTHS)), 0)
    for line in lines:
        sums[line.last_day.replace(day=1)] += line.points
    return [Month(first, points) for first, points in sums.items()]


def _first(today: date, ahead: int) -> date:
    year, month = divmod(today.year * 12 + today.month - 1 + ahead, 12)
    return date(year, month + 1, 1)
