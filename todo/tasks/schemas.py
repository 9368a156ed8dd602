"""The schemas of requests and responses. Bodies ignore unknown fields; query strings refuse unknown parameters."""

from datetime import UTC
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema

from todo.tasks.due import find_first, find_last
from todo.tasks.fields import PRIORITIES, DueLimit, OnlyFirst, Sorting, TagFilter, Words
from todo.tasks.listing import SORTS
from todo.tasks.recurrence.rules import DUE_MISSING, ZONE_MISSING
from todo.tasks.resource import TASKS
from todo.tasks.zones import Zone
from todo.web.fields import Choice, StrictBoolean, WholeNumber
from todo.web.schemas import MAX_LISTED, IncomingSchema

# Other names of parameters. They lose nothing, and frontends of other services use them.
ALIASES = {
    "filter": "status",
    "tag[]": "tag",
    "q": "search",
    "sort_by": "sort",
    "sort_order": "order",
    "per_page": "limit",
    "page_size": "limit",
}
ABOUT_QUERY = {
    "status": "Only tasks that are pending, or completed.",
    "completed": "Only tasks that are completed (true), or pending (false).",
    "priority": "Only tasks with this priority.",
    "tag": "Only tasks with this tag; if repeated, with all of these tags. Case is ignored.",
    "due_before": "Only tasks that are due by this day (2026-12-31) or this instant (2026-12-31T17:00:00+05:00).",
    "due_after": "Only tasks that are due from this day or instant on.",
    "remind_before": "Only tasks with a reminder by this day or this instant.",
    "remind_after": "Only tasks with a reminder from this day or instant on.",
    "time_zone": "The IANA time zone of the days in other parameters, such as America/New_York; by default UTC. A day"
    " begins and ends there. A whole-day task is due at the end of its day there.",
    "search": "Only tasks whose title or description contains every word, also inside longer words. Case is ignored.",
    "sort": "The order. Tasks without a due date or without a priority come last in both directions.",
    "order": "The direction. By default, the last created or updated come first, titles and due dates ascend, and high"
    " priorities come first.",
    "limit": "The largest number of tasks in the page.",
    "cursor": "Where the page begins: from the Link header of the page before.",
}


class ScheduledSchema(IncomingSchema):
    """The fields of a task in a request. A recurring task needs a due date, and an instant needs a time zone."""

    class Meta(IncomingSchema.Meta):
        include = TASKS.requests

    @validates_schema
    def check_schedule(self, task: dict[str, Any], partial: Any = None, **_: Any) -> None:
        """Raise ValidationError if a recurring task has no due date, or an instant without a time zone."""
        recurrence = task.get("recurrence")
        # The due date of a changed task may be stored. Then the database compares both (recurrence/completion.py).
        if recurrence is None or (partial and "due_date" not in task):
            return
        if (due := task.get("due_date")) is None:
            raise ValidationError(DUE_MISSING, "due_date")
        if not due.all_day and recurrence["time_zone"] is None:
            raise ValidationError(ZONE_MISSING, "recurrence.time_zone")


class NewTaskSchema(ScheduledSchema):
    """A task to create."""

    about = TASKS.about
    example: ClassVar[dict[str, Any]] = {name: TASKS.example[name] for name in TASKS.requests if name != "completed"}
    refused: ClassVar[dict[str, Any]] = {"title": " "}


class TaskChangesSchema(NewTaskSchema):
    """The fields of a task to change. Fields that are not sent stay; null clears a nullable field."""

    example: ClassVar[dict[str, Any]] = {"title": "Buy bread", "due_date": None}
    refused: ClassVar[dict[str, Any]] = {"due_date": "tomorrow"}


class CompletionSchema(IncomingSchema):
    """Whether the task is to be completed; an empty body toggles it."""

    about = TASKS.about
    example: ClassVar[dict[str, Any]] = {"completed": True}
    refused: ClassVar[dict[str, Any]] = {"completed": "yes"}
    optional = True

    completed = StrictBoolean(required=True)


class CompletionQuerySchema(Schema):
    """The new state in the query of a change, for frontends that send it there."""

    completed = Choice(values={"true": True, "false": False}, metadata={"undocumented": True})


class TaskQuerySchema(Schema):
    """Filters, order and page of a list. Unknown parameters are refused: a typo must not return a wrong list."""

    about = ABOUT_QUERY
    aliases = ALIASES
    lenient = True
    refused: ClassVar[dict[str, Any]] = {"limit": "0"}

    status = Choice(
        values={"all": None, "pending": False, "completed": True}, synonyms={"active": False, "incomplete": False}
    )
    completed = Choice(values={"true": True, "false": False})
    priority = Choice(*PRIORITIES)
    tag = TagFilter()
    due_before = DueLimit()
    due_after = DueLimit()
    remind_before = DueLimit()
    remind_after = DueLimit()
    time_zone = Zone()
    search = Words(200)
    sort = Sorting(*SORTS, synonyms={"created_at": "created", "updated_at": "updated"})
    order = Choice("asc", "desc")
    limit = WholeNumber(1, MAX_LISTED, load_default=MAX_LISTED)
    cursor = fields.String(metadata={"pattern": "^[A-Za-z0-9_-]+$"})
    page = OnlyFirst(1)
    offset = OnlyFirst(0)
    skip = OnlyFirst(0)

    @validates_schema(skip_on_field_errors=False)
    def compare_directions(self, query: dict[str, Any], **_: Any) -> None:
        """Raise ValidationError if the order and its direction contradict."""
        _, direction = query.get("sort", (None, None))
        if direction is not None and query.get("order", direction) != direction:
            raise ValidationError(f"Contradicts the direction of sort, which is {direction}.", "order")

    @post_load
    def combine(self, query: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Combine the order with its direction, and the limits with the time zone."""
        query["sort"], direction = query["sort"]
        query.setdefault("order", direction)
        zone = query.pop("time_zone", UTC)
        limits_of = {"due_before": find_last, "due_after": find_first}
        limits_of |= {"remind_before": find_last, "remind_after": find_first}
        for name, find in limits_of.items():
            if name in query:
                try:
                    limits = find(query[name], zone)
                    query[name] = {f"{name}_{kind}": moment for kind, moment in limits._asdict().items()}
                except OverflowError:
                    raise ValidationError("Is not between the years 1 and 9999 in that time zone.", name) from None
        return query


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
