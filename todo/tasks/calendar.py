"""The calendar: the open tasks with a due date as an iCalendar file, to which calendars subscribe."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from flask import Blueprint, Response, g
from sqlalchemy import ARRAY, ColumnElement, Text, all_, bindparam, cast, literal_column, select, true
from sqlalchemy import func as sql

from todo.database.feeds import Feed
from todo.database.isolation import fetch
from todo.database.page_sizes import PAGE_BYTES, cut_page
from todo.database.paging import SIZE
from todo.database.resource import OWNER
from todo.database.statements import Statement, row_of
from todo.tasks.events import write_calendar
from todo.tasks.models import Task
from todo.tasks.recurrence.successors import write_local, write_next_day, write_zone
from todo.tasks.resource import TASKS
from todo.web.conditions import read_expected
from todo.web.endpoints import File, endpoint
from todo.web.icalendar import write_file
from todo.web.responses import CompleteResponse, empty_response
from todo.web.schemas import MAX_LISTED

calendar = Blueprint("calendar", __name__)

# Part of the ETag: another release may write another file of the same tasks.
FORMAT = "1"
FILE = File("text/calendar", "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Todo API//Tasks//EN\r\nEND:VCALENDAR\r\n")
KNOWN = bindparam("known", type_=ARRAY(Text))
DUE_DAY = f"CAST({write_local('page.due_at', write_zone('page.recurrence'), 'page.due_all_day')} AS date)"


@cache
def build_calendar() -> Statement[Any]:
    """Build the statement of the calendar: one row for each task, with the ``tag`` of the user's last write.

    If the tag is among ``known``, or if that is NULL, no task is read. Without tasks, there is one row, in which all
    but the tag is NULL. The last due come first. ``bytes`` is the size of the rows so far (page_sizes.py).
    """
    table, feeds = TASKS.table, Feed.__table__
    user = select(OWNER.label("user_id")).subquery()
    epoch, change = sql.coalesce(sql.replace(cast(feeds.c.epoch, Text), "-", ""), "0"), sql.coalesce(feeds.c.change, 0)
    tag = sql.concat(bindparam("format", type_=Text), epoch, ".", change).label("tag")
    counter = select(tag).select_from(user.outerjoin(feeds, feeds.c.user_id == OWNER)).cte("counter")
    rows = select(*TASKS.columns, table.c.anchor).where(
        TASKS.is_own,
        ~table.c.completed,
        table.c.due_at.is_not(None),
        select(counter.c.tag).scalar_subquery() != all_(KNOWN),
    )
    rows = rows.order_by(*list_order(table)).limit(SIZE)
    page = cut_page(rows.subquery(), TASKS.texts, list_order).subquery("page")
    source = counter.outerjoin(page, true())
    statement = select(page, write_day("rule_day", f"{DUE_DAY} - 1"), write_day("next_day", DUE_DAY), counter.c.tag)
    names = [*TASKS.row.names, "anchor", "bytes", "rule_day", "next_day", "tag"]
    return Statement(statement.select_from(source).order_by(*list_order(page)), row=row_of(Task, names))


def list_order(rows: Any) -> list[ColumnElement[Any]]:
    """Return the ORDER BY: the last due first, because a calendar is for the days to come."""
    return [rows.c.due_at.desc(), rows.c.due_all_day.desc(), rows.c.id.desc()]


def write_day(name: str, after: str) -> ColumnElement[Any]:
    """Return a column with the first day of a task's rule after a day; NULL if it depends on the completion.

    It is a text, because Python has no date after the year 9999.
    """
    day = write_next_day("page.recurrence ->> 'rule'", "page.anchor", after)
    return literal_column(f"CASE WHEN page.recurrence ->> 'from' = 'due' THEN CAST({day} AS text) END").label(name)


@calendar.get("/calendar.ics")
@endpoint(reads=["If-None-Match"], responses={200: FILE, 304: None}, sends=["ETag"])
def get_calendar() -> Response:
    """Get the calendar.

    Your open tasks with a due date as an iCalendar file (RFC 5545), for programs that subscribe to calendars. A whole
    day is a day, a recurring task a repeated event, and ``remind_at`` an alarm. At most the 1,000 tasks that are due
    last.
    """
    year, known = datetime.now(UTC).year, read_expected().refused
    values = {"owner": g.user_id, "format": f"{year}{FORMAT}", "known": known, "size": MAX_LISTED + 1}
    found: Sequence[Any] = fetch(g.user_id, build_calendar(), values, repeatable=True)
    tag = found[0].tag
    if known is None or tag in known:
        response = empty_response(304)
    else:
        rows = [row for row in found if row.id is not None]
        shown = rows[: len(rows) - 1 if rows and rows[-1].bytes > PAGE_BYTES else MAX_LISTED]
        lines = write_calendar(shown, year - 1, is_complete=len(shown) == len(rows))
        response = CompleteResponse(write_file(lines), content_type=f"{FILE.media_type}; charset=utf-8")
        response.headers["Content-Disposition"] = 'inline; filename="tasks.ics"'
    response.headers["ETag"] = f'"{tag}"'
    return response
