"""What went wrong, for the log: where and of what kind, without what users wrote.

An exception's message may quote what it stumbled over: a ValueError a title, PostgreSQL's detail a whole row. So only
messages are written that name code, or that come from the system, the driver or the server before it saw a row. What a
traceback has besides are lines of source.
"""

import sys
import threading
import traceback
from collections.abc import Iterator

import psycopg2
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# Their messages name types, attributes, files, hosts; those of all others may quote a value.
TELLING = (
    ArithmeticError, AssertionError, AttributeError, ImportError, InvalidRequestError, MemoryError, NameError, OSError,
    PoolTimeoutError, RuntimeError, TypeError,
)  # fmt: skip
WITHHELD = "(not logged: it may quote what a user wrote)"
# Enough to see the way from the view to the failure; and a line stays below what collectors of logs cut.
MOST_FRAMES = 30
MOST_CAUSES = 4


def describe(error: BaseException) -> str:
    """Return an error in one line, without what users wrote."""
    cause: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg2.Error):
        return describe_database_error(cause)
    message = str(cause) if isinstance(cause, TELLING) and not isinstance(cause, UnicodeError) else WITHHELD
    return f"{type(cause).__name__}: {' '.join(message.split())}".removesuffix(": ")


def describe_database_error(error: psycopg2.Error) -> str:
    """Return what the database or its driver says: what it says of bad data quotes the row."""
    name = type(error).__name__
    if error.pgcode is None:
        # No SQLSTATE: the client failed (connection refused, say), so the text quotes no row.
        return f"{name}: {' '.join(str(error).split())}"
    quotes_a_row = error.pgcode.startswith(("22", "23"))
    return f"{name} {error.pgcode}: {WITHHELD if quotes_a_row else error.diag.message_primary}"


def describe_unreachable(error: BaseException) -> str | None:
    """Return why no connection to the database could be made, in one line; None if the error is another."""
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return None
    cause = error.orig
    # Without a SQLSTATE, the driver failed and not a statement.
    if not isinstance(cause, psycopg2.OperationalError) or cause.pgcode is not None:
        return None
    return f"The database cannot be reached: {' '.join(str(cause).split())}"


def format_traceback(error: BaseException) -> str:
    """Return where an error came from and what caused it, as Python prints it, but for the messages."""
    return "\n".join(
        f"{''.join(traceback.format_tb(each.__traceback__, limit=-MOST_FRAMES))}{describe(each)}"
        for each in walk_causes(error)
    )


def walk_causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error and what it came from, the last first."""
    found: BaseException | None = error
    for _ in range(MOST_CAUSES):
        if found is None:
            return
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def format_threads() -> str:
    """Return what each thread of this process is doing, those left out that wait for work."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    stacks = (
        (names.get(number, "?"), traceback.extract_stack(frame, limit=MOST_FRAMES))
        for number, frame in sys._current_frames().items()  # noqa: SLF001 - documented, for this
    )
    return "\n".join(f"{name}:\n{''.join(stack.format())}" for name, stack in stacks if stack[-1].name != "_worker")
