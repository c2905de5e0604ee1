"""The business day: which date is open, those before it, and opening the next one by hand."""

from datetime import date, timedelta

from flask import Blueprint, current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from admin import current
from admin.access import requires
from admin.forms import MarkedForm
from admin.language import day as day_text
from admin.language import gettext as _
from ledger import businessday
from ledger.businessday import Calendar, ClockWrong, DayBusy, date_at, read_calendar
from ledger.days import Day, latest_days

__all__ = ["DAYS_MOST", "blueprint"]

DAYS_MOST = 31  # the open one and a month before it

blueprint = Blueprint("day", __name__)


@blueprint.get("/day")
@requires("day.view")
def overview() -> ResponseReturnValue:
    """The open date, the calendar, and the days before."""
    return _page()


@blueprint.route("/day/next", methods=["GET", "POST"])
@requires("day.change")
def open_next() -> ResponseReturnValue:
    """Ask whether the next date is to be opened now; and open it."""
    days, calendar = _read()
    following = _following(days, calendar)
    form = MarkedForm()
    if form.validate_on_submit():
        return _open(form.mark.data or "")
    if following is None:
        return _page(_too_far()), 409
    form.mark.data = following.isoformat()
    return render_template("day/next.html", form=form, present=days[0].date, following=following)


def _open(wanted: str) -> ResponseReturnValue:
    """Open the date that the form was made for; sent twice, it finds it open."""
    try:
        following = date.fromisoformat(wanted)
    except ValueError:
        return _page(_too_far()), 409
    try:
        with current.database().transaction(current.scope()) as connection:
            present = businessday.business_date(connection)
            opened = businessday.advance(connection, following, None)  # by the database's clock
    except ClockWrong:
        return _page(_too_far()), 409
    except DayBusy:
        busy = _("A purchase is still being booked, so the day stays open. Try again in a moment.")
        return _page(busy), 409
    if opened == present or opened != following:
        flash(_("%(date)s is open already. Nothing was changed.", date=day_text(opened)), "wait")
    else:
        current_app.logger.warning("staff %d opened the business date %s", current.staff().id, opened)
        flash(_("%(date)s is open: everything is booked on it from now on.", date=day_text(opened)))
    return redirect(url_for("day.overview"), code=303)


def _too_far() -> str:
    return _(
        "The next date cannot be opened yet: it would be more than a day ahead of the calendar. "
        "Nothing was changed."
    )


def _read() -> tuple[list[Day], Calendar]:
    with current.database().transaction(current.scope()) as connection:
        return latest_days(connection, most=DAYS_MOST), read_calendar(connection)


def _following(days: list[Day], calendar: Calendar) -> date | None:
    """The date to open next, at most a day ahead of the calendar's; None when there is none to open."""
    due = date_at(current.now(), calendar)
    if not days:
        return None
    following = max(days[0].date + timedelta(days=1), due)
    return following if following <= due + timedelta(days=1) else None


def _page(refused: str | None = None) -> str:
    days, calendar = _read()
    now = current.now()
    return render_template(
        "day/overview.html",
        days=days,
        calendar=calendar,
        due=date_at(now, calendar),
        following=_following(days, calendar),
        turns_at=businessday.begins_at(days[0].date + timedelta(days=1), calendar) if days else None,
        refused=refused,
        now=now,
    )
