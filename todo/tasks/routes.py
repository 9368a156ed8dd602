"""The operations on tasks. The hook sets the user, a schema validates the request, a query runs one statement."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, g

from config import Settings
from todo.database.rows import RowName
from todo.errors import FieldError, Full, KeyUnusable, Trashed
from todo.extensions import current_settings
from todo.tasks import queries
from todo.tasks.completed_as import accept, describe_counted_tasks, describe_task, show_task
from todo.tasks.models import Task
from todo.tasks.putting import put_task
from todo.tasks.schemas import (
    CompletionQuerySchema,
    CompletionSchema,
    DeletionSchema,
    NewTaskSchema,
    TaskChangesSchema,
    TaskQuerySchema,
)
from todo.web.conditions import read_expected, read_idempotency_key, reply_unless_known, reply_versioned
from todo.web.endpoints import Responses, endpoint
from todo.web.responses import empty_response, link_next, reply
from todo.web.urls import build_base

tasks = Blueprint("tasks", __name__)


def is_counted(settings: Settings) -> bool:
    """Return whether lists are objects with the number of all tasks."""
    return settings.list_format == "object"


def list_formats(settings: Settings) -> Responses:
    name = settings.completed_as
    return {200: describe_counted_tasks(name) if is_counted(settings) else describe_task(name)(many=True)}


def task_formats(*statuses: int) -> Callable[[Settings], Responses]:
    """Return a function of the settings that returns the responses with a task; 304 has no body."""
    return lambda settings: {
        status: None if status == 304 else describe_task(settings.completed_as)() for status in statuses
    }


def deletion_formats(settings: Settings) -> Responses:
    return {200: DeletionSchema()} if settings.delete_format == "json" else {204: None}


@tasks.get("")
@endpoint(query=TaskQuerySchema(), responses=list_formats, sends=["Link"])
def list_tasks(query: Mapping[str, Any]) -> Response:
    """List tasks.

    The tasks of the token's user, newest first. The parameters filter by status, priority, tags, due date and words,
    and choose another order. If there are more than ``limit`` tasks, follow the ``Link`` header to the next page.
    """
    settings = current_settings()
    counted = is_counted(settings)
    page = queries.find_tasks(g.user_id, query, is_counted=counted)
    shown = [show_task(task, settings.completed_as) for task in page.rows]
    return link_next(reply({"tasks": shown, "total": page.total} if counted else shown), page.cursor)


@tasks.post("")
@endpoint(
    body=accept(NewTaskSchema),
    reads=["Idempotency-Key"],
    responses=task_formats(201),
    sends=["ETag", "Location", "Idempotent-Replayed"],
    refuses=[Full, KeyUnusable],
)
def create_task(new: dict[str, Any]) -> Response:
    """Create a task.

    Only ``title`` is required. With an ``Idempotency-Key``, repeated requests create one task, so a retry is safe.
    """
    key, replayed = read_idempotency_key(), False
    if key is None:
        task = queries.create_task(g.user_id, new)
    else:
        task, replayed = queries.create_task_once(g.user_id, new, key)
    response = reply_new(task)
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@tasks.get("/<id:task_id>")
@endpoint(reads=["If-None-Match"], responses=task_formats(200, 304), sends=["ETag"])
def get_task(task_id: RowName) -> Response:
    """Get a task.

    Needs its ID. To find a task by its text or by other fields, list tasks.
    """
    task = queries.get_task(g.user_id, task_id)
    return reply_unless_known(show_task(task, current_settings().completed_as))


@tasks.patch("/<id:task_id>")
@endpoint(
    query=CompletionQuerySchema(),
    body=accept(TaskChangesSchema, partial=True),
    reads=["If-Match"],
    responses=task_formats(200),
    sends=["ETag"],
    refuses=[Full],
)
def update_task(query: Mapping[str, Any], changes: dict[str, Any], task_id: RowName) -> Response:
    """Update a task.

    Changes the fields that are sent; the others stay as they are. null clears a field that may be null. ``completed``
    completes and reopens a recurring task, as the operation of that name does.
    """
    if query and changes:
        raise FieldError("completed", "Send it in the body, not in the query.")
    changes = changes or dict(query)
    return reply_task(queries.change_task(g.user_id, task_id, changes, read_expected()))


@tasks.put("/<id:task_id>")
@endpoint(
    body=accept(TaskChangesSchema, partial=True),
    reads=["If-Match"],
    responses=task_formats(200, 201),
    sends=["ETag"],
    refuses=[Full, Trashed],
)
def replace_task(changes: dict[str, Any], task_id: RowName) -> Response:
    """Update a task with PUT.

    The same as PATCH, for clients that send the whole task back: fields that are not sent stay as they are. With a UID
    in the path, it creates the task if you have none with this UID (201). So a client can choose the UID of a new task,
    and repeat the request. If the task is in the trash, it is 410.
    """
    if not isinstance(task_id, str):
        return reply_task(queries.change_task(g.user_id, task_id, changes, read_expected()))
    task, is_new = put_task(g.user_id, task_id, changes, read_expected())
    return reply_new(task) if is_new else reply_task(task)


# Other paths and methods, for frontends that were written for other services.
@tasks.patch("/<id:task_id>/status", endpoint="set_status")
@tasks.route("/<id:task_id>/toggle", methods=["PATCH", "POST", "PUT"], endpoint="toggle_task")
@tasks.route("/<id:task_id>/complete", methods=["POST", "PUT"], endpoint="post_completion")
@tasks.patch("/<id:task_id>/complete")
@endpoint(
    body=accept(CompletionSchema), reads=["If-Match"], responses=task_formats(200), sends=["ETag"], refuses=[Full]
)
def complete_task(completion: dict[str, Any], task_id: RowName) -> Response:
    """Complete or reopen a task.

    ``{"completed": true}`` completes the task, ``{"completed": false}`` reopens it; both can be repeated. Without a
    body, an open task is completed and a completed one is reopened.

    Completing a recurring task adds the next one, which ``next_id`` names. With a limit on the number of tasks, that
    needs room. Reopening removes the next one, unless it was changed since.
    """
    if completion:
        return reply_task(queries.change_task(g.user_id, task_id, completion, read_expected()))
    return reply_task(queries.toggle_task(g.user_id, task_id, read_expected()))


@tasks.delete("/<id:task_id>")
@endpoint(reads=["If-Match"], responses=deletion_formats)
def delete_task(task_id: RowName) -> Response:
    """Delete a task.

    The task moves to the trash, from which it can be restored. It is then in no list. Other requests for it are 404;
    PUT with its UID is 410.
    """
    task = queries.delete_task(g.user_id, task_id, read_expected())
    if current_settings().delete_format == "json":
        return reply({"id": task.id, "message": "The task has been deleted."})
    return empty_response(204)


def reply_task(task: Task, status: int = 200) -> Response:
    return reply_versioned(show_task(task, current_settings().completed_as), status)


def reply_new(task: Task) -> Response:
    response = reply_task(task, 201)
    response.headers["Location"] = f"{build_base()}/api/tasks/{task.id}"
    return response
