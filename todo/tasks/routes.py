"""The tasks' operations. A request walks: the hook (who), the schema (what), the query, the answer.

The blueprint is mounted twice, at /api/tasks and at /api/{user_id}/tasks: two spellings of one thing.
(A user whose id is "tasks", or ends in "/tasks", has the short spelling only.)
"""

import re
from typing import Any

from flask import Blueprint, Response, g, request
from sqlalchemy import RowMapping
from werkzeug.exceptions import NotFound

from todo.endpoints import endpoint, reply
from todo.tasks import queries
from todo.tasks.schemas import Completion, NewTask, TaskChanges, TaskShape

LARGEST_ID = 2**63 - 1

tasks = Blueprint("tasks", __name__)


@tasks.before_request
def read_path() -> None:
    """Turn the path's ids into what the views take.

    Raises NotFound for another user's spelling and for what cannot be an id, as for a task that is not there.
    """
    if request.method == "OPTIONS" or not request.view_args:
        return
    if request.view_args.pop("user_id", g.user_id) != g.user_id:
        raise NotFound
    task_id = request.view_args.get("task_id")
    if task_id is not None:
        if not re.fullmatch(r"[1-9][0-9]{0,18}", task_id) or int(task_id) > LARGEST_ID:
            raise NotFound
        request.view_args["task_id"] = int(task_id)


@tasks.get("")
@endpoint(answers={200: TaskShape(many=True)})
def list_tasks() -> Response:
    """List your tasks, newest first."""
    return reply([show(task) for task in queries.list_tasks(g.user_id)])


@tasks.post("")
@endpoint(takes=NewTask(), answers={201: TaskShape()})
def create_task(new: dict[str, Any]) -> Response:
    """Create a task."""
    task = queries.create_task(g.user_id, new)
    response = reply_task(task, 201)
    response.headers["Location"] = f"{request.script_root}/api/tasks/{task['id']}"
    return response


@tasks.get("/<task_id>")
@endpoint(answers={200: TaskShape(), 304: None})
def get_task(task_id: int) -> Response:
    """Get one task."""
    response = reply_task(queries.get_task(g.user_id, task_id))
    response.make_conditional(request)
    return response


@tasks.route("/<task_id>", methods=["PUT", "PATCH"])
@endpoint(takes=TaskChanges(), answers={200: TaskShape()})
def change_task(changes: dict[str, Any], task_id: int) -> Response:
    """Change the members sent; those not sent stay as they are."""
    return reply_task(queries.change_task(g.user_id, task_id, changes))


@tasks.patch("/<task_id>/complete")
@endpoint(takes=Completion(), answers={200: TaskShape()})
def complete_task(completion: dict[str, Any], task_id: int) -> Response:
    """Set whether a task is completed; without a body, toggle it."""
    if completion:
        return reply_task(queries.change_task(g.user_id, task_id, completion))
    return reply_task(queries.toggle_task(g.user_id, task_id))


@tasks.delete("/<task_id>")
@endpoint(answers={204: None})
def delete_task(task_id: int) -> Response:
    """Delete a task."""
    queries.delete_task(g.user_id, task_id)
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def show(task: RowMapping) -> dict[str, Any]:
    """A row as the contract's members; the version travels as the ETag."""
    return {str(name): value for name, value in task.items() if name != "version"}


def reply_task(task: RowMapping, status: int = 200) -> Response:
    """One task, with its version as the ETag (RFC 9110 section 8.8.3)."""
    response = reply(show(task), status)
    response.set_etag(str(task["version"]))
    return response
