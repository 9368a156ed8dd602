"""Priority, tags and due dates. Fast on a table of any size, because it does not read or write rows."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Checked for new and changed rows. 0003 checks the existing rows.
RULES = {
    "tasks_priority_known": "priority IN ('low', 'medium', 'high')",
    "tasks_tags_number": "cardinality(tags) <= 20",
    "tasks_tags_folded_number": "cardinality(tags_folded) = cardinality(tags)",
    "tasks_due_all_day_end": (
        "NOT due_all_day OR coalesce((due_at AT TIME ZONE 'UTC')::time = '23:59:59.999999', false)"
    ),
}
WRITABLE = ("priority", "tags", "tags_folded", "due_at", "due_all_day", "title_folded", "description_folded")


def upgrade() -> None:
    for column in (
        sa.Column("priority", sa.Text()),
        sa.Column("tags", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("due_all_day", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("title_folded", sa.Text()),
        sa.Column("description_folded", sa.Text()),
        sa.Column("tags_folded", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    ):
        op.add_column("tasks", column, schema="todo")
    for name, rule in RULES.items():
        op.create_check_constraint(op.f(name), "tasks", sa.text(rule), schema="todo", postgresql_not_valid=True)
    op.execute(f"GRANT UPDATE ({', '.join(WRITABLE)}) ON todo.tasks TO todo_app")


def downgrade() -> None:
    for name in RULES:
        op.drop_constraint(op.f(name), "tasks", schema="todo")
    for name in WRITABLE:
        op.drop_column("tasks", name, schema="todo")
