"""The fields of a task. A new field is an entry here, a column of the model, and a migration.

The migration adds the column and grants todo_app the right to update it; /readyz checks both.
"""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

from todo.database.folding import fold, fold_unless_ascii
from todo.database.resource import Field, Resource
from todo.tasks.due import Due
from todo.tasks.fields import MAX_DESCRIPTION, MAX_TAG_LENGTH, MAX_TAGS, MAX_TITLE, PRIORITIES, DueDate, Tags
from todo.tasks.models import Task
from todo.web.fields import Choice, StrictBoolean, Text

READ_ONLY = {"readOnly": True}


def show_due_date(row: Task) -> str | None:
    """Return a whole day as a date, and an instant as a date-time."""
    due_at = row.due_at
    return due_at[:10] if row.due_all_day and due_at else due_at


def store_due_date(due: Due | None) -> Mapping[str, Any]:
    return {"due_at": due and due.at, "due_all_day": bool(due and due.all_day)}


TASKS = Resource(
    Task,
    Task.metadata.tables["todo.tasks"],
    {
        "id": Field(
            about="Assigned by the server, never reused.",
            response=fields.Integer(
                required=True, strict=True, metadata={"format": "int64", "minimum": 1, **READ_ONLY}
            ),
        ),
        "user_id": Field(
            about="The owner: the user of the token.",
            response=fields.String(required=True, metadata=READ_ONLY),
        ),
        "title": Field(
            about=f"What to do: 1 to {MAX_TITLE} characters after trimming.",
            response=Text(1, MAX_TITLE, required=True),
            request=Text(1, MAX_TITLE, trim=True, required=True),
            store=lambda title: {"title": title, "title_folded": fold_unless_ascii(title)},
        ),
        "description": Field(
            about="Details.",
            response=Text(0, MAX_DESCRIPTION, required=True, allow_none=True),
            request=Text(0, MAX_DESCRIPTION, allow_none=True),
            store=lambda text: {"description": text, "description_folded": fold_unless_ascii(text)},
        ),
        "completed": Field(  # Statements derive completed_at from it.
            about="Whether the task is completed.",
            response=StrictBoolean(required=True),
            request=StrictBoolean(),
            default=False,
        ),
        "completed_at": Field(
            about="When the task was completed; null while it is not.",
            response=fields.AwareDateTime(required=True, allow_none=True, metadata=READ_ONLY),
        ),
        "priority": Field(
            about="How urgent the task is; null if unknown.",
            response=Choice(*PRIORITIES, required=True, allow_none=True),
            request=Choice(*PRIORITIES, allow_none=True),
        ),
        "tags": Field(
            about=f"At most {MAX_TAGS} tags of 1 to {MAX_TAG_LENGTH} characters after trimming, in your order."
            " No two may be equal when case is ignored. null means no tags.",
            response=fields.List(
                Text(1, MAX_TAG_LENGTH), required=True, metadata={"maxItems": MAX_TAGS, "uniqueItems": True}
            ),
            request=Tags(),
            store=lambda tags: {"tags": tags, "tags_folded": [fold(tag) for tag in tags]},
            default=[],
        ),
        "due_date": Field(
            about="A whole day, which is the same day in every time zone; or an instant with its offset from UTC, which"
            " responses have in UTC.",
            response=DueDate(required=True, allow_none=True),
            request=DueDate(allow_none=True),
            column="due_at",
            also=("due_all_day",),
            show=show_due_date,
            store=store_due_date,
        ),
        "created_at": Field(
            about="When the task was created.", response=fields.AwareDateTime(required=True, metadata=READ_ONLY)
        ),
        "updated_at": Field(
            about="When the task was last changed.", response=fields.AwareDateTime(required=True, metadata=READ_ONLY)
        ),
    },
    stamped=("completed_at", "updated_at", "version"),
)
