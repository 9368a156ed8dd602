"""Batches: up to 100 creations, changes and deletions of tasks in one request, all or none."""

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import Any, ClassVar, NamedTuple
from uuid import uuid4

import orjson
from flask import Blueprint, Response, g
from marshmallow import Schema, fields

from config import Settings
from todo.database.batching import Step, build_batch
from todo.database.changing import write_now
from todo.database.isolation import fetch
from todo.database.statements import Statement
from todo.errors import Changed, DomainError, FieldError, Full, KeyReused, NotFound, UidTaken
from todo.extensions import current_settings
from todo.tasks.completed_as import describe_task, extend, show_task
from todo.tasks.limits import find_days, find_room
from todo.tasks.models import Task
from todo.tasks.operations import TWICE, accept_batch
from todo.tasks.recurrence.batches import follow_batch, write_batch_changes
from todo.tasks.recurrence.completion import UNSCHEDULED, refusing_unscheduled
from todo.tasks.recurrence.successors import write_anchor
from todo.tasks.resource import TASKS, TRASH
from todo.tasks.schemas import TaskSchema
from todo.web.conditions import read_idempotency_key
from todo.web.endpoints import Responses, endpoint
from todo.web.responses import reply

batch = Blueprint("batch", __name__)

MAX_BATCH_BYTES = 2**20
# The SQL of the columns of a new task, and of a changed one after the field that it needs (batching.py).
NEW = {name: f"state.{name}" for name in TASKS.stored}
NEW |= {
    "completed_at": "CASE WHEN state.completed THEN now() END",
    "anchor": write_anchor("state.recurrence", "state.due_at", "state.due_all_day"),
}
COMPLETED_AT = f"CASE WHEN state.completed THEN coalesce({TASKS.table}.completed_at, {write_now(TASKS.table)}) END"
CHANGED = {name: (name, f"state.{name}") for name in TASKS.stored} | {"completed_at": ("completed", COMPLETED_AT)}
REFUSALS: dict[str, type[DomainError]] = {"missing": NotFound, "taken": UidTaken, "changed": Changed}


class Done(NamedTuple):
    """The tasks of a batch, None where a task does not exist any more, and whether an earlier request wrote them."""

    tasks: Sequence[Task | None]
    is_replayed: bool


class BatchResultSchema(Schema):
    """The tasks of a batch."""

    about: ClassVar[dict[str, str]] = {
        "tasks": "The tasks after the batch, in the order of the operations; null where the task was deleted."
    }
    example: ClassVar[dict[str, Any]] = {"tasks": [TaskSchema.example, None]}

    tasks = fields.List(fields.Nested(TaskSchema, allow_none=True), required=True)


@cache
def build_task_batch(
    *, keyed: bool, limited: bool, recurs: bool, completes: bool, reopens: bool
) -> Statement[tuple[Task, Step]]:
    """Build the statement of a batch that may set recurrences, complete tasks, or reopen them."""
    changed = CHANGED | write_batch_changes(recurs=recurs, completes=completes, reopens=reopens)
    effects = follow_batch(completes=completes, reopens=reopens)
    return build_batch(TASKS, TRASH, NEW, changed, effects, keyed=keyed, limited=limited)


def execute(user_id: str, operations: Sequence[Mapping[str, Any]], key: str | None) -> Done:
    """Execute the operations, as BatchSchema loads them, all or none. With a ``key``, only once.

    Raises NotFound, Changed, UidTaken or FieldError for the first operation that is refused, Full, and KeyReused if the
    key was used for another request.
    """
    requested = [write_operation(operation) for operation in operations]
    executed = [{"n": number, **complete_operation(each)} for number, each in enumerate(requested)]
    creations, deletions = ([each["op"] for each in requested].count(op) for op in ("create", "delete"))
    updates = [each for each in requested if each["op"] == "update"]
    completed, reopened = ([each.get("completed") for each in updates].count(value) for value in (True, False))
    values = {"owner": user_id, "operations": orjson.dumps(executed).decode(), "creates": creations > 0}
    # What the batch deletes makes room for what it creates.
    values |= {"deleted": deletions + reopened, "listed": deletions} | find_days()
    room = find_room(creations - deletions)
    if room:
        values |= {"room": max(room["room"], -1), "kept": find_room(0)["room"]}
    fingerprint = None
    if key is not None:
        fingerprint = sha256(orjson.dumps(requested, option=orjson.OPT_SORT_KEYS)).digest()
        uids = [each["uid"] if each["op"] == "create" else "NULL" for each in executed]
        values |= {"key": key, "fingerprint": fingerprint, "uids": f"{{{','.join(uids)}}}"}
    statement = build_task_batch(
        keyed=key is not None,
        limited=bool(room),
        recurs=any("recurrence" in each for each in updates),
        completes=completed > 0,
        reopens=reopened > 0,
    )
    with refusing_unscheduled():
        rows = fetch(user_id, statement, values, repeatable=key is not None)
    step = rows[0][1]
    if step.is_new:
        check_refusals(requested, rows)
    elif bytes(step.fingerprint or b"") != fingerprint:
        raise KeyReused
    return Done([None if task.id is None else task for task, _ in rows], not step.is_new)


def write_operation(operation: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an operation asks for, as columns: the members of batching.py, without defaults.

    So a later release with another field computes the same fingerprint.
    """
    op, values = operation["op"], operation.get("changes", operation)
    if op == "create":
        task = dict(operation["task"])
        named = {"uid": task.pop("uid")} if "uid" in task else {}
        return {"op": op, **named, **TASKS.drop_defaults(TASKS.to_new_columns(task))}
    written = {name: operation[name] for name in ("id", "uid") if name in operation}
    written |= {"op": "update" if op == "complete" else op, "allowed": operation.get("etag")}
    if op == "delete":
        return written
    columns = TASKS.to_columns({name: value for name, value in values.items() if name in TASKS.requests})
    return written | columns | {"names": sorted(columns)}


def complete_operation(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return an operation with the UID and the defaults of a new task, or with the UID of a successor."""
    if written["op"] != "create":
        return {**written, "next_uid": str(uuid4())} if written.get("completed") else dict(written)
    return {"uid": str(uuid4()), **TASKS.to_new_columns({}), **written}


def check_refusals(requested: Sequence[Mapping[str, Any]], rows: Sequence[tuple[Task, Step]]) -> None:
    """Raise the error of the first operation that is refused."""
    for number, (_, step) in enumerate(rows):
        if step.refusal == "twice":
            name = "id" if "id" in requested[number] else "uid"
            raise FieldError(f"operations.{number}.{name}", TWICE)
        if step.refusal in UNSCHEDULED:
            field, sentence = UNSCHEDULED[step.refusal]
            raise FieldError(f"operations.{number}.changes.{field}", sentence)
        if step.refusal in REFUSALS:
            raise REFUSALS[step.refusal](operation=number)
    # Last, because each row has it.
    if rows[0][1].refusal is not None:
        raise Full


def formats(settings: Settings) -> Responses:
    shown = fields.List(fields.Nested(describe_task(settings.completed_as), allow_none=True), required=True)
    return {200: extend(BatchResultSchema, "tasks", shown)()}


@batch.post("/batch")
@endpoint(
    body=lambda settings: accept_batch(settings.completed_as),
    max_bytes=MAX_BATCH_BYTES,
    reads=["Idempotency-Key"],
    responses=formats,
    sends=["Idempotent-Replayed"],
    refuses=[Full],
)
def execute_batch(body: Mapping[str, Any]) -> Response:
    """Execute a batch.

    Creates, changes, completes and deletes up to 100 tasks, all or none. If an operation is refused, nothing is
    written, and the error names the operation: ``operation`` is its position from 0, and ``errors`` have paths such as
    ``operations.3.task.title``. With an ``Idempotency-Key``, a repeated request has one effect, so a retry is safe.
    """
    done = execute(g.user_id, body["operations"], read_idempotency_key())
    name = current_settings().completed_as
    response = reply({"tasks": [task and show_task(task, name) for task in done.tasks]})
    if done.is_replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response
