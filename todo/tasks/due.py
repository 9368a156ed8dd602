"""Due dates keep their meaning: a whole day is the same day in every time zone, an instant is the same instant.

Both are stored as their last moment, so that they sort together: a whole day after the instants of that day in UTC. A
flag tells a whole day from an instant.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

# RFC 3339 section 5.6, with the case of T and Z as it allows; leap seconds excepted.
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d)(?:(:\d\d)(\.\d+)?)?([Zz]|[+-]\d\d:[0-5]\d)?", re.ASCII)

FORMS = "a date like 2026-12-31, or a date-time like 2026-12-31T17:00:00+05:00"
END_OF_DAY = time(23, 59, 59, 999999, UTC)
MICROSECOND = timedelta(microseconds=1)


class Due(NamedTuple):
    """The last moment at which the task is not overdue, and whether it is a whole day."""

    at: datetime
    all_day: bool


def read_due(text: str) -> Due:
    """Read a date or a date-time; raises ValueError with a sentence for the client."""
    if DATE.fullmatch(text):
        return Due(end_of(read_date(text)), all_day=True)
    if DATE_TIME.fullmatch(text) is None:
        raise ValueError(f"Must be {FORMS}, or null.")
    return Due(read_instant(text), all_day=False)


def read_instant(text: str, forms: str = FORMS) -> datetime:
    """Read a date-time; raises ValueError with a sentence for the client, which names the allowed ``forms``."""
    found = DATE_TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"Must be {forms}.")
    day, clock, seconds, fraction, offset = found.groups()
    if seconds is None or offset is None:
        missing = [*(["seconds"] if seconds is None else []), *(["an offset from UTC"] if offset is None else [])]
        whole = f"{day}T{clock}{seconds or ':00'}{fraction or ''}"
        raise ValueError(f"Must have {' and '.join(missing)}: {whole}Z for UTC, or one like {whole}+05:00.")
    microseconds = (fraction or ".0")[:7]
    try:
        return datetime.fromisoformat(f"{day}T{clock}{seconds}{microseconds:0<7}{offset.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("Is not a time that exists between the years 1 and 9999 in UTC.") from None


def read_date(text: str) -> date:
    """Read a text in the form of DATE; raises ValueError with a sentence for the client."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("Is not a day of the calendar.") from None


def start_of(day: date) -> datetime:
    """Return the first moment of a day in UTC."""
    return datetime.combine(day, time(tzinfo=UTC))


def end_of(day: date) -> datetime:
    """Return the last moment of a day in UTC, in microseconds as PostgreSQL has them."""
    return datetime.combine(day, END_OF_DAY)


class Limits(NamedTuple):
    """The first or last moments, as stored, of the whole days and of the instants that a filter selects."""

    days: datetime
    instants: datetime


def find_last(limit: date, zone: tzinfo) -> Limits:
    """Return the last moments that are due by a day or a datetime.

    In the time zone, an instant belongs to its local day, and a whole day is due at the end of that day.
    """
    if not isinstance(limit, datetime):
        return Limits(end_of(limit), end_in(limit, zone))
    day = limit.astimezone(zone).date()
    return Limits(end_of(day) if limit == end_in(day, zone) else start_of(day), limit)


def find_first(limit: date, zone: tzinfo) -> Limits:
    """Return the first moments that are due from a day or a datetime on."""
    if not isinstance(limit, datetime):
        return Limits(start_of(limit), start_in(limit, zone))
    return Limits(start_of(limit.astimezone(zone).date()), limit)


def start_in(day: date, zone: tzinfo) -> datetime:
    """Return the first moment of a day in a time zone; the first moment of all if it is before the year 1 in UTC."""
    try:
        return datetime.combine(day, time(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        return start_of(date.min)


def end_in(day: date, zone: tzinfo) -> datetime:
    """Return the last moment of a day in a time zone; the last moment of all if it is after the year 9999 in UTC."""
    try:
        return datetime.combine(day + timedelta(days=1), time(tzinfo=zone)).astimezone(UTC) - MICROSECOND
    except OverflowError:
        return end_of(date.max)
