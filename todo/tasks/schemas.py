"""What a task looks like from outside, what a client may send, and what it may ask for."""

from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, fields

from todo.fields import Choice, StrictBoolean, Text, WholeNumber
from todo.tasks.due import end_of, start_of
from todo.tasks.fields import PRIORITIES, DayLimit, DueDate, TagFilter, Tags, Words
from todo.tasks.sorting import SORTS

MAX_LISTED = 1000
TITLE = {"description": "White space around it is taken off, and does not count."}


class IncomingSchema(Schema):
    """Clients send whole tasks back: members that are unknown, or the server's to set, are ignored."""

    class Meta:
        unknown = EXCLUDE


class NewTaskSchema(IncomingSchema):
    """A task to create."""

    example: ClassVar[dict[str, Any]] = {
        "title": "Buy milk",
        "description": "Two bottles.",
        "priority": "high",
        "tags": ["home"],
        "due_date": "2026-12-31",
    }

    title = Text(1, 200, trim=True, required=True, metadata=TITLE)
    description = Text(0, 1000, allow_none=True)
    completed = StrictBoolean()
    priority = Choice(*PRIORITIES, allow_none=True)
    tags = Tags()
    due_date = DueDate(allow_none=True)


class TaskChangesSchema(NewTaskSchema):
    """The members of a task to change; those not sent stay as they are, null clears a member that may be null."""

    example: ClassVar[dict[str, Any]] = {"title": "Buy bread", "due_date": None}

    title = Text(1, 200, trim=True, metadata=TITLE)


class CompletionSchema(IncomingSchema):
    """What a task's completion shall be; without it, the other of what it is."""

    example: ClassVar[dict[str, Any]] = {"completed": True}

    completed = StrictBoolean()


class TaskQuerySchema(Schema):
    """Which tasks to list, and in which order. A typo must not be a silently wrong list: nothing is ignored."""

    status = Choice(values={"all": None, "pending": False, "completed": True})
    completed = Choice(values={"true": True, "false": False})
    priority = Choice(*PRIORITIES)
    tag = TagFilter()
    due_before = DayLimit(end_of)
    due_after = DayLimit(start_of)
    search = Words(200)
    sort = Choice(*SORTS, load_default="created")
    order = Choice("asc", "desc")
    limit = WholeNumber(1, MAX_LISTED, load_default=MAX_LISTED)
    cursor = fields.String()


class TaskSchema(Schema):
    """A task as it is answered. Documents and tests; rows go to JSON without passing through it."""

    example: ClassVar[dict[str, Any]] = {
        "id": 42,
        "user_id": "alice",
        **NewTaskSchema.example,
        "completed": False,
        "completed_at": None,
        "created_at": "2026-12-01T08:30:00.123456Z",
        "updated_at": "2026-12-01T08:30:00.123456Z",
    }

    id = fields.Integer(required=True, strict=True, metadata={"format": "int64"})
    user_id = fields.String(required=True)
    title = fields.String(required=True)
    description = fields.String(required=True, allow_none=True)
    completed = StrictBoolean(required=True)
    completed_at = fields.AwareDateTime(required=True, allow_none=True)
    priority = Choice(*PRIORITIES, required=True, allow_none=True)
    tags = fields.List(fields.String(), required=True)
    due_date = DueDate(required=True, allow_none=True)
    created_at = fields.AwareDateTime(required=True)
    updated_at = fields.AwareDateTime(required=True)
