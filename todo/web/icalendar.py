"""iCalendar files (RFC 5545): content lines, texts, times, durations and time zones."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

# In octets, without the line break (section 3.1).
MAX_LINE = 75
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
# Section 3.3.11 allows no control characters but tabs. Some readers end a line at these, as Python's splitlines() does.
BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
ESCAPES = {
    **dict.fromkeys([*range(9), *range(10, 32), 127]),
    **{ord(each): "\\n" for each in BREAKS},
    **{ord(each): f"\\{each}" for each in "\\;,"},
}
MINUTE, WEEK = timedelta(minutes=1), timedelta(weeks=1)
# The years of a time zone's changes, from the year before this one.
YEARS = 12


class Change(NamedTuple):
    """A change of a time zone's offset from UTC: the local time before it, and the offsets before and after it."""

    local: datetime
    before: timedelta
    after: timedelta


def write_file(lines: Iterable[str]) -> bytes:
    """Return a file of content lines."""
    return b"".join(b"%b\r\n" % fold(line) for line in lines)


def fold(line: str) -> bytes:
    """Return a content line that is folded at 75 octets, between characters (section 3.1)."""
    octets = line.encode()
    parts, start, room = [], 0, MAX_LINE
    while start + room < len(octets):
        end = start + room
        while octets[end] & 0xC0 == 0x80:  # Inside a character of UTF-8.
            end -= 1
        parts.append(octets[start:end])
        start, room = end, MAX_LINE - 1  # A space begins the next part.
    return b"\r\n ".join([*parts, octets[start:]])


def escape(text: str) -> str:
    """Return a text as the value of a property (section 3.3.11)."""
    return text.replace("\r\n", "\n").translate(ESCAPES)


def write_utc(time: str) -> str:
    """Return a date-time in UTC, without its fraction (section 3.3.5). ``time`` is as RFC 3339 writes it."""
    return f"{time[:19].replace('-', '').replace(':', '')}Z"


def write_date(day: date) -> str:
    """Return a date (section 3.3.4)."""
    return day.isoformat().replace("-", "")


def write_local(time: datetime) -> str:
    """Return a date-time without a time zone (section 3.3.5)."""
    return time.isoformat(timespec="seconds")[:19].replace("-", "").replace(":", "")


def write_duration(duration: timedelta) -> str:
    """Return a duration (section 3.3.6). Days are those of the calendar, also where a clock changes."""
    seconds = abs(duration) // timedelta(seconds=1)
    days, (hours, minutes), seconds = seconds // 86400, divmod(seconds // 60 % 1440, 60), seconds % 60
    return f"{'-' * (duration < timedelta())}P{days}DT{hours}H{minutes}M{seconds}S"


@lru_cache(maxsize=1024)
def write_time_zone(name: str, year: int) -> tuple[str, ...]:
    """Return the VTIMEZONE of an IANA time zone (section 3.6.5) for the years from ``year`` on.

    A change that comes by the same rule each year is written as a rule: Outlook reads nothing else. Other changes are
    listed, for YEARS.
    """
    start = datetime(year, 1, 1, tzinfo=UTC)
    changes = list(find_changes(ZoneInfo(name), start, start.replace(year=year + YEARS)))
    kinds: defaultdict[tuple[object, ...], list[Change]] = defaultdict(list)
    for change in changes:
        kinds[change.before, change.after, change.local.month, change.local.time()].append(change)
    first = start.astimezone(ZoneInfo(name))
    offset = first.utcoffset() or timedelta()
    written = [] if changes else [*write_change(Change(first.replace(tzinfo=None), offset, offset))]
    for alike in kinds.values():
        if rule := find_rule(alike):
            written += write_change(alike[0], rule)
        else:
            written += [line for change in alike for line in write_change(change)]
    return ("BEGIN:VTIMEZONE", f"TZID:{name}", *written, "END:VTIMEZONE")


def find_changes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[Change]:
    """Yield the changes between two times in UTC."""
    while start < end:
        first, last = start, start + WEEK
        before, after = (each.astimezone(zone).utcoffset() or timedelta() for each in (first, last))
        if before != after:
            while last - first > MINUTE:
                middle = first + (last - first) // MINUTE // 2 * MINUTE
                if middle.astimezone(zone).utcoffset() == before:
                    first = middle
                else:
                    last = middle
            yield Change((last + before).replace(tzinfo=None), before, after)
        start += WEEK


def find_rule(changes: list[Change]) -> str | None:
    """Return the rule of changes, such as the last Sunday of each March; None if there is none."""
    days = [change.local for change in changes]
    weekdays = {WEEKDAYS[day.weekday()] for day in days}
    places = {(day.day - 1) // 7 + 1 for day in days}
    if all((day + WEEK).month != day.month for day in days):
        places = {-1}
    if len(days) < YEARS or len(weekdays) > 1 or len(places) > 1:
        return None
    return f"FREQ=YEARLY;BYMONTH={days[0].month};BYDAY={places.pop()}{weekdays.pop()}"


def write_change(change: Change, rule: str | None = None) -> Iterator[str]:
    """Yield the lines of a change, with the rule by which it is repeated."""
    kind = "DAYLIGHT" if change.after > change.before else "STANDARD"
    yield f"BEGIN:{kind}"
    yield f"DTSTART:{write_local(change.local)}"
    if rule:
        yield f"RRULE:{rule}"
    yield f"TZOFFSETFROM:{write_offset(change.before)}"
    yield f"TZOFFSETTO:{write_offset(change.after)}"
    yield f"END:{kind}"


def write_offset(offset: timedelta) -> str:
    """Return an offset from UTC (section 3.3.14)."""
    minutes = abs(offset) // MINUTE
    return f"{'-' if offset < timedelta() else '+'}{minutes // 60:02}{minutes % 60:02}"
