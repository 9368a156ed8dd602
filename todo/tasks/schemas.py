"""The schemas of requests and responses. Bodies ignore unknown fields; query strings refuse unknown parameters."""

from typing import Any, ClassVar

from marshmallow import Schema, fields

from todo.tasks.due import end_of, start_of
from todo.tasks.fields import PRIORITIES, DayLimit, NoOffset, TagFilter, Words
from todo.tasks.listing import SORTS
from todo.tasks.resource import TASKS
from todo.web.fields import Choice, StrictBoolean, WholeNumber
from todo.web.parameters import Aliases
from todo.web.schemas import MAX_LISTED, IncomingSchema

# Names that frontends of other services use.
ALIASES = Aliases(
    parameters={"sort_by": "sort", "sort_order": "order", "q": "search"},
    values={
        "status": {"active": "pending", "incomplete": "pending"},
        "sort": {"created_at": "created", "updated_at": "updated"},
    },
)
ABOUT_QUERY = {
    "status": "Only tasks that are pending, or completed.",
    "completed": "Only tasks that are completed (true), or pending (false).",
    "priority": "Only tasks with this priority.",
    "tag": "Only tasks with this tag; if repeated, with all of these tags. Case is ignored.",
    "due_before": "Only tasks that are due on or before this day, in UTC.",
    "due_after": "Only tasks that are due on or after this day, in UTC.",
    "search": "Only tasks whose title or description contains every word, also inside longer words. Case is ignored.",
    "sort": "The order. Tasks without a due date or without a priority come last in both directions.",
    "order": "The direction. By default, the last created or updated come first, titles and due dates ascend, and high"
    " priorities come first.",
    "limit": "The largest number of tasks in the page.",
    "cursor": "Where the page begins: from the Link header of the page before.",
    "offset": "0, for clients that always send it. To continue, follow the Link header.",
}


class NewTaskSchema(IncomingSchema):
    """A task to create."""

    about = TASKS.about
    example: ClassVar[dict[str, Any]] = {name: TASKS.example[name] for name in TASKS.requests if name != "completed"}
    refused: ClassVar[dict[str, Any]] = {"title": " "}

    class Meta(IncomingSchema.Meta):
        include = TASKS.requests


class TaskChangesSchema(NewTaskSchema):
    """The fields of a task to change. Fields that are not sent stay; null clears a nullable field."""

    example: ClassVar[dict[str, Any]] = {"title": "Buy bread", "due_date": None}
    refused: ClassVar[dict[str, Any]] = {"due_date": "tomorrow"}


class CompletionSchema(IncomingSchema):
    """Whether the task is to be completed; an empty body toggles it."""

    about = TASKS.about
    example: ClassVar[dict[str, Any]] = {"completed": True}
    refused: ClassVar[dict[str, Any]] = {"completed": "yes"}

    completed = StrictBoolean()


class TaskQuerySchema(Schema):
    """Filters, order and page of a list. Unknown parameters are refused: a typo must not return a wrong list."""

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
    """A task in a response. It documents and tests; rows become JSON without it."""

    about = TASKS.about
    example = TASKS.example

    class Meta:
        include = TASKS.responses


class CountedTasksSchema(Schema):
    """The list with ``LIST_FORMAT=object``: a page of tasks, and the number of tasks on all pages."""

    about: ClassVar[dict[str, str]] = {
        "tasks": "The tasks of this page.",
        "total": "The number of tasks on all pages.",
    }
    example: ClassVar[dict[str, Any]] = {"tasks": [TaskSchema.example], "total": 1}

    tasks = fields.List(fields.Nested(TaskSchema), required=True)
    total = fields.Integer(required=True, strict=True)


class DeletionSchema(Schema):
    """The response to a deletion with ``DELETE_FORMAT=json``."""

    about: ClassVar[dict[str, str]] = {"id": "The ID of the deleted task.", "message": "A sentence for a person."}
    example: ClassVar[dict[str, Any]] = {"id": 42, "message": "The task has been deleted."}

    id = fields.Integer(required=True, strict=True, metadata={"format": "int64"})
    message = fields.String(required=True)
