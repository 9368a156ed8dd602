"""Recurring tasks and reminders. It does not block writes.

The slow steps run outside a transaction. Each step can be repeated: if the migration fails, upgrade again.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS = {
    "remind_at": "timestamp with time zone",
    "recurrence": "jsonb",
    "anchor": "timestamp",
    "next_id": "bigint",
}
RULES = {
    "tasks_recurrence_dated": "recurrence IS NULL OR (due_at IS NOT NULL AND anchor IS NOT NULL)",
    "tasks_recurrence_zoned": "recurrence IS NULL OR due_all_day OR recurrence ->> 'time_zone' IS NOT NULL",
}

INDEXES = {
    "tasks_by_reminder": "tasks (user_id, remind_at, id) WHERE remind_at IS NOT NULL",
    "trash_hidden": "trash (user_id) WHERE deleted_at = '1970-01-01 00:00:00+00'",
}


def upgrade() -> None:
    added = ", ".join(f"ADD COLUMN IF NOT EXISTS {name} {kind}" for name, kind in COLUMNS.items())
    # A transaction for each table: requests lock the two in either order, so holding both locks could be a deadlock.
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE todo.trash {added}")
    op.execute(f"ALTER TABLE todo.tasks {added}")
    op.execute(f"GRANT UPDATE ({', '.join(COLUMNS)}) ON todo.tasks TO todo_app")
    for name, rule in RULES.items():
        op.execute(f"ALTER TABLE todo.tasks DROP CONSTRAINT IF EXISTS {name}")
        op.execute(f"ALTER TABLE todo.tasks ADD CONSTRAINT {name} CHECK ({rule}) NOT VALID")
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE todo.tasks {', '.join(f'VALIDATE CONSTRAINT {name}' for name in RULES)}")
        for name, columns in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS todo.{name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON todo.{columns}")


def downgrade() -> None:
    """Undo it. Rules and reminders are lost; tasks stay, also those that followed others."""
    op.drop_index("trash_hidden", "trash", schema="todo")
    op.drop_index("tasks_by_reminder", "tasks", schema="todo")
    for name in RULES:
        op.drop_constraint(op.f(name), "tasks", schema="todo")
    for table in ("trash", "tasks"):
        for name in reversed(COLUMNS):
            op.drop_column(table, name, schema="todo")
