"""An index that finds a user's oldest idempotency keys. It does not block writes.

It runs outside a transaction, and can be repeated: if the migration fails, upgrade again.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS todo.idempotency_keys_by_age")
        # Partial, so that PostgreSQL does not use it to look for a key.
        op.execute(
            "CREATE INDEX CONCURRENTLY idempotency_keys_by_age ON todo.idempotency_keys (user_id, created_at)"
            " WHERE created_at IS NOT NULL"
        )


def downgrade() -> None:
    op.drop_index("idempotency_keys_by_age", "idempotency_keys", schema="todo")
