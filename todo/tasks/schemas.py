"""What a task looks like from outside, what a client may send, and what it may ask for."""

from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, fields

from todo.tasks.due import end_of, start_of
from todo.tasks.fields import (
    MAX_DESCRIPTION,
    MAX_TAG_LENGTH,
    MAX_TAGS,
    MAX_TITLE,
    PRIORITIES,
    DayLimit,
    DueDate,
    NoOffset,
    TagFilter,
    Tags,
    Words,
)
from todo.tasks.sorting import SORTS
from todo.web.endpoints import Aliases
from todo.web.fields import Choice, StrictBoolean, Text, WholeNumber

MAX_LISTED = 1000
# What frontends that were written for other services ask by.
ALIASES = Aliases(
    parameters={"sort_by": "sort", "sort_order": "order", "q": "search"},
    values={
        "status": {"active": "pending", "incomplete": "pending"},
        "sort": {"created_at": "created", "updated_at": "updated"},
    },
)
# What the document says of each member, and of each parameter of the list.
ABOUT_TASK = {
    "id": "Given by the server, never used again.",
    "user_id": "Whose task it is: the token's user.",
    "title": f"What to do: 1 to {MAX_TITLE} characters. White space around it is taken off, and does not count.",
    "description": "More about it.",
    "completed": "Whether it is done.",
    "completed_at": "Since when it is done; null if it is not.",
    "priority": "How urgent it is, if that is known.",
    "tags": f"At most {MAX_TAGS} of 1 to {MAX_TAG_LENGTH} characters, in your order. White space around one is taken"
    " off. No two may be the same but for case. null means none.",
    "due_date": "A whole day, which stays that day in every time zone, or an instant with its offset from UTC, which is"
    " answered in UTC.",
    "created_at": "When it was created.",
    "updated_at": "When anything of it changed last.",
}
ABOUT_QUERY = {
    "status": "Only tasks that are pending, or completed.",
    "completed": "The same, as a boolean.",
    "priority": "Only tasks of this priority.",
    "tag": "Only tasks with this tag; given several times, with all of them. Case does not count.",
    "due_before": "Only tasks that are due on this day, in UTC, or before.",
    "due_after": "Only tasks that are due on this day, in UTC, or after.",
    "search": "Only tasks in whose title or description every word occurs, inside longer words too. Case is ignored.",
    "sort": "What to sort by. Tasks without a due date, or without a priority, come last in both directions.",
    "order": "By default what is created or updated last comes first, titles and due dates ascend, and a high priority"
    " comes first.",
    "limit": "How many tasks to list at most.",
    "cursor": "Where the page begins: from the Link header of the page before.",
    "offset": "0, for clients that always say so; to go on, follow the Link header.",
}
READ_ONLY = {"readOnly": True}


class IncomingSchema(Schema):
    """Clients send whole tasks back: members that are unknown, or the server's to set, are ignored."""

    about = ABOUT_TASK

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
    refused: ClassVar[dict[str, Any]] = {"title": " "}

    title = Text(1, MAX_TITLE, trim=True, required=True)
    description = Text(0, MAX_DESCRIPTION, allow_none=True)
    completed = StrictBoolean()
    priority = Choice(*PRIORITIES, allow_none=True)
    tags = Tags()
    due_date = DueDate(allow_none=True)


class TaskChangesSchema(NewTaskSchema):
    """The members of a task to change; those not sent stay as they are, null clears a member that may be null."""

    example: ClassVar[dict[str, Any]] = {"title": "Buy bread", "due_date": None}
    refused: ClassVar[dict[str, Any]] = {"due_date": "tomorrow"}

    title = Text(1, MAX_TITLE, trim=True)


class CompletionSchema(IncomingSchema):
    """Whether the task is to be completed; an empty body toggles it."""

    example: ClassVar[dict[str, Any]] = {"completed": True}
    refused: ClassVar[dict[str, Any]] = {"completed": "yes"}

    completed = StrictBoolean()


class TaskQuerySchema(Schema):
    """Which tasks to list, and in which order. A typo must not be a silently wrong list: nothing is ignored."""

    about = ABOUT_QUERY
    aliases: ClassVar[Aliases] = ALIASES
    refused: ClassVar[dict[str, Any]] = {"limit": "0"}

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
    cursor = fields.String(metadata={"pattern": "^[A-Za-z0-9_-]+$"})
    offset = NoOffset()


class TaskSchema(Schema):
    """A task as it is answered. Documents and tests; rows go to JSON without passing through it."""

    about = ABOUT_TASK
    example: ClassVar[dict[str, Any]] = {
        "id": 42,
        "user_id": "alice",
        **NewTaskSchema.example,
        "completed": False,
        "completed_at": None,
        "created_at": "2026-12-01T08:30:00.123456Z",
        "updated_at": "2026-12-01T08:30:00.123456Z",
    }

    id = fields.Integer(required=True, strict=True, metadata={"format": "int64", "minimum": 1, **READ_ONLY})
    user_id = fields.String(required=True, metadata=READ_ONLY)
    title = Text(1, MAX_TITLE, required=True)
    description = Text(0, MAX_DESCRIPTION, required=True, allow_none=True)
    completed = StrictBoolean(required=True)
    completed_at = fields.AwareDateTime(required=True, allow_none=True, metadata=READ_ONLY)
    priority = Choice(*PRIORITIES, required=True, allow_none=True)
    tags = fields.List(Text(1, MAX_TAG_LENGTH), required=True, metadata={"maxItems": MAX_TAGS, "uniqueItems": True})
    due_date = DueDate(required=True, allow_none=True)
    created_at = fields.AwareDateTime(required=True, metadata=READ_ONLY)
    updated_at = fields.AwareDateTime(required=True, metadata=READ_ONLY)


class CountedTasksSchema(Schema):
    """Tasks as ``LIST_FORMAT=object`` lists them: a page of them, and how many there are on all pages."""

    about: ClassVar[dict[str, str]] = {"tasks": "This page's.", "total": "How many tasks there are on all pages."}
    example: ClassVar[dict[str, Any]] = {"tasks": [TaskSchema.example], "total": 1}

    tasks = fields.List(fields.Nested(TaskSchema), required=True)
    total = fields.Integer(required=True, strict=True)


class DeletionSchema(Schema):
    """What ``DELETE_FORMAT=json`` answers to a deletion."""

    about: ClassVar[dict[str, str]] = {"id": "Which task it was.", "message": "What happened, for a person."}
    example: ClassVar[dict[str, Any]] = {"id": 42, "message": "The task has been deleted."}

    id = fields.Integer(required=True, strict=True, metadata={"format": "int64"})
    message = fields.String(required=True)
