"""An index for sorting by the time of creation, and dots and dotless letters folded alike. It does not block writes.

It runs outside a transaction. Each step can be repeated: if the migration fails, upgrade again.
"""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BATCH = 500

# Only text with a dotless i, or with a dot above, was folded in another way.
FIND = sa.text(
    r"""
    SELECT user_id, id, title, description, tags FROM todo.tasks
    WHERE (user_id, id) > (:user_id, :id)
      AND concat(title, description, array_to_string(tags, '')) ~ '[\u0130\u0131\u0307]'
    ORDER BY user_id, id LIMIT :size
    """
)
# A task that was changed since FIND is left alone: the request that changed it stored folded text. The release before
# still folds these letters in the old way. A task that it writes after this step is folded again at its next change.
FOLD = sa.text(
    """
    UPDATE todo.tasks AS task
    SET title_folded = new.title_folded, description_folded = new.description_folded, tags_folded = new.tags_folded
    FROM json_to_recordset(CAST(:rows AS json)) AS new (
      user_id text, id bigint, title text, description text, tags text[],
      title_folded text, description_folded text, tags_folded text[]
    )
    WHERE (task.user_id, task.id, task.title, task.tags) = (new.user_id, new.id, new.title, new.tags)
      AND task.description IS NOT DISTINCT FROM new.description
    """
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS todo.tasks_by_creation")
        op.execute("CREATE INDEX CONCURRENTLY tasks_by_creation ON todo.tasks (user_id, created_at, id)")
        fold_existing_tasks(op.get_bind())


def downgrade() -> None:
    op.drop_index("tasks_by_creation", "tasks", schema="todo")


def fold_existing_tasks(connection: sa.Connection) -> None:
    """Fold the text of existing tasks in batches."""
    place: dict[str, Any] = {"user_id": "", "id": 0}
    while rows := connection.execute(FIND, {**place, "size": BATCH}).mappings().all():
        connection.execute(FOLD, {"rows": json.dumps([fold_task(dict(row)) for row in rows])})
        place = {"user_id": rows[-1]["user_id"], "id": rows[-1]["id"]}


def fold_task(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task with its folded text."""
    return {
        **task,
        "title_folded": fold_unless_ascii(task["title"]),
        "description_folded": fold_unless_ascii(task["description"]),
        "tags_folded": [fold(tag) for tag in task["tags"]],
    }


def fold(text: str) -> str:
    """Fold text as the application did at the time of this migration."""
    folded = unicodedata.normalize("NFD", text).casefold().replace("i\u0307", "i").replace("\u0131", "i")
    return unicodedata.normalize("NFC", folded)


def fold_unless_ascii(text: str | None) -> str | None:
    """Return the folded text; None where PostgreSQL folds it itself."""
    if text is None or text.isascii():
        return None
    folded = fold(text)
    ascii_lower = "".join(character.lower() if character.isascii() else character for character in text)
    return folded if folded != ascii_lower else None
