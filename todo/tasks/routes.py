"""The tasks' operations. A request walks: the hook (who), the schema (what), the query, the answer.

The blueprint is mounted twice, at /api/tasks and at /api/{user_id}/tasks: two spellings of one thing.
(A user whose id is "tasks", begins with "/" or ends in "/tasks" has the short spelling only.)
"""

import re
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, g, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import BadRequest, NotFound

from config import Settings
from todo.database.statements import Row
from todo.tasks import queries
from todo.tasks.columns import show_task
from todo.tasks.schemas import (
    CompletionSchema,
    CountedTasksSchema,
    DeletionSchema,
    NewTaskSchema,
    TaskChangesSchema,
    TaskQuerySchema,
    TaskSchema,
)
from todo.tasks.sorting import MAX_ID
from todo.web.endpoints import endpoint
from todo.web.responses import empty_response, reply
from todo.web.urls import build_prefix, build_url

tasks = Blueprint("tasks", __name__)

# Ids begin at 1.
NO_ID = 0


@tasks.before_request
def read_path() -> None:
    """Turn the path's ids into what the views take.

    Raises NotFound for another user's spelling, as for a task that is not there.
    """
    if request.method == "OPTIONS" or not request.view_args:
        return
    if request.view_args.pop("user_id", g.user_id) != g.user_id:
        raise NotFound
    task_id = request.view_args.get("task_id")
    if task_id is not None:
        # What cannot be an id is one that does not exist, and is found so when the body has been looked at.
        request.view_args["task_id"] = int(task_id) if is_id(task_id) else NO_ID


@endpoint(query=TaskQuerySchema(), responses={200: TaskSchema(many=True)}, sends=["Link"])
def list_tasks(query: Mapping[str, Any]) -> Response:
    """List your tasks, newest first, or those that you ask for in another order."""
    page = queries.find_tasks(g.user_id, query)
    return link_next(page, reply([show_task(task) for task in page.tasks]))


@endpoint(query=TaskQuerySchema(), responses={200: CountedTasksSchema()}, sends=["Link"])
def list_and_count_tasks(query: Mapping[str, Any]) -> Response:
    """List your tasks, newest first, or those that you ask for in another order, and count them all."""
    page = queries.find_tasks(g.user_id, query, counted=True)
    return link_next(page, reply({"tasks": [show_task(task) for task in page.tasks], "total": page.total}))


@tasks.post("")
@endpoint(
    body=NewTaskSchema(),
    reads=["Idempotency-Key"],
    responses={201: TaskSchema()},
    sends=["ETag", "Location", "Idempotent-Replayed"],
)
def create_task(new: dict[str, Any]) -> Response:
    """Create a task; with an Idempotency-Key, only once."""
    key, replayed = read_idempotency_key(), False
    if key is None:
        task = queries.create_task(g.user_id, new)
    else:
        task, replayed = queries.create_task_once(g.user_id, new, key)
    response = reply_task(task, 201)
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    response.headers["Location"] = f"{build_prefix()}/api/tasks/{task.id}"
    return response


@tasks.get("/<task_id>")
@endpoint(reads=["If-None-Match"], responses={200: TaskSchema(), 304: None}, sends=["ETag"])
def get_task(task_id: int) -> Response:
    """Get one task."""
    task = queries.get_task(g.user_id, task_id)
    if not request.if_none_match.contains_weak(str(task.version)):
        return reply_task(task)
    response = empty_response(304)
    response.set_etag(str(task.version))
    return response


@tasks.route("/<task_id>", methods=["PUT", "PATCH"])
@endpoint(body=TaskChangesSchema(), reads=["If-Match"], responses={200: TaskSchema()}, sends=["ETag"])
def change_task(changes: dict[str, Any], task_id: int) -> Response:
    """Change the members sent; those not sent stay as they are."""
    return reply_task(queries.change_task(g.user_id, task_id, changes, read_if_match()))


@tasks.patch("/<task_id>/complete")
@tasks.patch("/<task_id>/toggle", endpoint="toggle_task")
@endpoint(body=CompletionSchema(), reads=["If-Match"], responses={200: TaskSchema()}, sends=["ETag"])
def complete_task(completion: dict[str, Any], task_id: int) -> Response:
    """Set whether a task is completed; without a body, toggle it."""
    if completion:
        return reply_task(queries.change_task(g.user_id, task_id, completion, read_if_match()))
    return reply_task(queries.toggle_task(g.user_id, task_id, read_if_match()))


@endpoint(reads=["If-Match"], responses={204: None})
def delete_task(task_id: int) -> Response:
    """Delete a task."""
    queries.delete_task(g.user_id, task_id, read_if_match())
    return empty_response(204)


@endpoint(reads=["If-Match"], responses={200: DeletionSchema()})
def delete_task_and_say_so(task_id: int) -> Response:
    """Delete a task."""
    queries.delete_task(g.user_id, task_id, read_if_match())
    return reply({"id": task_id, "message": "The task has been deleted."})


LISTS = {"array": list_tasks, "object": list_and_count_tasks}
DELETIONS = {"empty": delete_task, "json": delete_task_and_say_so}


@tasks.record
def add_formats(state: BlueprintSetupState) -> None:
    """Route to the views that answer as the settings say, which register_blueprint hands over: frontends differ."""
    settings: Settings = state.options["settings"]
    state.add_url_rule("", "list_tasks", LISTS[settings.list_format], methods=["GET"])
    state.add_url_rule("/<task_id>", "delete_task", DELETIONS[settings.delete_format], methods=["DELETE"])


def link_next(page: queries.Page, response: Response) -> Response:
    """Say where the next page is, if there is one (RFC 8288)."""
    if page.cursor:
        response.headers["Link"] = f'<{build_url(cursor=page.cursor)}>; rel="next"'
    return response


def read_idempotency_key() -> str | None:
    """Return the key that makes a creation one that can be repeated; raises BadRequest if it is none."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch(r"[ -~]{1,255}", key):
        raise BadRequest("Idempotency-Key: must have 1 to 255 printable ASCII characters.")
    return key


def read_if_match() -> list[int] | None:
    """Return the versions that the change may be made to; None for any (RFC 9110 section 13.1.1).

    A weak tag counts as well: a proxy that compresses may have made it so.
    """
    if "If-Match" not in request.headers or request.if_match.star_tag:
        return None
    # Werkzeug has None for an empty tag.
    return [int(tag) for tag in request.if_match.as_set(include_weak=True) if tag and is_id(tag)]


def is_id(text: str) -> bool:
    """Say whether a text can be an id or a version, as they are written."""
    return re.fullmatch(r"[1-9][0-9]{0,18}", text) is not None and int(text) <= MAX_ID


def reply_task(task: Row, status: int = 200) -> Response:
    """Answer one task, with its version as the ETag (RFC 9110 section 8.8.3)."""
    response = reply(show_task(task), status)
    response.set_etag(str(task.version))
    return response
