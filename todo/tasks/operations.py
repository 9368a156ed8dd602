"""The schemas of a batch (batch.py).

All operations share one schema with optional members, because client generators handle unions badly.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, validates_schema
from werkzeug.http import parse_etags

from todo.database.resource import MAX_ID, NO_ID
from todo.tasks.completed_as import accept_name, extend
from todo.tasks.resource import TASKS
from todo.tasks.schemas import NewTaskSchema, TaskChangesSchema
from todo.web.conditions import read_versions
from todo.web.fields import Choice, Messages, StrictBoolean, Uid, name_type
from todo.web.nesting import Part
from todo.web.parameters import MAX_ERRORS
from todo.web.schemas import IncomingSchema

MAX_OPERATIONS = 100
ARRAY = f"an array of 1 to {MAX_OPERATIONS} operations"
# By operation: the members that it needs, and those that it may have. All but "create" name a task, too.
MEMBERS: dict[str, tuple[set[str], set[str]]] = {
    "create": ({"task"}, set()),
    "update": ({"changes"}, {"etag"}),
    "complete": ({"completed"}, set()),
    "delete": (set(), {"etag"}),
}
NAMES = {"id", "uid"}
TWICE = "Names the task of an earlier operation; a batch may name a task once."


class RowId(fields.Integer):
    """An ID. A number that cannot be one becomes an ID that does not exist, as in paths."""

    def __init__(self, **kwargs: Any) -> None:
        described = {"format": "int64", "minimum": 1}
        super().__init__(metadata=described, error_messages={"null": "Must be a number, not null."}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if type(value) not in (int, float):
            raise ValidationError(f"Must be a number, not {name_type(value)}.")
        return value if type(value) is int and 1 <= value <= MAX_ID else NO_ID


class Tag(fields.String):
    """The ``etag`` of a task. It loads to the versions that it allows, as If-Match does; None for any."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str):
            raise ValidationError(f"Must be a string, not {name_type(value)}.")
        tags = parse_etags(value)
        return None if tags.star_tag else read_versions(tags)


class Operations(fields.List[Any]):
    """The array of operations."""

    def __init__(self, schema: Schema) -> None:
        messages: Messages = {"required": f"Required: {ARRAY}.", "null": f"Must be {ARRAY}, not null."}
        size = {"minItems": 1, "maxItems": MAX_OPERATIONS}
        super().__init__(Part(schema), required=True, error_messages=messages, metadata=size)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValidationError(f"Must be {ARRAY}, not {name_type(value)}.")
        if not 1 <= len(value) <= MAX_OPERATIONS:
            raise ValidationError(f"Must have 1 to {MAX_OPERATIONS} operations, not {len(value)}.")
        return super()._deserialize(value, attr, data, **kwargs)


class BatchTaskSchema(NewTaskSchema):
    """A task to create in a batch. It may bring its UID."""

    about = TASKS.about | {"uid": "A UUID of your choice, by default one of the service's."}
    example: ClassVar[dict[str, Any]] = {**NewTaskSchema.example, "uid": TASKS.example["uid"]}

    uid = Uid()


class BatchOperationSchema(IncomingSchema):
    """An operation of a batch.

    ``create`` needs ``task``. The others name a task by ``id`` or ``uid``: ``update`` needs ``changes``, ``complete``
    needs ``completed``, and ``update`` and ``delete`` may have ``etag``.
    """

    about: ClassVar[dict[str, str]] = {
        "op": "What to do. create needs task. The others need id or uid; update needs changes, complete needs"
        " completed, and update and delete may have etag.",
        "id": "The ID of the task; not with create.",
        "uid": "The UID of the task, instead of its ID; not with create.",
        "task": "The new task; only with create.",
        "changes": "The fields to change; only with update. The others stay as they are.",
        "completed": "Whether the task is to be completed; only with complete.",
        "etag": "Changes or deletes the task only if it still has this etag; only with update and delete.",
    }
    example: ClassVar[dict[str, Any]] = {"op": "update", "id": 42, "changes": {"title": "Buy bread"}, "etag": '"42.3"'}

    # Of ``completed``: COMPLETED_AS.
    second_name: ClassVar[str | None] = None

    op = Choice(*MEMBERS, required=True)
    id = RowId()
    uid = Uid()
    task = Part(BatchTaskSchema())
    changes = Part(TaskChangesSchema(partial=True))
    completed = StrictBoolean()
    etag = Tag(error_messages={"null": "Must be a string, not null."})

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_members(self, operation: Mapping[str, Any], given: Any, **_: Any) -> None:
        """Raise ValidationError for members that the operation needs, or does not have."""
        kind = operation.get("op")
        if kind not in MEMBERS or not isinstance(given, dict):
            return
        given = {"completed" if name == self.second_name else name: value for name, value in given.items()}
        needed, optional = MEMBERS[kind]
        allowed = {"op", *needed, *optional, *(() if kind == "create" else NAMES)}
        listed = ", ".join(name for name in self.fields if name in allowed)
        unknown = [name for name in given if name not in allowed]
        errors = {name: [f"Unknown for {kind}, which has: {listed}."] for name in islice(unknown, MAX_ERRORS)}
        errors |= {name: [f"Required for {kind}."] for name in sorted(needed - given.keys())}
        if kind != "create" and not NAMES & given.keys():
            errors["id"] = [f"Required for {kind}: either id or uid."]
        if kind != "create" and given.keys() >= NAMES:
            errors["uid"] = ["Send either id or uid, not both."]
        if errors:
            raise ValidationError(errors)


class BatchSchema(IncomingSchema):
    """Operations that succeed or fail together."""

    about: ClassVar[dict[str, str]] = {
        "operations": f"1 to {MAX_OPERATIONS} operations, in your order. Each names another task."
    }
    example: ClassVar[dict[str, Any]] = {
        "operations": [
            {"op": "create", "task": {"title": "Buy milk", "uid": TASKS.example["uid"]}},
            BatchOperationSchema.example,
            {"op": "complete", "id": 43, "completed": True},
            {"op": "delete", "id": 44},
        ]
    }
    refused: ClassVar[dict[str, Any]] = {"operations": [{"op": "create", "task": {"title": " "}}]}

    operations = Operations(BatchOperationSchema())

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def find_repetitions(self, _: Any, given: Mapping[str, Any], **__: Any) -> None:
        """Raise ValidationError if two operations have the same ID or UID."""
        operations = given.get("operations")
        if not isinstance(operations, list) or len(operations) > MAX_OPERATIONS:
            return
        seen: dict[Any, int] = {}
        errors: dict[int, Any] = {}
        for number, operation in enumerate(operations):
            for path, name in list_names(operation):
                if seen.setdefault(name, number) != number:
                    errors[number] = {path: [TWICE]}
        if errors:
            raise ValidationError({"operations": errors})


def list_names(operation: Any) -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of each ID and UID of an operation, UIDs in lower case."""
    if not isinstance(operation, dict):
        return
    task = operation.get("task")
    new = {"task.uid": task.get("uid")} if isinstance(task, dict) else {}
    for path, value in {**{name: operation.get(name) for name in sorted(NAMES)}, **new}.items():
        if type(value) in (int, str):
            yield path, value.lower() if isinstance(value, str) else value


@cache
def accept_batch(name: str | None) -> Schema:
    """Return the schema of a batch whose tasks accept a second name of ``completed``."""
    if name is None:
        return BatchSchema()
    task, changes = Part(accept_name(BatchTaskSchema, name)()), Part(accept_name(TaskChangesSchema, name)(partial=True))
    members = {"task": task, "changes": changes, "second_name": name}
    operation = type(BatchOperationSchema.__name__, (accept_name(BatchOperationSchema, name),), members)
    return extend(BatchSchema, "operations", Operations(operation()))()
