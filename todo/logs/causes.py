"""Describes errors for the log, without text that users wrote.

An exception's message may quote a value: a ValueError a title, PostgreSQL's detail a whole row. So the log has only
messages about code, and messages of the system, the driver, or the server about errors other than bad data. Otherwise a
traceback contains only lines of source code.
"""

import re
import sys
import threading
import traceback
from collections.abc import Iterator

import psycopg2
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from todo.logs.remedies import find_remedy

# The messages of these errors name types, attributes, files or hosts. Messages of other errors may quote a value.
LOGGED_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, InvalidRequestError, MemoryError, NameError, OSError,
    PoolTimeoutError, RuntimeError, SyntaxError, TypeError,
)  # fmt: skip
WITHHELD = "(not logged: it may quote what a user wrote)"
# Enough to see the calls from the view to the failure, while lines stay short enough for log collectors.
MAX_FRAMES = 30
MAX_CAUSES = 4


def describe(error: BaseException) -> str:
    """Return an error in one line, without text that users wrote."""
    cause: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg2.Error):
        return describe_database_error(cause)
    message = str(cause) if isinstance(cause, LOGGED_ERRORS) and not isinstance(cause, UnicodeError) else WITHHELD
    return f"{type(cause).__name__}: {' '.join(message.split())}".removesuffix(": ")


def describe_database_error(error: psycopg2.Error) -> str:
    """Return an error of the database or its driver; the message is left out if it may quote a row."""
    name = type(error).__name__
    if error.pgcode is None:
        # Without a SQLSTATE, the driver failed (connection refused, for example): the message quotes no row.
        return join_remedy(f"{name}: {' '.join(str(error).split())}", error)
    quotes_a_row = error.pgcode.startswith(("22", "23"))
    return f"{name} {error.pgcode}: {WITHHELD if quotes_a_row else error.diag.message_primary}"


def describe_unreachable(error: BaseException) -> str | None:
    """Return why the database cannot be reached, in one line; None for any other error."""
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return None
    cause = error.orig
    # With a SQLSTATE, a statement failed.
    if not isinstance(cause, psycopg2.OperationalError) or cause.pgcode is not None:
        return None
    return join_remedy(f"The database cannot be reached: {' '.join(str(cause).split())}", cause)


def describe_failed(error: BaseException) -> str:
    """Return for a command why the database cannot be reached or used, and what to do, in one line."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return describe_unreachable(error) or join_remedy(describe(error), cause)


def join_remedy(text: str, error: BaseException | None) -> str:
    """Return the text about an error, and what to do about it if that is known and not in the text."""
    remedy = find_remedy(error)
    if remedy is None or remedy in text:
        return text
    # libpq asks "Is the server running on that host …?".
    return f"{re.sub(r' +Is the server running [^?]*[?]', '', text).removesuffix('.')}. {remedy}"


def format_traceback(error: BaseException) -> str:
    """Return the tracebacks of an error and its causes as Python prints them, but with messages of describe()."""
    return "\n".join(
        f"{''.join(traceback.format_tb(each.__traceback__, limit=-MAX_FRAMES))}{describe(each)}"
        for each in walk_causes(error)
    )


def walk_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, the latest first."""
    found: BaseException | None = error
    for _ in range(MAX_CAUSES):
        if found is None:
            return
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def format_threads() -> str:
    """Return the stack of each thread of this process, except those that wait for work."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    stacks = (
        (names.get(number, "?"), traceback.extract_stack(frame, limit=MAX_FRAMES))
        for number, frame in sys._current_frames().items()  # noqa: SLF001 - documented for debugging
    )
    return "\n".join(f"{name}:\n{''.join(stack.format())}" for name, stack in stacks if stack[-1].name != "_worker")
