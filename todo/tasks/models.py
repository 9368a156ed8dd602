"""The tables of tasks. The database enforces the rules of the data, by named constraints and defaults."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    DateTime,
    Identity,
    Index,
    PrimaryKeyConstraint,
    Text,
    false,
    text,
)
from sqlalchemy import func as sql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from sqlalchemy.orm import Mapped, mapped_column

from todo.database.statements import Time
from todo.extensions import Base


class TaskColumns:
    """The columns of a task, in the table of tasks and in the trash."""

    # The collation "C" compares bytes, so the system's locale library cannot change the order of the key.
    user_id: Mapped[str] = mapped_column(Text(collation="C"))
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    # Computed, so it cannot contradict completed_at.
    completed: Mapped[bool] = mapped_column(Computed("completed_at IS NOT NULL", persisted=True))
    completed_at: Mapped[Time | None] = mapped_column(DateTime(timezone=True))
    priority: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    # The last moment in time. For a whole day, it is the last microsecond of the day in UTC.
    due_at: Mapped[Time | None] = mapped_column(DateTime(timezone=True))
    due_all_day: Mapped[bool] = mapped_column(server_default=false())
    remind_at: Mapped[Time | None] = mapped_column(DateTime(timezone=True))
    # The members of the field: {"rule", "from", "time_zone"}.
    recurrence: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    # The local due time when the rule was set. The rule counts from it, so moving one task does not move the pattern.
    anchor: Mapped[datetime | None] = mapped_column(DateTime(timezone=False))
    # The task that followed when this one was completed. It may have been deleted.
    next_id: Mapped[int | None] = mapped_column(BigInteger)
    # Folded text for comparing (folding.py); NULL where folding ASCII letters gives the same.
    title_folded: Mapped[str | None] = mapped_column(Text)
    description_folded: Mapped[str | None] = mapped_column(Text)
    tags_folded: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    created_at: Mapped[Time] = mapped_column(DateTime(timezone=True), server_default=sql.now())
    updated_at: Mapped[Time] = mapped_column(DateTime(timezone=True), server_default=sql.now())
    # Grows with each change and never comes back: the ETag.
    version: Mapped[int] = mapped_column(BigInteger, server_default="1")
    # Stable across devices. A client can choose it.
    uid: Mapped[str] = mapped_column(UUID(as_uuid=False), server_default=text("gen_random_uuid()"))
    # The number of the last write (database/feeds.py); 0 if that is older than the feed.
    change: Mapped[int] = mapped_column(BigInteger, server_default="0")


class Task(TaskColumns, Base):
    """A task of a user."""

    __tablename__ = "tasks"
    __table_args__ = (
        # The owner comes first: an ID of another user reveals nothing, and the table can be partitioned by user.
        PrimaryKeyConstraint("user_id", "id"),
        CheckConstraint("char_length(user_id) BETWEEN 1 AND 255", name="user_id_length"),
        CheckConstraint("char_length(title) BETWEEN 1 AND 200", name="title_length"),
        CheckConstraint("char_length(description) <= 1000", name="description_length"),
        CheckConstraint("priority IN ('low', 'medium', 'high')", name="priority_known"),
        CheckConstraint("cardinality(tags) <= 20", name="tags_number"),
        CheckConstraint("cardinality(tags_folded) = cardinality(tags)", name="tags_folded_number"),
        CheckConstraint(
            "NOT due_all_day OR coalesce((due_at AT TIME ZONE 'UTC')::time = '23:59:59.999999', false)",
            name="due_all_day_end",
        ),
        CheckConstraint("recurrence IS NULL OR (due_at IS NOT NULL AND anchor IS NOT NULL)", name="recurrence_dated"),
        CheckConstraint(
            "recurrence IS NULL OR due_all_day OR recurrence ->> 'time_zone' IS NOT NULL", name="recurrence_zoned"
        ),
        Index("tasks_by_creation", "user_id", "created_at", "id"),
        Index("tasks_by_update", "user_id", "updated_at", "id"),
        Index("tasks_by_due_date", "user_id", "due_at", "due_all_day", "id"),
        Index("tasks_by_reminder", "user_id", "remind_at", "id", postgresql_where=text("remind_at IS NOT NULL")),
        # Partial, although all rows are in it: it must not be used to find an ID among all tasks of a user.
        Index("tasks_by_uid", "user_id", "uid", unique=True, postgresql_where=text("uid IS NOT NULL")),
        Index("tasks_by_change", "user_id", "change", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))


class TrashedTask(TaskColumns, Base):
    """A task that its user deleted. A table of its own leaves the statements and indexes of tasks as they are."""

    __tablename__ = "trash"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "id"),
        Index("trash_by_uid", "user_id", "uid", unique=True, postgresql_where=text("uid IS NOT NULL")),
        Index("trash_by_change", "user_id", "change", "id"),
        # Rows that nobody can see (database/trashing.py).
        Index("trash_hidden", "user_id", postgresql_where=text("deleted_at = '1970-01-01 00:00:00+00'::timestamptz")),
    )

    id: Mapped[int] = mapped_column(BigInteger)
    deleted_at: Mapped[Time] = mapped_column(DateTime(timezone=True), server_default=sql.now())


class IdempotencyKey(Base):
    """A key that a client chose for a creation or a batch, and the tasks of this request."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "key"),
        CheckConstraint("char_length(key) BETWEEN 1 AND 255", name="key_length"),
        # Partial, although all rows are in it: it must not be used to find a key among all of a user's keys.
        Index("idempotency_keys_by_age", "user_id", "created_at", postgresql_where=text("created_at IS NOT NULL")),
    )

    user_id: Mapped[str] = mapped_column(Text(collation="C"))
    key: Mapped[str] = mapped_column(Text(collation="C"))
    # A hash of the request: another request with the same key is refused.
    fingerprint: Mapped[bytes]
    # The task of a creation; 0 for a batch, which has the UIDs of the tasks that it created, NULL for others.
    task_id: Mapped[int] = mapped_column(BigInteger)
    task_uids: Mapped[list[str] | None] = mapped_column(ARRAY(UUID(as_uuid=False)))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=sql.now())
