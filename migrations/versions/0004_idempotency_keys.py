"""Idempotency keys of created tasks, so a repeated request does not create a second task."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.Text(collation="C"), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "key", name=op.f("idempotency_keys_pkey")),
        sa.CheckConstraint("char_length(key) BETWEEN 1 AND 255", name=op.f("idempotency_keys_key_length")),
        schema="todo",
    )
    op.execute("ALTER TABLE todo.idempotency_keys ENABLE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY idempotency_keys_of_the_user ON todo.idempotency_keys TO todo_app"
        " USING (user_id = current_setting('todo.user_id', true))"
        " WITH CHECK (user_id = current_setting('todo.user_id', true))"
    )
    op.execute("GRANT SELECT, INSERT, DELETE ON todo.idempotency_keys TO todo_app")
    # A request takes the task's id from the sequence first, to store it with the key.
    op.execute("GRANT USAGE ON SEQUENCE todo.tasks_id_seq TO todo_app")


def downgrade() -> None:
    op.execute("REVOKE ALL ON SEQUENCE todo.tasks_id_seq FROM todo_app")
    op.drop_table("idempotency_keys", schema="todo")
