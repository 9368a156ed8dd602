"""Completing a recurring task adds its successor; reopening it removes the successor, if nobody has changed it."""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import NamedTuple

from psycopg2.errors import CheckViolation, InvalidParameterValue
from sqlalchemy import Boolean, TextClause, false, literal_column, text
from sqlalchemy.exc import DBAPIError

from todo.database.changing import Effects
from todo.database.creating import write_insert, write_room
from todo.database.trashing import HIDDEN, list_moved, write_expiry, write_name
from todo.database.versions import write_expected
from todo.errors import FieldError
from todo.tasks.columns import write_new
from todo.tasks.recurrence.rules import DUE_MISSING, ZONE_MISSING, ZONE_UNKNOWN
from todo.tasks.recurrence.successors import clamp, write_anchor, write_moment, write_successors, write_zone
from todo.tasks.resource import TASKS, TRASH

TABLE = TASKS.table
# What a successor has of the completed task, or computes from it.
COPIED = [*TASKS.stored, "anchor"]


class Completion(NamedTuple):
    """``done``: the row needs no further attempt. ``is_full``: there was no room for a successor."""

    done: bool
    is_full: bool


def write_untouched(task: str) -> str:
    """Return the SQL condition that nobody has changed a successor since it was created."""
    return f"{task}.updated_at = {task}.created_at AND NOT {task}.completed"


def write_ended(task: str = str(TABLE), gone: str = "") -> str:
    """Return the SQL condition that a task has no successor any more. ``gone`` begins with AND."""
    follower = f"SELECT FROM {TABLE} AS follower WHERE follower.user_id = :owner AND follower.id = {task}.next_id"
    return f"({task}.next_id IS NULL OR NOT EXISTS ({follower} {gone}))"


def find_values(names: AbstractSet[str]) -> dict[str, str]:
    """Return the SQL of the columns of a task after a change that sets some of them."""
    values = {name: write_new(name) if name in names else f"{TABLE}.{name}" for name in COPIED}
    return values | ({"anchor": write_new_anchor(values)} if "recurrence" in names else {})


def write_new_anchor(values: Mapping[str, str], task: str = str(TABLE)) -> str:
    """Return the SQL of the anchor of a row whose recurrence is set: it stays if the rule stays, but for its end."""
    stored = f"{task}.recurrence"
    new, due_at, all_day = (values[name] for name in ("recurrence", "due_at", "due_all_day"))
    # UNTIL is the last part of a rule. It does not say from when the rule counts.
    pattern, before = (f"split_part({each} ->> 'rule', ';UNTIL=', 1)" for each in (new, stored))
    moved = f"timezone({write_zone(new)}, {write_moment(f'{task}.anchor', write_zone(stored))})"
    return f"""
        CASE WHEN {write_anchor(new, due_at, all_day)} IS NULL THEN NULL
        WHEN {pattern} IS DISTINCT FROM {before} THEN {write_anchor(new, due_at, all_day)}
        WHEN {all_day} OR {task}.due_all_day THEN {task}.anchor
        ELSE {clamp(moved)} END"""


def find_anchor(names: AbstractSet[str]) -> dict[str, TextClause]:
    """Return the anchor, if the recurrence is among the changed columns."""
    return {"anchor": text(find_values(names)["anchor"])} if "recurrence" in names else {}


def follow(
    names: AbstractSet[str], completed: bool | None, *, limited: bool, expires: bool
) -> Callable[[str], Effects]:
    """Return a function that returns what else a change of ``completed`` does; it takes the column of the row's name.

    ``names`` are the changed columns. ``completed`` is the new value, None to toggle it: a statement that can only
    complete or only reopen costs less. If ``limited``, a successor needs room (see write_room). If ``expires``, the
    oldest rows of the trash are removed, as by a deletion.
    """

    def find_effects(column: str) -> Effects:
        row = f"{TABLE}.user_id = :owner AND {TABLE}.{column} = {write_name(column)} AND {write_expected(TABLE)}"
        completes = f"{row} AND NOT {TABLE}.completed" if completed is not False else ""
        reopens = f"{row} AND {TABLE}.completed" if completed is not True else ""
        ctes = write_successor(find_values(names), completes, limited=limited) if completes else {}
        ctes |= write_undoing(f"SELECT {TABLE}.next_id FROM {TABLE} WHERE {reopens}", "feed") if reopens else {}
        next_id = write_next_id(
            completes and f"NOT {TABLE}.completed", reopens and f"{TABLE}.completed", "(SELECT id FROM successor)"
        )
        is_full = literal_column("(SELECT is_full FROM room)", Boolean) if "room" in ctes else false()
        first = []
        if expires and reopens:
            # A change that is refused must not make room.
            condition = f"AND EXISTS (SELECT FROM {TABLE} WHERE {reopens} AND next_id IS NOT NULL)" if limited else ""
            oldest, expiry = write_expiry(TRASH, limited=limited, condition=condition)
            first = [text(f"WITH {oldest} {expiry}")]
        return Effects(
            {**find_anchor(names), "next_id": text(next_id)},
            [text(sql).columns().cte(name) for name, sql in ctes.items()],
            is_full.label("is_full"),
            first,
        )

    return find_effects


def write_successor(values: Mapping[str, str], completes: str, *, limited: bool) -> dict[str, str]:
    """Return the SQL of the CTEs that create a successor, if there is a row under the condition ``completes``."""
    source = f"""
        FROM {TABLE}, clock WHERE {completes} AND {write_ended()} AND {values["recurrence"]} IS NOT NULL"""
    ctes = {"coming": write_successors({**values, "now": "clock.now"}, source)}
    fits = ""
    if limited:
        has_room = f"WITH {write_room(TASKS)} SELECT has_room FROM existing"
        ctes["room"] = f"SELECT EXISTS (SELECT FROM coming) AND NOT ({has_room}) AS is_full"
        fits = "WHERE NOT (SELECT is_full FROM room)"
    insertion = write_insert(TASKS, {name: f"coming.{name}" for name in COPIED}, f"FROM coming, feed {fits}")
    return {**ctes, "successor": f"{insertion} RETURNING id"}


def write_undoing(ids: str, numbered: str) -> dict[str, str]:
    """Return the SQL of the CTEs that remove untouched successors with these IDs; ``numbered`` has the ``change``."""
    return {
        "undone": f"""
            DELETE FROM {TABLE} AS follower USING {numbered} WHERE follower.user_id = :owner
              AND follower.id = ANY (ARRAY({ids})) AND {write_untouched("follower")}
            RETURNING follower.*, {numbered}.change AS number""",
        "removed": write_removed(),
    }


def write_next_id(
    completes: str, reopens: str, successor: str, kept: str = f"NOT ({write_untouched('follower')})"
) -> str:
    """Return the SQL of ``next_id`` after a change, under the conditions of a task that it completes or reopens.

    ``kept`` is the condition under which a reopened task keeps its successor.
    """
    completed = f"WHEN {completes} THEN coalesce({successor}, {TABLE}.next_id)" if completes else ""
    follower = f"""
        SELECT follower.id FROM {TABLE} AS follower WHERE follower.user_id = :owner
          AND follower.id = {TABLE}.next_id AND ({kept})"""
    reopened = f"WHEN {reopens} THEN ({follower})" if reopens else ""
    return f"CASE {completed} {reopened} ELSE {TABLE}.next_id END"


def write_removed() -> str:
    """Return the SQL that moves successors to the trash, where they tell devices, but are not listed."""
    moved = ", ".join(name for name in list_moved(TASKS) if name != "updated_at")
    return f"""
        INSERT INTO {TRASH.table} (user_id, {moved}, updated_at, deleted_at, change)
        SELECT user_id, {moved}, now(), {HIDDEN}, number FROM undone RETURNING id"""


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
        # The name of PostgreSQL's function, because its messages may be in any language.
        if isinstance(cause, InvalidParameterValue) and "zone" in f"{cause.diag.source_function} {cause}":
            raise FieldError("recurrence.time_zone", ZONE_UNKNOWN) from None
        if isinstance(cause, CheckViolation):
            for constraint, refusal in UNSCHEDULED.items():
                if constraint in str(cause):
                    raise FieldError(*refusal) from None
        raise
