"""UIDs, numbers of changes, and the trash. It does not block writes.

The slow steps run outside a transaction. Each step can be repeated: if the migration fails, upgrade again.
"""

from secrets import token_hex

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BATCH = 2000
INDEXES = {
    # Partial, so that PostgreSQL never looks there for an ID among all tasks of a user.
    "tasks_by_uid": ("UNIQUE INDEX", "(user_id, uid) WHERE uid IS NOT NULL"),
    "tasks_by_change": ("INDEX", "(user_id, change, id)"),
}

# The last row of a batch: nothing for the last batch.
FIND = sa.text(
    "SELECT user_id, id FROM todo.tasks WHERE (user_id, id) > (:user_id, :id) ORDER BY user_id, id OFFSET :size LIMIT 1"
)
# Random by a secret, in the form of RFC 9562 section 5.4: Citus allows no random function in an UPDATE of many rows.
FILL = """
    UPDATE todo.tasks SET uid = CAST(overlay(overlay(
      md5(:secret || user_id || ' ' || CAST(id AS text)) PLACING '4' FROM 13) PLACING '8' FROM 17) AS uuid)
    WHERE uid IS NULL AND (user_id, id) > (:user_id, :id)
"""
UNTIL = "AND (user_id, id) <= (:last_user_id, :last_id)"


def upgrade() -> None:
    op.execute("ALTER TABLE todo.tasks ADD COLUMN IF NOT EXISTS uid uuid")
    # New rows only, also those of the release before: a default of all rows would rewrite the table.
    op.execute("ALTER TABLE todo.tasks ALTER COLUMN uid SET DEFAULT gen_random_uuid()")
    op.execute("ALTER TABLE todo.tasks ADD COLUMN IF NOT EXISTS change bigint NOT NULL DEFAULT 0")
    op.execute("GRANT UPDATE (change) ON todo.tasks TO todo_app")
    # The tasks of a batch.
    op.execute("ALTER TABLE todo.idempotency_keys ADD COLUMN IF NOT EXISTS task_uids uuid[]")
    create_feeds()
    create_trash()
    with op.get_context().autocommit_block():
        fill_uids(op.get_bind())
        # A validated constraint lets SET NOT NULL skip the scan of the table, which would block writes.
        op.execute("ALTER TABLE todo.tasks DROP CONSTRAINT IF EXISTS tasks_uid_known")
        op.execute("ALTER TABLE todo.tasks ADD CONSTRAINT tasks_uid_known CHECK (uid IS NOT NULL) NOT VALID")
        op.execute("ALTER TABLE todo.tasks VALIDATE CONSTRAINT tasks_uid_known")
        op.execute("ALTER TABLE todo.tasks ALTER COLUMN uid SET NOT NULL")
        op.execute("ALTER TABLE todo.tasks DROP CONSTRAINT tasks_uid_known")
        op.execute("INSERT INTO todo.feeds (user_id) SELECT DISTINCT user_id FROM todo.tasks ON CONFLICT DO NOTHING")
        # Last, because a repeated migration builds them again, and they wait for no lock that blocks writes.
        for name, (kind, columns) in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS todo.{name}")
            op.execute(f"CREATE {kind} CONCURRENTLY {name} ON todo.tasks {columns}")


def downgrade() -> None:
    """Undo it. Tasks in the trash are lost."""
    op.drop_table("trash", schema="todo")
    op.drop_table("feeds", schema="todo")
    op.drop_column("idempotency_keys", "task_uids", schema="todo")
    op.drop_column("tasks", "change", schema="todo")
    op.drop_column("tasks", "uid", schema="todo")


def create_feeds() -> None:
    """Create the table of the users' counters."""
    op.create_table(
        "feeds",
        sa.Column("user_id", sa.Text(collation="C"), nullable=False),
        sa.Column("epoch", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("change", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("floor", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("feeds_pkey")),
        schema="todo",
        if_not_exists=True,
    )
    separate_users("feeds")
    op.execute("GRANT SELECT, INSERT, DELETE, UPDATE (epoch, change, floor) ON todo.feeds TO todo_app")


def create_trash() -> None:
    """Create the table of deleted tasks, with the columns of tasks."""
    op.execute("CREATE TABLE IF NOT EXISTS todo.trash (LIKE todo.tasks INCLUDING DEFAULTS INCLUDING GENERATED)")
    op.execute("ALTER TABLE todo.trash ALTER COLUMN uid SET NOT NULL")
    op.execute(
        "ALTER TABLE todo.trash ADD COLUMN IF NOT EXISTS deleted_at timestamp with time zone NOT NULL DEFAULT now()"
    )
    op.execute("ALTER TABLE todo.trash DROP CONSTRAINT IF EXISTS trash_pkey")
    op.create_primary_key("trash_pkey", "trash", ["user_id", "id"], schema="todo")
    op.execute("CREATE UNIQUE INDEX IF NOT EXISTS trash_by_uid ON todo.trash (user_id, uid) WHERE uid IS NOT NULL")
    op.execute("CREATE INDEX IF NOT EXISTS trash_by_change ON todo.trash (user_id, change, id)")
    separate_users("trash")
    op.execute("GRANT SELECT, INSERT, DELETE ON todo.trash TO todo_app")


def separate_users(table: str) -> None:
    """Give each user their own rows of a table."""
    op.execute(f"ALTER TABLE todo.{table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"DROP POLICY IF EXISTS {table}_of_the_user ON todo.{table}")
    op.execute(
        f"CREATE POLICY {table}_of_the_user ON todo.{table} TO todo_app"
        " USING (user_id = current_setting('todo.user_id', true))"
        " WITH CHECK (user_id = current_setting('todo.user_id', true))"
    )


def fill_uids(connection: sa.Connection) -> None:
    """Give existing tasks a UID, in batches."""
    place, secret = {"user_id": "", "id": 0}, {"secret": token_hex()}
    while last := connection.execute(FIND, {**place, "size": BATCH}).one_or_none():
        end = {"last_user_id": last.user_id, "last_id": last.id}
        connection.execute(sa.text(FILL + UNTIL), {**secret, **place, **end})
        place = {"user_id": last.user_id, "id": last.id}
    connection.execute(sa.text(FILL), {**secret, **place})
