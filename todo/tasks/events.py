"""Tasks as events of iCalendar (RFC 5545). They are no VTODO, because Google, iOS and Fastmail show only events."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from todo.tasks.due import end_in
from todo.web.icalendar import (
    WEEKDAYS,
    YEARS,
    escape,
    write_date,
    write_duration,
    write_local,
    write_time_zone,
    write_utc,
)

DAY = timedelta(days=1)
# Section 3.8.1.9.
PRIORITIES = {"high": 1, "medium": 5, "low": 9}
# No METHOD: the file is no message of a schedule, and DTSTAMP is then the time of the last change (section 3.8.7.2).
HEADER = (
    "BEGIN:VCALENDAR",
    "VERSION:2.0",
    "PRODID:-//Todo API//Tasks//EN",
    # RFC 7986, and the names that calendars had before it.
    *("NAME:Tasks", "X-WR-CALNAME:Tasks", "REFRESH-INTERVAL;VALUE=DURATION:PT1H", "X-PUBLISHED-TTL:PT1H"),
)
INCOMPLETE = "Incomplete: the file has no room for the tasks that were due first."


def write_calendar(tasks: Sequence[Any], year: int, *, is_complete: bool) -> Iterator[str]:
    """Yield the content lines of a calendar; see ``write_task``. Changes of clocks are listed from the year on."""
    yield from HEADER
    if not is_complete:
        yield from (f"DESCRIPTION:{INCOMPLETE}", f"X-WR-CALDESC:{INCOMPLETE}")
    zones = {task.recurrence["time_zone"] for task in tasks if task.recurrence and not task.due_all_day}
    for zone in sorted(zones - {"UTC"}):
        yield from write_time_zone(zone, year)
    for task in tasks:
        yield from write_task(task)
    yield "END:VCALENDAR"


def write_task(task: Any) -> Iterator[str]:
    """Yield the content lines of a task's events.

    ``task`` has the columns of a task, the ``anchor``, and two days as texts: the first day of its rule from the due
    day on, as ``rule_day``, and the ``next_day`` of the rule after the due day. They are None if they depend on the
    completion. If the task was moved off its pattern, there is a second event from the next day on.
    """
    rule = task.recurrence
    local = find_local(task) if rule else None
    if local is None:
        yield from write_event(task, task.uid, write_moment(task))
        return
    zone = rule["time_zone"] or "UTC"
    # Each occurrence has its own alarm, so it is relative to the local start.
    reminder = find_clock(task.remind_at, zone) if task.remind_at else None
    alarm = None if reminder is None else write_duration(reminder - local)
    # An event cannot begin at the second of two equal local times, when a clock is set back.
    if task.rule_day == local.date().isoformat() and not local.fold:
        times = [*write_start(task, local, zone), *write_rule(task, local, zone)]
        yield from write_event(task, task.uid, times, alarm)
        return
    yield from write_event(task, task.uid, write_moment(task))
    if task.next_day is not None and len(task.next_day) == len("9999-12-31"):
        following = datetime.combine(date.fromisoformat(task.next_day), local.time())
        times = [*write_start(task, following, zone), *write_rule(task, following, zone)]
        yield from write_event(task, f"{task.uid}-next", times, alarm)


def find_local(task: Any) -> datetime | None:
    """Return the local time at which a recurring task is due, midnight for a whole day; None as find_clock does.

    It is that of the rule, also on a day on which a clock skips it (section 3.3.5).
    """
    if task.due_all_day:
        return datetime.fromisoformat(task.due_at[:10])
    zone = task.recurrence["time_zone"]
    local = find_clock(task.due_at, zone)
    usual = local and datetime.combine(local.date(), task.anchor.time())
    is_usual = usual and usual.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) == datetime.fromisoformat(task.due_at)
    return usual if is_usual else local


def find_clock(time: str, zone: str) -> datetime | None:
    """Return the local time in a time zone; None if it is outside the years 1 to 9999."""
    try:
        return datetime.fromisoformat(time).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    except OverflowError:
        return None


def write_event(task: Any, uid: str, times: Sequence[str], alarm: str | None = None) -> Iterator[str]:
    """Yield the lines of an event (section 3.6.1), which blocks no time. ``alarm`` is relative to its start."""
    changed = write_utc(task.updated_at)
    yield from ("BEGIN:VEVENT", f"UID:{uid}", f"DTSTAMP:{changed}", f"LAST-MODIFIED:{changed}")
    yield f"CREATED:{write_utc(task.created_at)}"
    yield from times
    yield f"SUMMARY:{escape(task.title)}"
    if task.description:
        yield f"DESCRIPTION:{escape(task.description)}"
    if task.tags:
        yield f"CATEGORIES:{','.join(map(escape, task.tags))}"
    if task.priority:
        yield f"PRIORITY:{PRIORITIES[task.priority]}"
    yield "TRANSP:TRANSPARENT"
    if task.remind_at:
        trigger = f":{alarm}" if alarm else f";VALUE=DATE-TIME:{write_utc(task.remind_at)}"
        yield from ("BEGIN:VALARM", "ACTION:DISPLAY", f"DESCRIPTION:{escape(task.title)}")
        yield from (f"TRIGGER{trigger}", "END:VALARM")
    yield "END:VEVENT"


def write_moment(task: Any) -> list[str]:
    """Return the start, and the end of a whole day, of an event that is not repeated."""
    if task.due_all_day:
        return write_start(task, datetime.fromisoformat(task.due_at[:10]), "UTC")
    return [f"DTSTART:{write_utc(task.due_at)}"]


def write_start(task: Any, local: datetime, zone: str) -> list[str]:
    """Return the start of an event. The end of a whole day is the day after it (section 3.6.1), if there is one."""
    start = write_times("DTSTART", task, [local], zone)
    if not task.due_all_day or local.date() == date.max:
        return [start]
    return [start, write_times("DTEND", task, [local + DAY], zone)]


def write_rule(task: Any, start: datetime, zone: str) -> list[str]:
    """Return a rule that does not depend on the start of the event, and the days that it lacks (section 3.8.5)."""
    parts: dict[str, str] = dict(part.split("=") for part in task.recurrence["rule"].split(";"))
    anchor, until, missing = task.anchor.date(), parts.pop("UNTIL", None), []
    if parts["FREQ"] == "WEEKLY":
        parts.setdefault("BYDAY", WEEKDAYS[anchor.weekday()])
    elif parts["FREQ"] == "YEARLY":
        # The last day of February, if the anchor is 29 February.
        month_day = -1 if (anchor.month, anchor.day) == (2, 29) else anchor.day
        parts |= {"BYMONTH": str(anchor.month), "BYMONTHDAY": str(month_day)}
    elif parts["FREQ"] == "MONTHLY" and parts.keys().isdisjoint({"BYDAY", "BYMONTHDAY"}):
        parts["BYMONTHDAY"] = "-1" if anchor.day == 31 else str(anchor.day)
        missing = list(find_short_months(anchor, int(parts.get("INTERVAL", 1)), start.date()))
    if until is not None:
        last = date.fromisoformat(until)
        missing = [day for day in missing if day <= last]
        parts["UNTIL"] = until if task.due_all_day else f"{write_local(end_in(last, ZoneInfo(zone)))}Z"
    times = [datetime.combine(day, start.time()) for day in missing]
    lines = [f"RRULE:{';'.join(f'{name}={value}' for name, value in parts.items())}"]
    return [*lines, write_times("RDATE", task, times, zone)] if times else lines


def find_short_months(anchor: date, interval: int, start: date) -> Iterator[date]:
    """Yield the last day of each February that is shorter than the anchor's day, where this is 29 or 30.

    A single rule could say it with BYSETPOS, which Outlook and Thunderbird do not read for days of a month.
    """
    for year in range(start.year, min(start.year + YEARS, date.max.year)) if anchor.day in {29, 30} else ():
        day = date(year, 3, 1) - DAY
        if day >= start and day.day < anchor.day and ((year - anchor.year) * 12 + 2 - anchor.month) % interval == 0:
            yield day


def write_times(name: str, task: Any, times: Sequence[datetime], zone: str) -> str:
    """Return a property with local times, or with whole days."""
    if task.due_all_day:
        return f"{name};VALUE=DATE:{','.join(write_date(time.date()) for time in times)}"
    written = [write_local(time) for time in times]
    return (
        f"{name}:{','.join(f'{time}Z' for time in written)}"
        if zone == "UTC"
        else f"{name};TZID={zone}:{','.join(written)}"
    )
