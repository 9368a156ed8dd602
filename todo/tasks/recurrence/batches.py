"""What a batch does for recurring tasks: it completes and reopens them as single requests do (completion.py)."""

from todo.database.batching import BatchEffects
from todo.tasks.recurrence.completion import (
    COPIED,
    TABLE,
    write_ended,
    write_new_anchor,
    write_next_id,
    write_undoing,
    write_untouched,
)
from todo.tasks.recurrence.successors import write_successors
from todo.tasks.resource import TASKS


def choose(given: str, stored: str, name: str) -> str:
    """Return the SQL of a column after an operation of a batch, which may set it."""
    return f"CASE WHEN '{name}' = ANY ({given}.names) THEN {given}.{name} ELSE {stored}.{name} END"


def find_batch_values(stored: str) -> dict[str, str]:
    """Return the SQL of the columns of a task after a batch; ``stored`` is the row before."""
    return {name: choose("state", stored, name) for name in TASKS.stored}


def follow_batch(*, completes: bool, reopens: bool) -> BatchEffects:
    """Return the further effects of a batch that may complete tasks, or reopen them; see follow."""
    # From the rows that state has found: a second join with the table could read all rows of the user.
    values = find_batch_values("found")
    anchor = f"""
        CASE WHEN 'recurrence' = ANY (state.names) THEN {write_new_anchor(values, "found")} ELSE found.anchor END"""
    values |= {"anchor": anchor, "uid": "state.next_uid", "n": "state.n", "now": "statement_timestamp()"}
    row = "found.n = state.n AND 'completed' = ANY (state.names)"
    # A successor that the batch names counts as touched.
    ended = f"""
        SELECT found.next_id FROM state, found WHERE {row} AND NOT state.completed AND found.completed
          AND found.next_id NOT IN (SELECT found_id FROM state WHERE found_id IS NOT NULL)"""
    gone = "EXISTS (SELECT FROM state AS others WHERE others.found_id = follower.id AND others.op = 'delete')"
    scheduled = {name: choose("input", "found", name) for name in ("recurrence", "due_at", "due_all_day")}
    return BatchEffects(
        columns=COPIED,
        followers=None
        if not completes
        else write_successors(
            values,
            f"FROM state, found WHERE {row} AND state.completed AND NOT found.completed"
            f" AND {write_ended('found', f'AND NOT {gone}')} AND {values['recurrence']} IS NOT NULL",
        ),
        changing=write_undoing(ended, "go") if reopens else {},
        refused={
            "recurrence_dated": f"{scheduled['recurrence']} IS NOT NULL AND {scheduled['due_at']} IS NULL",
            "recurrence_zoned": f"{scheduled['recurrence']} ->> 'rule' IS NOT NULL AND NOT {scheduled['due_all_day']}"
            f" AND {scheduled['recurrence']} ->> 'time_zone' IS NULL",
        },
    )


def write_batch_changes(*, recurs: bool, completes: bool, reopens: bool) -> dict[str, tuple[str, str]]:
    """Return the columns of a changed row of a batch that follow from others: what they need, and their SQL.

    ``recurs``: the batch may set the recurrence of a task.
    """
    named = "EXISTS (SELECT FROM state WHERE state.found_id = follower.id"
    next_id = write_next_id(
        f"state.completed AND NOT {TABLE}.completed" if completes else "",
        f"NOT state.completed AND {TABLE}.completed" if reopens else "",
        f"(SELECT made.id FROM {TABLE} AS made WHERE made.user_id = :owner AND made.uid = state.next_uid)",
        # A successor that the batch changes counts as touched, and one that it deletes is gone.
        f"NOT {named} AND op = 'delete') AND ({named}) OR NOT ({write_untouched('follower')}))",
    )
    anchor = {"anchor": ("recurrence", write_new_anchor(find_batch_values(str(TABLE))))} if recurs else {}
    return anchor | ({"next_id": ("completed", next_id)} if completes or reopens else {})
