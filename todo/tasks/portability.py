"""Everything that one user has here: taken out, put back, deleted; as that user, like any request."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from marshmallow import ValidationError, validates_schema
from marshmallow.exceptions import SCHEMA

from todo.database.isolation import fetch
from todo.tasks.columns import show_task, to_columns
from todo.tasks.queries import find_tasks
from todo.tasks.schemas import MAX_LISTED, NewTaskSchema
from todo.tasks.writing import CREATE_MANY, DEFAULTS, DELETE_ALL
from todo.web.fields import Moment


class ExportedTaskSchema(NewTaskSchema):
    """A task as it was exported. Its id is not taken over: it may be another task's by now."""

    created_at = Moment(required=True)
    updated_at = Moment(required=True)
    completed_at = Moment(required=True, allow_none=True)

    @validates_schema
    def refuse_contradictions(self, task: dict[str, Any], **_: Any) -> None:
        """Raise ValidationError if one member says that it is completed, and the other that it is not."""
        if task.get("completed", bool(task["completed_at"])) != bool(task["completed_at"]):
            raise ValidationError({"completed": ["Contradicts completed_at."]})


def export_tasks(user_id: str) -> Iterator[dict[str, Any]]:
    """Yield the user's tasks as they are answered, the oldest first; each once, whatever is written meanwhile."""
    query: dict[str, Any] = {"sort": "created", "order": "asc", "limit": MAX_LISTED}
    while True:
        page = find_tasks(user_id, query)
        yield from map(show_task, page.tasks)
        if page.cursor is None:
            return
        query["cursor"] = page.cursor


def read_tasks(tasks: Any) -> list[dict[str, Any]]:
    """Return exported tasks as import_tasks takes them; raises ValidationError for the first that is none."""
    if not isinstance(tasks, list):
        raise ValidationError("tasks: Must be an array.")
    schema, read = ExportedTaskSchema(), []
    for number, task in enumerate(tasks, 1):
        try:
            read.append(schema.load(task))
        except ValidationError as error:
            field, messages = next(iter(error.messages_dict.items()))
            where = "" if field == SCHEMA else f"{field}: "
            raise ValidationError(f"task {number}: {where}{messages[0]}") from None
    return read


def import_tasks(user_id: str, tasks: Sequence[Mapping[str, Any]], *, add: bool) -> bool:
    """Store tasks, all or none, with their times and in their order; say whether they are stored.

    They are not if the user has any already, unless they are to be added to those.
    """
    rows = json.dumps([to_columns({**DEFAULTS, **task}) for task in tasks], default=str)
    return len(fetch(user_id, CREATE_MANY, {"owner": user_id, "tasks": rows, "add": add})) == len(tasks)


def delete_everything(user_id: str) -> int:
    """Delete all that is stored of a user, and return how many tasks that were."""
    return int(fetch(user_id, DELETE_ALL, {"owner": user_id})[0].number)
