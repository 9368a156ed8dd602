"""COMPLETED_AS: a second name of the field ``completed``, for frontends that were written for another service."""

from collections.abc import Callable
from functools import cache
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load

from config import Settings
from todo.database.resource import Resource
from todo.tasks.resource import TASKS
from todo.tasks.schemas import CountedTasksSchema, TaskSchema
from todo.web.fields import Choice, StrictBoolean

WORDS = {False: "pending", True: "completed"}
ABOUT = "The same as completed."


def accept(schema: type[Schema], *, partial: bool = False) -> Callable[[Settings], Schema]:
    """Return a function of the settings that returns the schema of a request body."""

    @cache
    def build(name: str | None) -> Schema:
        return (schema if name is None else accept_name(schema, name))(partial=partial)

    return lambda settings: build(settings.completed_as)


@cache
def accept_name(schema: type[Schema], name: str) -> type[Schema]:
    """Return a schema that loads the second name as ``completed``. Two names that contradict are refused."""
    completed = schema().fields["completed"]

    @post_load
    def combine(_: Schema, values: dict[str, Any], **__: Any) -> dict[str, Any]:
        if name in values:
            value = values.pop(name)
            if values.setdefault("completed", value) != value:
                raise ValidationError("Contradicts completed.", name)
        elif completed.required and "completed" not in values:
            raise ValidationError("Required: true or false.", "completed")
        return values

    return extend(schema, name, make_field(name), completed=StrictBoolean(), combine=combine)


@cache
def describe_task(name: str | None, schema: type[Schema] = TaskSchema, *, required: bool = True) -> type[Schema]:
    """Return the schema of a task in responses, with the second name if there is one."""
    return schema if name is None else extend(schema, name, make_field(name, required=required))


def describe_counted_tasks(name: str | None) -> Schema:
    """Return the schema of a list with the number of all tasks."""
    tasks = fields.List(fields.Nested(describe_task(name)), required=True)
    return extend(CountedTasksSchema, "tasks", tasks)()


def show_task(task: Any, name: str | None, resource: Resource[Any] = TASKS) -> dict[str, Any]:
    """Return a task as a response has it, with the second name if there is one."""
    shown = resource.to_response(task)
    if name is not None:
        shown[name] = WORDS[shown["completed"]] if name == "status" else shown["completed"]
    return shown


def make_field(name: str, **options: Any) -> fields.Field[Any]:
    """Return the field of the second name: words for ``status``, else a boolean."""
    if name == "status":
        return Choice(values={word: completed for completed, word in WORDS.items()}, **options)
    return StrictBoolean(**options)


def extend(schema: type[Schema], name: str, field: fields.Field[Any], **members: Any) -> type[Schema]:
    """Return a subclass of a schema with a field and other members. The OpenAPI document has it under the same name."""
    about = {name: ABOUT, **getattr(schema, "about", {})}
    return type(schema.__name__, (schema,), {name: field, "about": about, **members})
