"""The fields of a task. A new field is an entry here, a column of the model, and a migration.

The migration adds the column and grants todo_app the right to update it; /readyz checks both.
"""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

from todo.database.folding import fold, fold_unless_ascii
from todo.database.resource import Field, Resource
from todo.tasks.due import Due
from todo.tasks.fields import MAX_DESCRIPTION, MAX_TAG_LENGTH, MAX_TAGS, MAX_TITLE, PRIORITIES, DueDate, Reminder, Tags
from todo.tasks.models import Task, TrashedTask
from todo.tasks.recurrence.rules import Recurrence, RecurrenceSchema
from todo.web.fields import Choice, StrictBoolean, Text

SOME_TIME = "2026-12-01T08:30:00.123456Z"


def show_due_date(row: Task) -> str | None:
    """Return a whole day as a date, and an instant as a date-time."""
    due_at = row.due_at
    return due_at[:10] if row.due_all_day and due_at else due_at


def store_due_date(due: Due | None) -> Mapping[str, Any]:
    return {"due_at": due and due.at, "due_all_day": bool(due and due.all_day)}


TASKS = Resource(
    Task,
    {
        "id": Field(
            "Assigned by the server, never reused.",
            42,
            response=fields.Integer(strict=True, metadata={"format": "int64", "minimum": 1}),
        ),
        "user_id": Field("The owner: the user of the token.", "alice", response=fields.String()),
        "title": Field(
            f"What to do: 1 to {MAX_TITLE} characters after trimming.",
            "Buy milk",
            request=Text(1, MAX_TITLE, trim=True, required=True),
            response=Text(1, MAX_TITLE),
            store=lambda title: {"title": title, "title_folded": fold_unless_ascii(title)},
        ),
        "description": Field(
            "Details.",
            "Two bottles.",
            request=Text(0, MAX_DESCRIPTION, allow_none=True),
            store=lambda text: {"description": text, "description_folded": fold_unless_ascii(text)},
        ),
        # Statements derive completed_at from it.
        "completed": Field("Whether the task is completed.", False, request=StrictBoolean(), default=False),
        "completed_at": Field(
            "When the task was completed; null while it is not.", None, response=fields.AwareDateTime(allow_none=True)
        ),
        "priority": Field(
            "How urgent the task is; null if unknown.",
            "high",
            request=Choice(*PRIORITIES, synonyms={"none": None, "": None}, allow_none=True),
        ),
        "tags": Field(
            f"At most {MAX_TAGS} tags of 1 to {MAX_TAG_LENGTH} characters after trimming, in your order."
            " No two may be equal when case is ignored. null means no tags.",
            ["home"],
            request=Tags(),
            response=fields.List(Text(1, MAX_TAG_LENGTH), metadata={"maxItems": MAX_TAGS}),
            store=lambda tags: {"tags": tags, "tags_folded": [fold(tag) for tag in tags]},
            default=[],
        ),
        "due_date": Field(
            "A date for a whole day, which is the same day in every time zone, such as 2026-12-31; or a date-time with"
            " its offset from UTC for an instant, such as 2026-12-31T17:00:00+05:00, which responses have in UTC.",
            "2026-12-31",
            request=DueDate(),
            column="due_at",
            also=("due_all_day",),
            show=show_due_date,
            store=store_due_date,
        ),
        "remind_at": Field(
            "When a calendar or a client is to remind of the task. This service sends nothing.",
            "2026-12-31T08:00:00.000000Z",
            request=Reminder(),
            response=fields.AwareDateTime(allow_none=True),
        ),
        "recurrence": Field(
            "When the task is due again after it was completed; null if it does not recur, which ends a series. A"
            " recurring task needs a due date. It is sent as a whole: a member that is not sent has its default. A task"
            " that is created as completed has no successor.",
            RecurrenceSchema.example,
            request=Recurrence(),
        ),
        "next_id": Field(
            "The ID of the task that followed when this recurring task was completed. It may have been deleted since.",
            None,
            response=fields.Integer(strict=True, allow_none=True, metadata={"format": "int64", "minimum": 1}),
        ),
        "created_at": Field("When the task was created.", SOME_TIME, response=fields.AwareDateTime()),
        "updated_at": Field("When the task was last changed.", SOME_TIME, response=fields.AwareDateTime()),
        "uid": Field(
            "A UUID, which a client can choose with PUT. It never changes. Paths accept it instead of the ID.",
            "0b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2a",
            response=fields.UUID(),
        ),
    },
    stamped=("completed_at", "updated_at", "version", "change", "anchor", "next_id"),
)

TRASH = Resource(
    TrashedTask,
    {
        **{name: field for name, field in TASKS.fields.items() if name != "etag"},
        "deleted_at": Field("When the task was deleted.", SOME_TIME, response=fields.AwareDateTime()),
    },
)
