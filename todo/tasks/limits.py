"""The limits of a user, as parameters of statements: the number of tasks, and how long the trash keeps them."""

from itertools import count

from todo.extensions import current_settings

DELETIONS = count()


def find_room(number: int) -> dict[str, int]:
    """Return the parameter ``room`` for a number of new tasks; empty without MAX_TASKS."""
    most = current_settings().max_tasks
    return {} if most is None else {"room": most - number}


def find_days() -> dict[str, int]:
    """Return the parameter that says how many days a task can be restored."""
    return {"trash_days": current_settings().trash_days}


def find_expiry(listed: int) -> tuple[bool, dict[str, int]]:
    """Return whether a request that fills the trash removes old tasks from it, and the parameters.

    ``listed`` is the number of tasks that it moves there and that are listed, 0 or 1. Without MAX_TASKS, one such
    request of a process in 16 does the work of all of them: it removes 32 old tasks.
    """
    most = current_settings().max_tasks
    share, kept = (16, {}) if most is None else (1, {"kept": most})
    return next(DELETIONS) % share == 0, {"deleted": share, "listed": listed} | find_days() | kept
