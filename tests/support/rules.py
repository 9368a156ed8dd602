"""Recurring tasks by other people's code: the days of a rule by dateutil, and local times by Python's time zones.

dateutil and datetime know the years 1 to 9999. The calendar repeats after 400 years, so days and times of other years
are computed some cycles earlier or later. Days are numbers from 0001-01-01, which is 1. Times are in microseconds.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from todo.tasks.recurrence.rules import FREQUENCIES, MAX_WEEKS, read_rule
from todo.tasks.zones import ZoneName, list_zones
from todo.web.icalendar import WEEKDAYS

CYCLE_DAYS, CYCLE_MONTHS = 146_097, 4800
SECOND = 1_000_000
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
CYCLE = CYCLE_DAYS * DAY
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY = EPOCH.toordinal()
MICROSECOND = timedelta(microseconds=1)


def write_micros(moment: datetime) -> int:
    """Return the microseconds since 1970 of a moment, or of a local time as if it were in UTC."""
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - EPOCH) // MICROSECOND


FIRST, LAST = write_micros(datetime(1, 1, 1)), write_micros(datetime(9999, 12, 31, 23, 59, 59, 999999))  # noqa: DTZ001
# Far enough from both ends for any offset from UTC. Time zones have no changes outside.
EARLY, LATE = write_micros(datetime(3, 1, 1)), write_micros(datetime(9990, 1, 1))  # noqa: DTZ001


class Successor(NamedTuple):
    """When a successor is due and reminds, in microseconds since 1970, and from which local time its rule counts."""

    due: int
    reminder: int | None
    anchor: int


@dataclass(frozen=True)
class Completed:
    """A recurring task, and the moment of its completion."""

    rule: str
    is_from_due: bool
    zone: str | None
    all_day: bool
    due: int
    reminder: int | None
    anchor: int
    now: int

    @property
    def place(self) -> ZoneInfo:
        return ZoneInfo(self.zone or "UTC")

    @property
    def due_place(self) -> ZoneInfo:
        return ZoneInfo("UTC") if self.all_day else self.place

    def find_successor(self) -> Successor | None:
        """Return the task that follows."""
        zone = self.place
        due, today = find_local(self.due, self.due_place), find_day(find_local(self.now, zone))
        # A time that the clock skipped on this day counts again on the next one.
        kept = find_start(find_day(due)) + self.anchor % DAY
        clock = (kept if not self.all_day and find_moment(kept, zone) == self.due else due) % DAY
        start = find_day(self.anchor)
        if self.is_from_due:
            day = find_next_day(self.rule, start, max(find_day(due), today - 1))
        else:
            day = find_next_day(self.rule, today, today)
        if day is None:
            return None
        new_due = find_moment(find_start(day) + clock, self.due_place)
        reminder = None
        if self.reminder is not None:
            local = find_local(self.reminder, zone)
            # Never before the second day of the calendar.
            reminder = find_moment(local + max(day - find_day(due), 2 - find_day(local)) * DAY, zone)
        if any(moment is not None and not FIRST <= moment <= LAST for moment in (new_due, reminder)):
            return None
        return Successor(new_due, reminder, find_start(start if self.is_from_due else day) + clock)


def find_start(day: int) -> int:
    """Return the local time at which a day starts."""
    return (day - EPOCH_DAY) * DAY


def find_day(local: int) -> int:
    return local // DAY + EPOCH_DAY


def find_cycles(micros: int) -> int:
    """Return what moves a time to a year in which Python can convert it."""
    return max(0, (EARLY - micros) // CYCLE + 1) * CYCLE - max(0, (micros - LATE) // CYCLE + 1) * CYCLE


def find_local(moment: int, zone: ZoneInfo) -> int:
    """Return the local time of a moment."""
    cycles = find_cycles(moment)
    local = (EPOCH + (moment + cycles) * MICROSECOND).astimezone(zone)
    return write_micros(local.replace(tzinfo=UTC)) - cycles


def find_moment(local: int, zone: ZoneInfo, fold: int = 0) -> int:
    """Return the moment of a local time: of two, the first; one that a clock skips has the offset before."""
    cycles = find_cycles(local)
    there = (EPOCH + (local + cycles) * MICROSECOND).replace(tzinfo=zone, fold=fold)
    return write_micros(there.astimezone(UTC)) - cycles


def find_date(day: int) -> tuple[int, date]:
    """Return cycles, and the date of a day without these."""
    cycles = (day - 500_000) // CYCLE_DAYS
    return cycles, date.fromordinal(day - cycles * CYCLE_DAYS)


def count_months(day: int) -> int:
    cycles, there = find_date(day)
    return cycles * CYCLE_MONTHS + there.year * 12 + there.month - 1


def find_next_day(rule: str, anchor: int, after: int) -> int | None:
    """Return the first day of a rule after a day. dateutil begins some periods before, instead of at the anchor."""
    parts = dict(part.split("=") for part in rule.split(";"))
    until, every = parts.pop("UNTIL", None), int(parts.get("INTERVAL", 1))
    after, day_of_month = max(after, anchor - 1), find_date(anchor)[1]
    if parts["FREQ"] in {"DAILY", "WEEKLY"}:
        period = every * (1 if parts["FREQ"] == "DAILY" else 7)
        cycles, start = find_date(anchor + period * max(0, (after - anchor) // period - 1))
    else:
        period = every * (1 if parts["FREQ"] == "MONTHLY" else 12)
        periods = max(0, (count_months(after) - count_months(anchor)) // period - 1)
        cycles, start = find_date(anchor)
        if periods:
            months = count_months(anchor) + period * periods
            cycles = months // CYCLE_MONTHS - 1
            year, month = divmod(months - cycles * CYCLE_MONTHS, 12)
            start = date(year, month + 1, 1)
        if not {"BYDAY", "BYMONTHDAY"} & set(parts):
            parts |= write_month_end(day_of_month.day)
        if parts["FREQ"] == "YEARLY":
            parts["BYMONTH"] = str(day_of_month.month)
    written = ";".join(f"{name}={value}" for name, value in parts.items())
    days = rrulestr(written, dtstart=datetime.combine(start, datetime.min.time()))
    found = days.after(datetime.fromordinal(after - cycles * CYCLE_DAYS))
    assert found is not None
    day = found.toordinal() + cycles * CYCLE_DAYS
    return None if until and day > date.fromisoformat(until).toordinal() else day


def write_month_end(day: int) -> dict[str, str]:
    """Return the parts that say: this day, or a shorter month's last."""
    if day <= 28:
        return {"BYMONTHDAY": str(day)}
    return {"BYMONTHDAY": ",".join(map(str, range(28, day + 1))), "BYSETPOS": "-1"}


# The names that the service stores.
ZONES = sorted({str(ZoneName().deserialize(name)) for name in list_zones()})
EXTREME = (1, 2, 31, 59, 60, 366, 3_652_059, 3_652_058, 3_652_029, 3_651_694)


class Draw(Random):
    """Draws rules and tasks."""

    def chance(self, share: float) -> bool:
        return self.random() < share

    def rule(self, near: int) -> str:
        """Draw a rule; a last day is near a day."""
        freq = self.choice(FREQUENCIES)
        most = MAX_WEEKS if freq == "WEEKLY" else 99
        parts = {"FREQ": freq, "INTERVAL": str(self.choice([1, 1, 2, 3, 12, most, self.randint(1, most)]))}
        if freq == "WEEKLY" and self.chance(0.7):
            parts["BYDAY"] = ",".join(self.sample(WEEKDAYS, self.randint(1, 7)))
        elif freq == "MONTHLY":
            way = self.random()
            if way < 0.3:
                parts["BYDAY"] = f"{self.choice([1, 2, 3, 4, -1])}{self.choice(WEEKDAYS)}"
            elif way < 0.6:
                parts["BYMONTHDAY"] = str(self.choice([1, 28, -1, self.randint(1, 28)]))
        if self.chance(0.1):
            until = min(max(near + self.randint(-40, 800), 1), date.max.toordinal())
            parts["UNTIL"] = date.fromordinal(until).strftime("%Y%m%d").zfill(8)
        return read_rule(";".join(f"{name}={value}" for name, value in parts.items()))

    def day(self) -> int:
        """Draw a day: any, one of a month's last, 29 February, one of this time, or one at an end of the calendar."""
        way = self.random()
        if way < 0.1:
            return self.choice(EXTREME)
        if way < 0.2:
            return self.randint(1, date.max.toordinal())
        year, month = self.randint(1890, 2110), self.randint(1, 12)
        first = date(year, month, 1).toordinal()
        if way < 0.5:
            return date(year // 4 * 4, 2, 28).toordinal() + 1 if self.chance(0.3) else first + self.randint(27, 31)
        return first + self.randint(0, 27)

    def change(self, zone: ZoneInfo) -> int:
        """Draw a moment at which the clock of a time zone changes, if there is one in a random half year."""
        before = self.randint(-2_000_000_000, 4_000_000_000) * SECOND
        after = before + 182 * DAY

        def offset(moment: int) -> int:
            return find_local(moment, zone) - moment

        if offset(before) == offset(after):
            return before
        while after - before > SECOND:
            middle = (before + after) // 2 // SECOND * SECOND
            before, after = (middle, after) if offset(middle) == offset(before) else (before, middle)
        return after

    def completed(self) -> Completed:
        """Draw a task and its completion."""
        all_day = self.chance(0.3)
        zone = self.choice(ZONES) if not all_day or self.chance(0.7) else None
        place = ZoneInfo(zone or "UTC")
        if self.chance(0.4):
            # The next time is near a change of the clock, or this one.
            skipped = (
                find_local(self.change(place), place) + self.choice([-1, 0, 1, self.randint(-5400, 5400)]) * SECOND
            )
            skipped += self.choice([0, 0, 0, DAY, -DAY, 1, -1])
            every = self.choice([1, 2, 7, 99])
            rule, due = f"FREQ=DAILY;INTERVAL={every}", find_moment(skipped - self.choice([0, every]) * DAY, place)
            anchor = skipped - every * self.randint(1, 5) * DAY
            now = due + self.choice([0, DAY, -DAY, self.randint(-3 * DAY, 3 * DAY)])
        else:
            day = self.day()
            moved = self.choice([0, 0, 0, 1, -1, self.randint(-50, 50), self.randint(0, 20_000)])
            due = find_start(day + moved) + self.choice([0, 1, DAY - 1, self.randint(0, DAY - 1)])
            now = due + self.choice([0, 1, -1, DAY, -DAY, self.randint(-800, 800) * DAY, self.randint(-DAY, DAY) * 60])
            if self.chance(0.05):
                now = self.choice([FIRST, LAST, self.randint(FIRST, LAST)])
            rule = self.rule(self.choice([day, find_day(now)]))
            clock = due if all_day else find_local(due, place)
            # Once, a whole day may have been due at the moment at which it ends.
            end = find_local(due // DAY * DAY + DAY - 1, place)
            anchor = find_start(day) + self.choice([clock, clock, DAY - 1, end, self.randint(0, DAY)]) % DAY
        due, now = (min(max(each, FIRST), LAST) for each in (due, now))
        if all_day:
            due = due // DAY * DAY + DAY - 1
        reminder = self.choice([None, due, due + self.randint(-3 * DAY, DAY)])
        if self.chance(0.1):
            reminder = self.change(place)
        reminder = reminder and min(max(reminder, FIRST), LAST)
        return Completed(rule, self.chance(0.75), zone, all_day, due, reminder, anchor, now)


def write_moment(micros: int) -> str:
    """Return a moment of the years 1 to 9999 as text."""
    return (EPOCH + micros * MICROSECOND).isoformat()


def write_case(number: int, case: Completed) -> dict[str, Any]:
    """Return a case as PostgreSQL reads it."""
    return {
        "n": number,
        "recurrence": {
            "rule": case.rule,
            "from": "due" if case.is_from_due else "completion",
            "time_zone": case.zone,
        },
        "due_all_day": case.all_day,
        "due_at": write_moment(case.due),
        "remind_at": None if case.reminder is None else write_moment(case.reminder),
        "anchor": write_moment(case.anchor)[:-6],
        "now": write_moment(case.now),
    }
