"""The SQL of recurring tasks: the next day of a rule, and the task that follows a completed one.

Only built-in, immutable functions, so Citus sends the statements to one shard. ``recurrence`` and the like are SQL.
OFFSET 0 keeps a subquery apart: PostgreSQL would repeat its expressions in the next one, and plan for 50 ms.
"""

from collections.abc import Mapping

from todo.web.icalendar import WEEKDAYS

CODES = "".join(WEEKDAYS)
FIRST_DAY, LAST_DAY = "CAST('0001-01-01' AS timestamp)", "CAST('9999-12-31 23:59:59.999999' AS timestamp)"
LAST_MOMENT = "CAST('9999-12-31 23:59:59.999999+00' AS timestamptz)"


def write_zone(recurrence: str) -> str:
    """Return the SQL of the time zone of a task."""
    return f"coalesce({recurrence} ->> 'time_zone', 'UTC')"


def write_local(moment: str, zone: str, all_day: str = "false") -> str:
    """Return the SQL of a moment's local time; a whole day is stored in UTC (due.py)."""
    return f"timezone(CASE WHEN {all_day} THEN 'UTC' ELSE {zone} END, {moment})"


def write_anchor(recurrence: str, due_at: str, all_day: str) -> str:
    """Return the SQL of the local time from which a new rule counts: that of the due date.

    It reads the time zone also where it does not need it, so that one that PostgreSQL does not know is refused. A time
    outside the years 1 to 9999 becomes the nearest one in them.
    """
    zone = write_zone(recurrence)
    return f"""
        CASE WHEN {recurrence} IS NOT NULL AND timezone({zone}, {due_at}) IS NOT NULL
        THEN {clamp(write_local(due_at, zone, all_day))} END"""


def clamp(local: str) -> str:
    """Return the SQL of a local time, or of the nearest one in the years 1 to 9999."""
    return f"least(greatest({local}, {FIRST_DAY}), {LAST_DAY})"


def write_moment(local: str, zone: str) -> str:
    """Return the SQL of the moment of a local time. Of two, it is the first; one that a clock skips is later.

    So says RFC 5545 section 3.3.5. PostgreSQL takes the second of two. The first has the offset of the day before.
    """
    day = "make_interval(days => 1)"
    early = f"timezone('UTC', timezone('UTC', timezone({zone}, {local} - {day})) + {day})"
    return f"CASE WHEN timezone({zone}, {early}) = {local} THEN {early} ELSE timezone({zone}, {local}) END"


def write_next_day(rule: str, anchor: str, after: str) -> str:
    """Return the SQL of the first day of a rule after a day, NULL if there is none.

    The days count from the anchor, and none is before it. Fourteen candidates contain the next day: the next fourteen
    times DAILY, MONTHLY or YEARLY, or the days of two weeks that count.
    """
    return f"""(
      SELECT min(day) FROM (
        SELECT {rule} AS rule, CAST({anchor} AS date) AS anchor, {after} AS after
        OFFSET 0
      ) AS counted, LATERAL (
        SELECT substring(rule FROM 'FREQ=([A-Z]+)') AS freq,
          CAST(coalesce(substring(rule FROM 'INTERVAL=([0-9]+)'), '1') AS integer)
            * CASE WHEN strpos(rule, 'FREQ=YEARLY') > 0 THEN 12 ELSE 1 END AS step,
          substring(rule FROM 'BYDAY=([A-Z,]+)') AS days,
          CAST(substring(rule FROM 'BYDAY=(-?[0-9])') AS integer) AS nth,
          (strpos('{CODES}', substring(rule FROM 'BYDAY=-?[0-9]([A-Z]+)')) + 1) / 2 AS weekday,
          CAST(substring(rule FROM 'BYMONTHDAY=(-?[0-9]+)') AS integer) AS month_day,
          substring(rule FROM 'UNTIL=([0-9]+)') AS until,
          anchor - CAST(extract(isodow FROM anchor) AS integer) + 1 AS monday,
          CAST((extract(year FROM after) - extract(year FROM anchor)) * 12
            + extract(month FROM after) - extract(month FROM anchor) AS integer) AS months
        OFFSET 0
      ) AS parts, generate_series(0, 13) AS n, LATERAL (
        SELECT CAST(date_trunc('month', CAST(anchor AS timestamp))
          + make_interval(months => step * (greatest(months, 0) / step + n)) AS date) AS first
        OFFSET 0
      ) AS month, LATERAL (
        SELECT CAST(first + make_interval(months => 1) AS date) - 1 AS last
        OFFSET 0
      ) AS month_end, LATERAL (
        SELECT CASE
          WHEN freq = 'DAILY' THEN anchor + step * (greatest(after + 1 - anchor, 0) / step + n)
          WHEN freq = 'WEEKLY'
            THEN monday + 7 * step * (greatest(after + 1 - monday, 0) / (7 * step) + n / 7) + mod(n, 7)
          WHEN nth > 0 THEN first + mod(weekday - CAST(extract(isodow FROM first) AS integer) + 7, 7) + 7 * (nth - 1)
          WHEN nth < 0 THEN last - mod(CAST(extract(isodow FROM last) AS integer) - weekday + 7, 7)
          WHEN month_day < 0 THEN last
          ELSE least(first + coalesce(month_day, CAST(extract(day FROM anchor) AS integer)) - 1, last)
        END AS day
        OFFSET 0
      ) AS candidate
      WHERE day > after AND day >= anchor
        AND (until IS NULL OR day <= make_date(
          CAST(substr(until, 1, 4) AS integer), CAST(substr(until, 5, 2) AS integer), CAST(substr(until, 7) AS integer)
        ))
        AND (freq <> 'WEEKLY' OR strpos(
          coalesce(days, substr('{CODES}', 2 * CAST(extract(isodow FROM anchor) AS integer) - 1, 2)),
          substr('{CODES}', 2 * mod(n, 7) + 1, 2)
        ) > 0)
    )"""


# What the columns of a successor are computed from, and the columns that differ from those of the completed task.
CHANGED = {"now", "due_at", "remind_at", "anchor"}


def write_successors(values: Mapping[str, str], source: str) -> str:
    """Return the SQL that selects the columns of the tasks that follow completed ones.

    ``values`` has the SQL of the columns of a completed task, of ``now``, and of others that are passed on. ``source``
    is the end of their query. A task without a next day, or with one after the year 9999, has no successor.

    The local time is that of the anchor, also after a day on which a clock skipped it, unless the task was moved to
    another time. A reminder that moves back stays in the years that responses can write.
    """
    zone, passed = write_zone("recurrence"), ", ".join(f"done.{name}" for name in values if name not in CHANGED)
    given = ", ".join(f"{value} AS {name}" for name, value in values.items())
    return f"""
      SELECT {passed}, moved.due_at, moved.remind_at, moved.anchor
      FROM (SELECT {given} {source} OFFSET 0) AS done, LATERAL (
        SELECT recurrence ->> 'from' = 'due' AS is_from_due, CAST({write_local("now", zone)} AS date) AS today,
          {write_local("due_at", zone, "due_all_day")} AS due, {write_local("remind_at", zone)} AS reminder,
          CASE WHEN due_all_day THEN 'UTC' ELSE {zone} END AS due_zone
        OFFSET 0
      ) AS local, LATERAL (
        SELECT CASE WHEN is_from_due THEN CAST(done.anchor AS date) ELSE today END AS start,
          CASE WHEN {write_moment("(CAST(due AS date) + CAST(done.anchor AS time))", "due_zone")} = done.due_at
            THEN CAST(done.anchor AS time) ELSE CAST(due AS time) END AS clock,
          CASE WHEN is_from_due THEN greatest(CAST(due AS date), today - 1) ELSE today END AS after
        OFFSET 0
      ) AS counted, LATERAL (
        SELECT {write_next_day("recurrence ->> 'rule'", "start", "after")} AS day
        OFFSET 0
      ) AS coming, LATERAL (
        SELECT day + clock AS due,
          reminder + make_interval(days => greatest(
            day - CAST(local.due AS date), CAST({FIRST_DAY} AS date) + 1 - CAST(reminder AS date)
          )) AS reminder
        OFFSET 0
      ) AS shifted, LATERAL (
        SELECT {write_moment("shifted.due", "due_zone")} AS due_at,
          {write_moment("shifted.reminder", zone)} AS remind_at,
          CASE WHEN is_from_due THEN start ELSE day END + clock AS anchor
        OFFSET 0
      ) AS moved
      WHERE moved.due_at <= {LAST_MOMENT} AND (moved.remind_at IS NULL OR moved.remind_at <= {LAST_MOMENT})"""
