"""The change feed: what has changed since a device last asked."""

from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar

from flask import Blueprint, Response, g
from marshmallow import Schema, fields

from config import Settings
from todo.database.changes import find_changes
from todo.errors import CursorExpired
from todo.extensions import current_settings
from todo.tasks.completed_as import describe_task, extend, show_task
from todo.tasks.resource import TASKS, TRASH
from todo.web.endpoints import Responses, endpoint
from todo.web.fields import StrictBoolean
from todo.web.responses import reply
from todo.web.schemas import PageQuerySchema

changes = Blueprint("changes", __name__)


class ChangesQuerySchema(PageQuerySchema):
    """The place in the feed, and the size of the page."""

    about: ClassVar[dict[str, str]] = {
        "limit": "The largest number of changes in the page.",
        "cursor": "From the response before. Without it, the response begins with all tasks.",
    }


def make_optional(name: str) -> fields.Field[Any]:
    """Return the field of a response that only some responses have."""
    field = copy(TASKS.responses[name])
    field.required = name in {"id", "uid"}
    return field


class ChangeSchema(Schema):
    """A task as it is now, or one that was deleted: then it has only ``id``, ``uid`` and ``deleted``."""

    about: ClassVar[dict[str, str]] = {**TASKS.about, "deleted": "Whether the task was deleted."}
    example: ClassVar[dict[str, Any]] = {**TASKS.example, "deleted": False}

    class Meta:
        include: ClassVar[dict[str, Any]] = {name: make_optional(name) for name in TASKS.responses}

    deleted = StrictBoolean(required=True)


class ChangePageSchema(Schema):
    """A page of the feed."""

    about: ClassVar[dict[str, str]] = {
        "changes": "The changed tasks, in the order of their last changes.",
        "cursor": "Where to go on: send it with the next request, now or later.",
        "more": "Whether there are more changes already.",
    }
    example: ClassVar[dict[str, Any]] = {"changes": [ChangeSchema.example], "cursor": "AeJ0aXRsZSI", "more": False}

    changes = fields.List(fields.Nested(ChangeSchema), required=True)
    cursor = fields.String(required=True)
    more = StrictBoolean(required=True)


def formats(settings: Settings) -> Responses:
    shown = fields.List(
        fields.Nested(describe_task(settings.completed_as, ChangeSchema, required=False)), required=True
    )
    return {200: extend(ChangePageSchema, "changes", shown)()}


@changes.get("/changes")
@endpoint(query=ChangesQuerySchema(), responses=formats, refuses=[CursorExpired])
def list_changes(query: Mapping[str, Any]) -> Response:
    """List changes.

    The tasks that have changed since ``cursor``, as they are now; of a deleted task, only ``id`` and ``uid``. Without a
    cursor, all tasks. No change is ever skipped; a task may come again. 410 means that the changes since the cursor are
    not known any more: drop your copy, and start without a cursor.
    """
    found = find_changes(TASKS, TRASH, g.user_id, query.get("cursor"), query["limit"])
    name = current_settings().completed_as
    shown = [
        {"id": row.id, "uid": row.uid, "deleted": True} if row.deleted else {**show_task(row, name), "deleted": False}
        for row in found.rows
    ]
    return reply({"changes": shown, "cursor": found.cursor, "more": found.has_more})
