"""The trash: deleted tasks, which can be restored for TRASH_DAYS, or removed for good."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from flask import Blueprint, Response, g
from marshmallow import Schema
from sqlalchemy import text

from config import Settings
from todo.database.changing import Outcome
from todo.database.isolation import fetch
from todo.database.paging import Listing, Page, Query, find_page
from todo.database.rows import RowName, RowStatement
from todo.database.sorting import Sort, read_id
from todo.database.trashing import KEPT_SINCE, build_emptying, build_removal, build_restore
from todo.errors import Full, NotFound
from todo.extensions import current_settings
from todo.tasks.completed_as import describe_task, show_task
from todo.tasks.limits import find_days, find_room
from todo.tasks.models import Task, TrashedTask
from todo.tasks.resource import TASKS, TRASH
from todo.tasks.routes import reply_task, task_formats
from todo.web.endpoints import Responses, endpoint
from todo.web.responses import empty_response, link_next, reply
from todo.web.schemas import PageQuerySchema

trash = Blueprint("trash", __name__)

columns = TRASH.table.c
# The number of a deletion (feeds.py) is in the order of deletions.
SORTS = {"deleted": Sort(key=lambda order: (columns.change,), readers=(read_id,), order="desc")}
KEPT = columns.deleted_at > text(KEPT_SINCE)
FILTERS = {"kept": KEPT}
LISTING = Listing(TRASH, SORTS, FILTERS)
REMOVE, EMPTY = build_removal(TRASH), build_emptying(TRASH)


class TrashedTaskSchema(Schema):
    """A deleted task in a response."""

    about = TRASH.about
    example = TRASH.example

    class Meta:
        include = TRASH.responses


@cache
def build_task_restore(*, limited: bool) -> RowStatement[tuple[Task, Outcome]]:
    """Build the statement that restores a task."""
    return build_restore(TASKS, TRASH, limited=limited)


def find_trash(user_id: str, query: Mapping[str, Any]) -> Page[TrashedTask]:
    """Return a page of the user's trash, the last deleted task first; raises InvalidCursor."""
    return find_page(LISTING, user_id, Query(sort="deleted", filters={"kept": find_days()}, **query))


def restore_task(user_id: str, name: RowName) -> Task:
    """Move a task back from the trash, and return it. Raises NotFound, and Full if the user has no room for it."""
    room = find_room(1)
    task, outcome = build_task_restore(limited=bool(room)).fetch(user_id, name, find_days() | room)
    if not outcome.done:
        raise Full
    return task


def remove_task(user_id: str, name: RowName) -> None:
    """Remove a task from the trash for good; raises NotFound."""
    if REMOVE.fetch(user_id, name, find_days()).number == 0:
        raise NotFound


def list_formats(settings: Settings) -> Responses:
    return {200: describe_task(settings.completed_as, TrashedTaskSchema)(many=True)}


@trash.get("")
@endpoint(query=PageQuerySchema(), responses=list_formats, sends=["Link"])
def list_trash(query: Mapping[str, Any]) -> Response:
    """List the trash.

    The tasks that you deleted, the last one first. After a number of days, by default 30, a task is no longer listed.
    If there are more than ``limit`` tasks, follow the ``Link`` header to the next page.
    """
    page = find_trash(g.user_id, query)
    shown = [show_task(task, current_settings().completed_as, TRASH) for task in page.rows]
    return link_next(reply(shown), page.cursor)


@trash.post("/<id:task_id>/restore")
@endpoint(responses=task_formats(200), sends=["ETag"], refuses=[Full])
def restore_trashed_task(task_id: RowName) -> Response:
    """Restore a task.

    Moves a task out of the trash. It has the same ``id`` and ``uid``, and a new version.
    """
    return reply_task(restore_task(g.user_id, task_id))


@trash.delete("/<id:task_id>")
@endpoint(responses={204: None})
def remove_trashed_task(task_id: RowName) -> Response:
    """Remove a task for good.

    Removes a task from the trash. This cannot be undone.
    """
    remove_task(g.user_id, task_id)
    return empty_response(204)


@trash.delete("")
@endpoint(responses={204: None})
def empty_trash() -> Response:
    """Empty the trash.

    Removes all tasks from the trash for good. This cannot be undone.
    """
    fetch(g.user_id, EMPTY, {"owner": g.user_id})
    return empty_response(204)
