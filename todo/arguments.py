"""What the commands share: their names and arguments, and the report of the database's errors."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from itertools import pairwise

import click
from sqlalchemy.exc import SQLAlchemyError

from todo.auth.users import find_user_id_problem
from todo.logs.causes import describe_failed
from todo.tasks.zones import find_zone

# The commands of flask that need the owner of the tables.
OWNERS_COMMANDS = {"db", "after-restore"}
# The options of flask itself that have a value.
OPTIONS = {"--app", "-A", "--env-file", "-e"}


def find_command(arguments: Sequence[str]) -> str | None:
    """Return the command of flask in the arguments of a process: the first that is no option and no value of one."""
    if "flask" not in arguments[0]:
        return None
    named = (each for before, each in pairwise(arguments) if not each.startswith("-") and before not in OPTIONS)
    return next(named, None)


class UserId(click.ParamType[str]):
    """A user ID, as tokens have it."""

    name = "user"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if problem := find_user_id_problem(value):
            self.fail(f"it {problem}.", param, ctx)
        return value


class ZoneName(click.ParamType[tzinfo]):
    """The name of a time zone."""

    name = "zone"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tzinfo:
        zone = find_zone(value)
        if zone is None:
            self.fail(f"{value} is not an IANA time zone, such as Europe/Berlin.", param, ctx)
        return zone


@contextmanager
def reporting() -> Iterator[None]:
    """Print an error of the database in one line."""
    try:
        yield
    except SQLAlchemyError as error:
        raise click.ClickException(describe_failed(error)) from None
