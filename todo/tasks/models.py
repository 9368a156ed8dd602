"""The tasks' table. The rules that must hold whoever writes are the database's: named constraints, defaults."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Computed, DateTime, Identity, PrimaryKeyConstraint, Text
from sqlalchemy import func as sql
from sqlalchemy.orm import Mapped, mapped_column

from todo.extensions import Base


class Task(Base):
    """One thing to do, of one user."""

    __tablename__ = "tasks"
    __table_args__ = (
        # The owner first: a foreign id is no oracle, and the table can be partitioned by user.
        PrimaryKeyConstraint("user_id", "id"),
        CheckConstraint("char_length(user_id) BETWEEN 1 AND 255", name="user_id_length"),
        CheckConstraint("char_length(title) BETWEEN 1 AND 200", name="title_length"),
        CheckConstraint("char_length(description) <= 1000", name="description_length"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    # "C" compares bytes: the key's order cannot change with the system's locale library.
    user_id: Mapped[str] = mapped_column(Text(collation="C"))
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    # One truth, two views of it: `completed` cannot contradict `completed_at`.
    completed: Mapped[bool] = mapped_column(Computed("completed_at IS NOT NULL", persisted=True))
    completed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=sql.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=sql.now())
    # Grows with every change and never returns: the ETag.
    version: Mapped[int] = mapped_column(BigInteger, server_default="1")
