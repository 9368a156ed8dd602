"""The statements about one task, each built once. A change locks the task, compares, writes and returns it in one."""

from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    Boolean,
    ColumnElement,
    any_,
    bindparam,
    case,
    delete,
    exists,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy import func as sql
from sqlalchemy.dialects.postgresql import ARRAY

from todo.database.statements import Statement
from todo.tasks.columns import IS_OWN, OWNER, SHOWN, WRITTEN, tasks

# How long a key is kept at least; it goes when its user creates with a key after that.
KEY_HOURS = 24

ID = bindparam("task_id", type_=BigInteger)
COMPLETED = bindparam("new_completed", type_=Boolean)
IS_IT = IS_OWN & (tasks.c.id == ID)

# The members of a task that is created with a title only.
DEFAULTS: dict[str, Any] = {"description": None, "completed": False, "priority": None, "tags": [], "due_date": None}

GET = Statement(select(*SHOWN).where(IS_IT))
CREATE = Statement(
    insert(tasks)
    .values(
        **{name: bindparam(f"new_{name}", type_=tasks.c[name].type) for name in WRITTEN},
        user_id=OWNER,
        completed_at=case((COMPLETED, sql.now())),  # now(), as created_at's default is.
    )
    .returning(*SHOWN)
)
# As CREATE, but only if the key is new: three statements in one message, which PostgreSQL runs as one transaction, each
# with a view of its own. So who waits in the second for another who has the same key sees in the third what came of it.
CREATE_ONCE = Statement(
    text(
        f"""
        DELETE FROM todo.idempotency_keys WHERE user_id = :owner AND created_at < now() - interval '{KEY_HOURS} hours'
        """
    ),
    text(
        f"""
        WITH claimed AS (
          INSERT INTO todo.idempotency_keys (user_id, key, fingerprint, task_id)
          VALUES (:owner, :key, :fingerprint, nextval('todo.tasks_id_seq')) ON CONFLICT DO NOTHING RETURNING task_id
        )
        INSERT INTO todo.tasks (id, user_id, completed_at, {", ".join(WRITTEN)}) OVERRIDING SYSTEM VALUE
        SELECT task_id, :owner, CASE WHEN :new_completed THEN now() END, {", ".join(f":new_{name}" for name in WRITTEN)}
        FROM claimed
        """
    ),
    text(
        f"""
        SELECT {", ".join(f"tasks.{column.name}" for column in SHOWN)}, keys.fingerprint,
               keys.xmin = pg_current_xact_id()::xid AS is_new
        FROM todo.idempotency_keys AS keys
        LEFT JOIN todo.tasks ON (tasks.user_id, tasks.id) = (keys.user_id, keys.task_id)
        WHERE keys.user_id = :owner AND keys.key = :key
        """
    ),
)

# Stores many tasks, given as a JSON array of rows; unless :add, only if the user has none yet. The lock lets the second
# of two who store for the same user see what the first has stored.
CREATE_MANY = Statement(
    text("SELECT pg_advisory_xact_lock(hashtextextended(:owner, 0))"),
    text(
        f"""
        INSERT INTO todo.tasks (user_id, completed_at, created_at, updated_at, {", ".join(WRITTEN)})
        SELECT :owner, completed_at, created_at, updated_at, {", ".join(WRITTEN)}
        FROM json_populate_recordset(CAST(NULL AS todo.tasks), CAST(:tasks AS json))
        WHERE :add OR NOT EXISTS (SELECT FROM todo.tasks WHERE user_id = :owner)
        RETURNING id
        """
    ),
)
DELETE_ALL = Statement(
    # In one statement, which sees a keyed creation whole or not at all.
    text(
        """
        WITH gone AS (DELETE FROM todo.tasks WHERE user_id = :owner RETURNING id),
             keys AS (DELETE FROM todo.idempotency_keys WHERE user_id = :owner)
        SELECT count(*) AS number FROM gone
        """
    ),
)

# Which versions the change may be made to; None for any.
VERSIONS = bindparam("versions", type_=ARRAY(BigInteger))

Columns = dict[str, ColumnElement[Any]]


def lock_task() -> CTE:
    """Build the part of a statement that takes the task as it is now, and finds whether it is what the caller knows.

    The lock makes the second of two concurrent changes see the first, and tells a task that is gone from one that
    has changed.
    """
    expected = or_(VERSIONS.is_(None), tasks.c.version == any_(VERSIONS)).label("expected")
    return select(*SHOWN, expected).where(IS_IT).with_for_update().cte("old")


def build_change(columns: Callable[[ColumnElement[Any]], Columns]) -> Statement:
    """Build the statement that sets columns of one task: lock the row, write what differs, return what is there then.

    ``columns`` takes the time of the change, read once and after the lock, and returns the new values.
    """
    old = lock_task()
    clock = select(sql.clock_timestamp().label("now")).select_from(old).cte("clock")
    now = select(clock.c.now).scalar_subquery()
    values = columns(now)
    new = (
        update(tasks)
        .where(old.c.expected, tasks.c.user_id == old.c.user_id, tasks.c.id == old.c.id)
        .where(or_(*(tasks.c[name].is_distinct_from(value) for name, value in values.items())))
        .values(**values, version=tasks.c.version + 1, updated_at=now)
        .returning(*SHOWN, old.c.expected)
        .cte("new")
    )
    return Statement(select(new).union_all(select(old).where(~exists(select(new)))))


TOGGLE = build_change(lambda now: {"completed_at": case((~tasks.c.completed, now))})


@cache
def build_change_statement(names: frozenset[str]) -> Statement:
    """Build the statement that changes these columns of one task, ``completed`` standing for ``completed_at``."""

    def columns(now: ColumnElement[Any]) -> Columns:
        values: Columns = {name: bindparam(f"new_{name}", type_=tasks.c[name].type) for name in names}
        if values.pop("completed", None) is not None:
            values["completed_at"] = case((COMPLETED, sql.coalesce(tasks.c.completed_at, now)))
        return values

    return build_change(columns)


def build_delete() -> Statement:
    """Build the statement that deletes one task and returns what it was."""
    old = lock_task()
    gone = delete(tasks).where(old.c.expected, tasks.c.user_id == old.c.user_id, tasks.c.id == old.c.id).cte("gone")
    return Statement(select(old).add_cte(gone))


DELETE = build_delete()
COMPARE = Statement(select(lock_task()))
