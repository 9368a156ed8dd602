"""The table of tasks, the role of requests, and row security for this role."""

import sqlalchemy as sa
from alembic import op
from click import ClickException

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    ensure_role()
    op.create_table(
        "tasks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.Text(collation="C"), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("completed", sa.Boolean(), sa.Computed("completed_at IS NOT NULL", persisted=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("tasks_pkey")),
        sa.CheckConstraint("char_length(user_id) BETWEEN 1 AND 255", name=op.f("tasks_user_id_length")),
        sa.CheckConstraint("char_length(title) BETWEEN 1 AND 200", name=op.f("tasks_title_length")),
        sa.CheckConstraint("char_length(description) <= 1000", name=op.f("tasks_description_length")),
        schema="todo",
    )
    # Enabled, not forced: forced row security would break pg_dump and the owner's backfills. No request runs as owner.
    op.execute("ALTER TABLE todo.tasks ENABLE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY tasks_of_the_user ON todo.tasks TO todo_app"
        " USING (user_id = current_setting('todo.user_id', true))"
        " WITH CHECK (user_id = current_setting('todo.user_id', true))"
    )
    op.execute("GRANT USAGE ON SCHEMA todo TO todo_app")
    # For /readyz, if the service logs in as a user that owns no tables.
    op.execute("GRANT SELECT ON todo.alembic_version TO todo_app")
    op.execute("GRANT SELECT, INSERT, DELETE ON todo.tasks TO todo_app")
    op.execute("GRANT UPDATE (title, description, completed_at, updated_at, version) ON todo.tasks TO todo_app")


def downgrade() -> None:
    """Undo all but the role: it belongs to the whole cluster, and another database may use it."""
    op.drop_table("tasks", schema="todo")
    op.execute("REVOKE ALL ON todo.alembic_version FROM todo_app")
    op.execute("REVOKE ALL ON SCHEMA todo FROM todo_app")


def ensure_role() -> None:
    """Create the role and become a member of it, unless both are done. Raises ClickException without the permission."""
    connection = op.get_bind()
    # Since PostgreSQL 16, SET ROLE needs more than membership.
    membership = "SET" if connection.dialect.server_version_info >= (16,) else "MEMBER"
    user = connection.execute(sa.text("SELECT quote_ident(current_user)")).scalar()
    try:
        remedies = ["CREATE ROLE todo_app NOLOGIN", f"GRANT todo_app TO {user}"]
        # A migration of another database in the cluster may create the role at the same time.
        op.execute(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'todo_app')"
            " THEN CREATE ROLE todo_app NOLOGIN; END IF;"
            " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        )
        remedies = [f"GRANT todo_app TO {user}"]
        if not connection.execute(sa.text("SELECT pg_has_role('todo_app', :kind)"), {"kind": membership}).scalar():
            op.execute(f"GRANT todo_app TO {user}")
    except sa.exc.ProgrammingError as error:
        raise ClickException(
            f"This database user cannot set up the role of requests, todo_app ({error.orig.diag.message_primary}).\n"
            "Ask an administrator to run:\n" + "".join(f"    {remedy};\n" for remedy in remedies) + "and try again."
        ) from None
