"""All data of a user: exported, imported and deleted, as that user."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from marshmallow import ValidationError, fields
from marshmallow.exceptions import SCHEMA

from todo.database.erasing import build_erase
from todo.database.importing import build_create_many
from todo.database.isolation import fetch
from todo.database.paging import Listing, Query, find_page
from todo.database.resource import Resource
from todo.tasks import trash
from todo.tasks.limits import find_days, find_room
from todo.tasks.listing import SORTS
from todo.tasks.recurrence.successors import write_anchor
from todo.tasks.resource import TASKS, TRASH
from todo.tasks.schemas import ScheduledSchema
from todo.web.fields import Moment, Uid
from todo.web.nesting import flatten
from todo.web.schemas import MAX_LISTED

M = TypeVar("M")

# The SQL of the columns of an imported task.
IMPORTED = {name: name for name in (*TASKS.stored, "completed_at", "created_at")}
# A time in the future would stay: updated_at never goes back.
IMPORTED["updated_at"] = "least(updated_at, now())"
IMPORTED["anchor"] = f"""
    CASE WHEN recurrence IS NOT NULL THEN coalesce(anchor, {write_anchor("recurrence", "due_at", "due_all_day")}) END"""
CREATE_MANY = build_create_many(TASKS, TRASH, IMPORTED)


def with_anchor(resource: Resource[M]) -> Resource[M]:
    """Return a resource whose rows also have the anchor: without it, an import would move the pattern of a rule."""
    described = {name: field for name, field in resource.fields.items() if name != "etag"}
    described["recurrence"] = replace(described["recurrence"], also=("anchor",))
    return Resource(resource.model, described)


TASK_PAGES = Listing(with_anchor(TASKS), {"created": SORTS["created"]}, {})
TRASH_PAGES = Listing(with_anchor(TRASH), trash.SORTS, trash.FILTERS)


class ExportedTaskSchema(ScheduledSchema):
    """A task of an export. It gets a new ID: its own may belong to another task by now. It keeps its UID if it can."""

    uid = Uid()
    created_at = Moment(required=True)
    updated_at = Moment(required=True)
    completed_at = Moment(required=True, allow_none=True)
    anchor = fields.NaiveDateTime(
        allow_none=True, error_messages={"invalid": "Must be a local time, such as 2026-12-31T17:00:00."}
    )


def export_tasks(user_id: str) -> Iterator[dict[str, Any]]:
    """Yield the user's tasks as responses have them, oldest first, each once despite concurrent writes."""
    return show_pages(TASK_PAGES, user_id, Query(sort="created", order="asc", limit=MAX_LISTED))


def export_trash(user_id: str) -> Iterator[dict[str, Any]]:
    """Yield the tasks in the user's trash as responses have them, the last deleted one first."""
    return show_pages(TRASH_PAGES, user_id, Query(sort="deleted", limit=MAX_LISTED, filters={"kept": find_days()}))


def show_pages(listing: Listing[Any], user_id: str, query: Query) -> Iterator[dict[str, Any]]:
    """Yield the rows of all pages as responses have them, those of recurring tasks with their anchor."""
    while True:
        page = find_page(listing, user_id, query)
        for row in page.rows:
            yield listing.resource.to_response(row) | ({"anchor": row.anchor.isoformat()} if row.anchor else {})
        if page.cursor is None:
            return
        query = replace(query, cursor=page.cursor)


def read_tasks(tasks: Any) -> list[dict[str, Any]]:
    """Return exported tasks as import_tasks takes them; raises ValidationError for the first invalid task."""
    if not isinstance(tasks, list):
        raise ValidationError("tasks: Must be an array.")
    schema, read, uids = ExportedTaskSchema(), [], set()
    for number, exported in enumerate(tasks, 1):
        try:
            task = schema.load(exported)
        except ValidationError as error:
            field, messages = next(flatten(error.messages_dict))
            where = "" if field == SCHEMA else f"{field}: "
            raise ValidationError(f"task {number}: {where}{messages[0]}") from None
        if task.get("completed", bool(task["completed_at"])) != bool(task["completed_at"]):
            raise ValidationError(f"task {number}: completed: Contradicts completed_at.")
        if task.get("uid") in uids:
            raise ValidationError(f"task {number}: uid: Is that of an earlier task.")
        uids |= {task["uid"]} if "uid" in task else set()
        read.append(task)
    return read


def import_tasks(user_id: str, tasks: Sequence[Mapping[str, Any]], *, add: bool) -> bool:
    """Store tasks with their timestamps, in their order, all or none; return whether they are stored.

    They are not stored if the user would have more than MAX_TASKS, or unless ``add`` is true, has tasks already.
    """
    rows = [
        TASKS.to_new_columns({name: value for name, value in task.items() if name != "anchor"})
        | {"anchor": task.get("anchor")}
        for task in tasks
    ]
    return create_tasks(user_id, rows, add=add) == len(tasks)


def create_tasks(user_id: str, tasks: Sequence[Mapping[str, Any]], *, add: bool) -> int:
    """Store tasks, given as columns, all or none; return how many.

    It stores none if the user would have more than MAX_TASKS, or unless ``add`` is true, if the user has tasks already.
    """
    room = find_room(len(tasks))
    # Without MAX_TASKS, one task is counted, which tells whether there are any.
    counted = max(room["room"], 0) + 1 if room else 1
    values = {
        "owner": user_id,
        "rows": json.dumps(tasks, default=str),
        "add": add,
        "room": 1,
        "counted": counted,
    } | room
    return len(fetch(user_id, CREATE_MANY, values))


def delete_everything(user_id: str) -> int:
    """Delete all data of a user, and return the number of tasks, with those in the trash."""
    numbers = {erased.name: erased.number for erased in fetch(user_id, build_erase(), {"owner": user_id})}
    return numbers["tasks"] + numbers["trash"]
