"""Due dates keep their meaning: a whole day is the same day in every time zone, an instant is the same instant.

Both are stored as their last moment, so that they sort together: a whole day after the instants of that day in UTC. A
flag tells a whole day from an instant.
"""

import re
from datetime import UTC, date, datetime, time
from typing import NamedTuple

# RFC 3339 section 5.6, with the case of T and Z as it allows; leap seconds excepted.
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:[0-5]\d)?", re.ASCII)

END_OF_DAY = time(23, 59, 59, 999999, UTC)


class Due(NamedTuple):
    """The last moment at which the task is not overdue, and whether it is a whole day."""

    at: datetime
    all_day: bool


def read_due(text: str) -> Due:
    """Read a date or a date-time; raises ValueError with a sentence for the client."""
    if DATE.fullmatch(text):
        return Due(end_of(read_date(text)), all_day=True)
    found = DATE_TIME.fullmatch(text)
    if found is None:
        raise ValueError("Must be a date like 2026-12-31, or a date-time like 2026-12-31T17:00:00+05:00.")
    day, clock, fraction, offset = found.groups()
    if offset is None:
        raise ValueError(f"Must have an offset from UTC: {text}Z for UTC, or one like {text}+05:00.")
    microseconds = (fraction or ".0")[:7]
    try:
        at = datetime.fromisoformat(f"{day}T{clock}{microseconds:0<7}{offset.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("Is not a time that exists between the years 1 and 9999 in UTC.") from None
    return Due(at, all_day=False)


def read_date(text: str) -> date:
    """Read a date; raises ValueError with a sentence for the client."""
    try:
        if DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        raise ValueError("Is not a day of the calendar.") from None
    raise ValueError("Must be a date like 2026-12-31.")


def start_of(day: date) -> datetime:
    """Return the first moment of a day in UTC."""
    return datetime.combine(day, time(tzinfo=UTC))


def end_of(day: date) -> datetime:
    """Return the last moment of a day in UTC, in microseconds as PostgreSQL has them."""
    return datetime.combine(day, END_OF_DAY)
