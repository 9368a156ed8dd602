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


def upgrade() -> None:
    for table in ("tasks", "trash"):
        for name, kind in COLUMNS.items():
            op.execute(f"ALTER TABLE todo.{table} ADD COLUMN IF NOT EXISTS {name} {kind}")
    op.execute(f"GRANT UPDATE ({', '.join(COLUMNS)}) ON todo.tasks TO todo_app")
    for name, rule in RULES.items():
        op.execute(f"ALTER TABLE todo.tasks DROP CONSTRAINT IF EXISTS {name}")
        op.execute(f"ALTER TABLE todo.tasks ADD CONSTRAINT {name} CHECK ({rule}) NOT VALID")
    with op.get_context().autocommit_block():
        for name in RULES:
            op.execute(f"ALTER TABLE todo.tasks VALIDATE CONSTRAINT {name}")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS todo.tasks_by_reminder")
        op.execute(
            "CREATE INDEX CONCURRENTLY tasks_by_reminder ON todo.tasks (user_id, remind_at, id)"
            " WHERE remind_at IS NOT NULL"
        )


def downgrade() -> None:
    """Undo it. Rules and reminders are lost; tasks stay, also those that followed others."""
    op.drop_index("tasks_by_reminder", "tasks", schema="todo")
    for name in RULES:
        op.drop_constraint(op.f(name), "tasks", schema="todo")
    for table in ("trash", "tasks"):
        for name in reversed(COLUMNS):
            op.drop_column(table, name, schema="todo")
