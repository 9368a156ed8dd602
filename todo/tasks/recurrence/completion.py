"""Completing a recurring task adds its successor; reopening it removes the successor, if nobody has changed it."""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import NamedTuple

from psycopg2.errors import CheckViolation, InvalidParameterValue
from sqlalchemy import Boolean, false, literal_column, text
from sqlalchemy.exc import DBAPIError

from todo.database.changing import Effects
from todo.database.creating import write_insert, write_room
from todo.database.trashing import list_moved, write_expiry, write_name
from todo.database.versions import write_expected
from todo.errors import FieldError
from todo.tasks.columns import write_new
from todo.tasks.recurrence.rules import DUE_MISSING, ZONE_MISSING, ZONE_UNKNOWN
from todo.tasks.recurrence.successors import write_anchor, write_successors
from todo.tasks.resource import TASKS, TRASH

TABLE = TASKS.table
# What a successor has of the completed task, or computes from it.
COPIED = [*TASKS.stored, "anchor"]


class Completion(NamedTuple):
    """Whether the row needs no further attempt, and whether that is for want of room for a successor."""

    done: bool
    is_full: bool


def write_untouched(task: str) -> str:
    """Return the SQL condition that nobody has changed a successor since it was created."""
    return f"{task}.updated_at = {task}.created_at AND NOT {task}.completed"


def find_values(names: AbstractSet[str]) -> dict[str, str]:
    """Return the SQL of the columns of a task after a change that sets some of them."""
    values = {name: write_new(name) if name in names else f"{TABLE}.{name}" for name in COPIED}
    return values | ({"anchor": write_new_anchor(values)} if "recurrence" in names else {})


def write_new_anchor(values: Mapping[str, str]) -> str:
    """Return the SQL of the anchor of a row whose recurrence is set: it stays if the rule stays."""
    is_new = f"{values['recurrence']} ->> 'rule' IS DISTINCT FROM {TABLE}.recurrence ->> 'rule'"
    anchor = write_anchor(*(values[name] for name in ("recurrence", "due_at", "due_all_day")))
    return f"CASE WHEN {is_new} THEN {anchor} ELSE {TABLE}.anchor END"


def set_anchor(names: AbstractSet[str]) -> Effects:
    """Return what a change of columns does beside: a new rule counts from the due day."""
    return Effects({"anchor": text(find_values(names)["anchor"])} if "recurrence" in names else {})


def follow(names: AbstractSet[str], *, limited: bool, expires: bool) -> Callable[[str], Effects]:
    """Return a function that returns what a change of ``completed`` does beside; it takes the column of the row's name.

    ``names`` are the changed columns; without ``completed``, the change toggles it. If ``limited``, a successor needs
    room (see write_room). If ``expires``, the oldest rows of the trash are removed, as by a deletion.
    """
    completed = write_new("completed") if "completed" in names else f"(NOT {TABLE}.completed)"

    def find_effects(column: str) -> Effects:
        row = f"{TABLE}.user_id = :owner AND {TABLE}.{column} = {write_name(column)} AND {write_expected(TABLE)}"
        ctes = write_effects(find_values(names), completed, row, limited=limited)
        next_id = write_next_id(completed, "(SELECT id FROM successor)")
        is_full = literal_column("(SELECT is_full FROM room)", Boolean) if limited else false()
        values = {**set_anchor(names).values, "next_id": text(next_id)}
        first = []
        if expires:
            reopens = f"SELECT FROM {TABLE} WHERE {row} AND {TABLE}.completed AND {TABLE}.next_id IS NOT NULL"
            condition = f"AND EXISTS ({reopens} AND NOT {completed})" if limited else ""
            oldest, expiry = write_expiry(TRASH, limited=limited, condition=condition)
            first = [text(f"WITH {oldest} {expiry}")]
        parts = [text(sql).columns().cte(name) for name, sql in ctes.items()]
        return Effects(values, parts, is_full.label("is_full"), first)

    return find_effects


def write_effects(values: dict[str, str], completed: str, row: str, *, limited: bool) -> dict[str, str]:
    """Return the SQL of the CTEs that create a successor and remove it; ``row`` is the condition of the task."""
    source = f"""
        FROM {TABLE}, clock WHERE {row} AND {completed} AND NOT {TABLE}.completed AND {TABLE}.next_id IS NULL
          AND {values["recurrence"]} IS NOT NULL"""
    ctes = {"coming": write_successors({**values, "now": "clock.now"}, source)}
    fits = ""
    if limited:
        has_room = f"WITH {write_room(TASKS)} SELECT has_room FROM existing"
        ctes["room"] = f"SELECT EXISTS (SELECT FROM coming) AND NOT ({has_room}) AS is_full"
        fits = "WHERE NOT (SELECT is_full FROM room)"
    return {
        **ctes,
        "successor": f"{write_insert(TASKS, {name: f'coming.{name}' for name in COPIED}, f'FROM coming, feed {fits}')}"
        " RETURNING id",
        "undone": f"""
            DELETE FROM {TABLE} AS follower USING feed WHERE follower.user_id = :owner
              AND follower.id = (SELECT {TABLE}.next_id FROM {TABLE} WHERE {row} AND {TABLE}.completed
                AND NOT {completed})
              AND {write_untouched("follower")}
            RETURNING follower.*, feed.change AS number""",
        "removed": write_removed(),
    }


def write_next_id(completed: str, successor: str, kept: str = f"NOT ({write_untouched('follower')})") -> str:
    """Return the SQL of ``next_id`` after a change of ``completed``; a successor stays under the condition ``kept``."""
    return f"""
        CASE WHEN {completed} = {TABLE}.completed THEN {TABLE}.next_id
        WHEN {completed} THEN coalesce({successor}, {TABLE}.next_id)
        ELSE (
          SELECT follower.id FROM {TABLE} AS follower WHERE follower.user_id = :owner
            AND follower.id = {TABLE}.next_id AND ({kept})
        ) END"""


def write_removed() -> str:
    """Return the SQL that moves successors to the trash, where they tell devices, but are not listed."""
    moved = ", ".join(list_moved(TASKS))
    return f"""
        INSERT INTO {TRASH.table} (user_id, {moved}, deleted_at, change)
        SELECT user_id, {moved}, CAST('epoch' AS timestamptz), number FROM undone RETURNING id"""


# By the constraint of the table: the field that it needs, and what to say of it.
UNSCHEDULED = {
    "recurrence_dated": ("due_date", DUE_MISSING),
    "recurrence_zoned": ("recurrence.time_zone", ZONE_MISSING),
}


@contextmanager
def refusing_unscheduled() -> Iterator[None]:
    """Turn the database's refusal of a rule into a FieldError: without a due date, or without a known time zone."""
    try:
        yield
    except DBAPIError as error:
        cause = error.orig
        if isinstance(cause, InvalidParameterValue) and "time zone" in str(cause):
            raise FieldError("recurrence.time_zone", ZONE_UNKNOWN) from None
        if isinstance(cause, CheckViolation):
            for constraint, refusal in UNSCHEDULED.items():
                if constraint in str(cause):
                    raise FieldError(*refusal) from None
        raise
