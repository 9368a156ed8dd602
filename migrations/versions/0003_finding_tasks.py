"""Indexes for sorting, and folded text of existing tasks for searching. It does not block writes.

It runs outside a transaction. Each step can be repeated: if the migration fails, upgrade again.
"""

import unicodedata
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

RULES = ("tasks_priority_known", "tasks_tags_number", "tasks_tags_folded_number", "tasks_due_all_day_end")
INDEXES = {
    "tasks_by_update": "user_id, updated_at, id",
    "tasks_by_due_date": "user_id, due_at, due_all_day, id",
}
BATCH = 5000
ARRAYS = ("user_ids", "ids", "titles", "descriptions", "titles_folded", "descriptions_folded")

# PostgreSQL folds ASCII itself, so only other text can need folding here.
FIND = sa.text(
    """
    SELECT user_id, id, title, description FROM todo.tasks
    WHERE (user_id, id) > (:user_id, :id)
      AND octet_length(title || coalesce(description, '')) > char_length(title || coalesce(description, ''))
    ORDER BY user_id, id LIMIT :size
    """
)
# A task that was changed since FIND is left alone: the request that changed it stored folded text.
FOLD = sa.text(
    """
    UPDATE todo.tasks AS task SET title_folded = new.title_folded, description_folded = new.description_folded
    FROM unnest(:user_ids ::text[], :ids ::bigint[], :titles ::text[], :descriptions ::text[],
                :titles_folded ::text[], :descriptions_folded ::text[])
      AS new (user_id, id, title, description, title_folded, description_folded)
    WHERE (task.user_id, task.id, task.title) = (new.user_id, new.id, new.title)
      AND task.description IS NOT DISTINCT FROM new.description
    """
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, columns in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS todo.{name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON todo.tasks ({columns})")
        for name in RULES:
            op.execute(f"ALTER TABLE todo.tasks VALIDATE CONSTRAINT {name}")
        fold_existing_tasks(op.get_bind())


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, "tasks", schema="todo")


def fold_existing_tasks(connection: sa.Connection) -> None:
    """Fold the text of existing tasks in batches, where PostgreSQL cannot fold it."""
    place: dict[str, Any] = {"user_id": "", "id": 0}
    while rows := connection.execute(FIND, {**place, "size": BATCH}).all():
        folded = [(*row, fold_unless_ascii(row.title), fold_unless_ascii(row.description)) for row in rows]
        if needed := [each for each in folded if each[4] is not None or each[5] is not None]:
            columns = zip(*needed, strict=True)
            connection.execute(FOLD, dict(zip(ARRAYS, map(list, columns), strict=True)))
        place = {"user_id": rows[-1].user_id, "id": rows[-1].id}


def fold_unless_ascii(text: str | None) -> str | None:
    """Fold text as the application did at the time of this migration."""
    if text is None or text.isascii():
        return None
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
    ascii_lower = "".join(character.lower() if character.isascii() else character for character in text)
    return folded if folded != ascii_lower else None
