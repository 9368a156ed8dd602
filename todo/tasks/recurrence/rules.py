"""The field ``recurrence``: a strict part of RFC 5545's rules (section 3.3.10), from when it counts, and where.

A rule is stored in one spelling. PostgreSQL computes its days (successors.py), so no rule needs code that could loop.
"""

import re
from typing import Any, ClassVar

from marshmallow import RAISE, Schema, ValidationError, fields

from todo.tasks.due import read_date
from todo.tasks.zones import ZoneName
from todo.web.fields import Choice, EmptyIsNull, name_type
from todo.web.icalendar import WEEKDAYS

FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
# By part: its form, and what a message says of it.
PARTS: dict[str, tuple[re.Pattern[str], str]] = {
    "FREQ": (re.compile("|".join(FREQUENCIES)), f"one of {', '.join(FREQUENCIES)}"),
    "INTERVAL": (re.compile("[1-9][0-9]?"), "1 to 99"),
    "BYDAY": (re.compile("[-+0-9A-Z,]{1,50}"), "weekdays, such as MO,FR"),
    "BYMONTHDAY": (re.compile("[1-9]|1[0-9]|2[0-8]|-1"), "1 to 28, or -1 for the last day of the month"),
    "UNTIL": (re.compile("[0-9]{8}"), "a date, such as 20271231"),
}
MAX_WEEKS = 52
NTH = re.compile(rf"[+]?([1-4]|-1)({'|'.join(WEEKDAYS)})")
MAX_RULE = 200
EXAMPLE = "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR"
FORM = f"a rule, such as {EXAMPLE}"

DUE_MISSING = "Required: a recurring task needs a due date. With recurrence null, it no longer recurs."
ZONE_MISSING = "Required, because the due date is an instant: an IANA time zone, such as Europe/Berlin."

ZONE_UNKNOWN = "The database does not know this time zone. Choose another one with the same clock."


def read_rule(text: str) -> str:
    """Return a rule in one spelling: its parts in one order, without what changes nothing.

    Names may have any case, and RRULE: may stand before. Raises ValidationError.
    """
    given = read_parts(text.strip().upper() if text.isascii() else text)
    if "FREQ" not in given:
        raise ValidationError(f"Must have FREQ, which is {PARTS['FREQ'][1]}: {FORM}.")
    frequency, days = given["FREQ"], given.get("BYDAY")
    if frequency == "WEEKLY" and int(given.get("INTERVAL", 1)) > MAX_WEEKS:
        raise ValidationError(f"INTERVAL must be 1 to {MAX_WEEKS} with FREQ=WEEKLY.")
    if days is not None:
        given["BYDAY"] = read_days(days, frequency)
    if "BYMONTHDAY" in given and (frequency != "MONTHLY" or days is not None):
        raise ValidationError("BYMONTHDAY is allowed with FREQ=MONTHLY, without BYDAY.")
    if "UNTIL" in given:
        until = given["UNTIL"]
        try:
            read_date(f"{until[:4]}-{until[4:6]}-{until[6:]}")
        except ValueError:
            raise ValidationError("UNTIL is not a day of the calendar.") from None
    if given.get("INTERVAL") == "1":
        del given["INTERVAL"]
    return ";".join(f"{name}={given[name]}" for name in PARTS if name in given)


def read_parts(text: str) -> dict[str, str]:
    """Return the parts of a rule by name; raises ValidationError if one is unknown, repeated or malformed."""
    given: dict[str, str] = {}
    for part in text.removeprefix("RRULE:").removesuffix(";").split(";"):
        name, _, value = part.partition("=")
        if name not in PARTS:
            raise ValidationError(
                f"Has {show(name)}, which is not allowed. Allowed: {', '.join(PARTS)}, as in {EXAMPLE}."
            )
        if name in given:
            raise ValidationError(f"Has {name} twice.")
        form, allowed = PARTS[name]
        if not form.fullmatch(value):
            raise ValidationError(f"{name} must be {allowed}, not {show(value)}.")
        given[name] = value
    return given


def read_days(text: str, frequency: str) -> str:
    """Return the value of BYDAY in one spelling; raises ValidationError."""
    if frequency == "WEEKLY":
        days = text.split(",")
        if not set(days) <= set(WEEKDAYS):
            raise ValidationError(f"BYDAY must be some of {', '.join(WEEKDAYS)} with FREQ=WEEKLY, not {show(text)}.")
        return ",".join(day for day in WEEKDAYS if day in days)
    if frequency == "MONTHLY":
        found = NTH.fullmatch(text)
        if found is None:
            raise ValidationError(
                "BYDAY must be 1 to 4, or -1 for the last, with one weekday with FREQ=MONTHLY, such as 2TU or -1FR,"
                f" not {show(text)}."
            )
        return found[1] + found[2]
    raise ValidationError("BYDAY is allowed with FREQ=WEEKLY and FREQ=MONTHLY.")


def show(text: str) -> str:
    """Return a short form of what a client sent, for a message."""
    return repr(text[:20])


class Rule(fields.String):
    """A rule, which loads to one spelling."""

    def __init__(self) -> None:
        missing = f"Required: {FORM}."
        super().__init__(
            required=True,
            error_messages={"required": missing, "null": missing},
            metadata={"maxLength": MAX_RULE, "pattern": "FREQ="},
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(f"Must be a string, {FORM}, not {name_type(value)}.")
        if len(value) > MAX_RULE:
            raise ValidationError(f"Must have at most {MAX_RULE} characters, not {len(value)}.")
        if not value.strip():
            raise self.make_error("required")
        return read_rule(value)


class RecurrenceSchema(Schema):
    """When a task is due again after it was completed."""

    about: ClassVar[dict[str, str]] = {
        "rule": "A rule of RFC 5545, in part: FREQ is DAILY, WEEKLY, MONTHLY or YEARLY; INTERVAL is 1 to 99 (weeks: 1"
        " to 52); BYDAY has weekdays for WEEKLY, such as MO,FR, or 1 to 4 or -1 with a weekday for MONTHLY, such as"
        " -1FR; BYMONTHDAY is 1 to 28, or -1 for the last day, for MONTHLY; UNTIL is a date. Without BYDAY and"
        " BYMONTHDAY, the day of the due date counts, or the last day of a shorter month.",
        "from": "Whether the rule counts from the due date or from the day of the completion.",
        "time_zone": "The IANA time zone whose days and clock count, such as Europe/Berlin; by default UTC. Required"
        " if the due date is an instant.",
    }
    example: ClassVar[dict[str, Any]] = {"rule": EXAMPLE, "from": "due", "time_zone": "Europe/Berlin"}

    error_messages = {"unknown": "Unknown; allowed: rule, from, time_zone."}  # noqa: RUF012 - marshmallow's own attribute

    class Meta:
        unknown = RAISE
        include: ClassVar[dict[str, Any]] = {
            "rule": Rule(),
            "from": Choice("due", "completion", load_default="due"),
            "time_zone": ZoneName(load_default=None),
        }


class Recurrence(EmptyIsNull, fields.Nested):
    """The field of requests: an object with ``rule``, ``from`` and ``time_zone``. null or an empty string is none."""

    def __init__(self) -> None:
        super().__init__(RecurrenceSchema(), allow_none=True)

    def _load(self, value: Any, partial: Any = None) -> Any:
        if not isinstance(value, dict):
            raise ValidationError(
                f'Must be an object, such as {{"rule": "{EXAMPLE}"}}, or null, not {name_type(value)}.'
            )
        return self.schema.load(value, partial=False)
