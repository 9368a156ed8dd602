"""The flask command's own subcommands; ``flask db`` is Flask-Migrate's."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import click
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from config import Settings
from todo.auth.tokens import issue_token
from todo.auth.users import find_user_id_problem
from todo.problems import describe
from todo.tasks.seeding import add_tasks

DAY_SECONDS = 24 * 60 * 60


def init_app(app: Flask, settings: Settings) -> None:
    """Register the commands."""

    @app.cli.command("token")
    @click.argument("user")
    def print_token(user: str) -> None:
        """Print a token for USER, valid for a week: for trying this service without a frontend."""
        if problem := find_user_id_problem(user):
            raise click.BadParameter(f"USER {problem}.")
        click.echo(issue_token(settings, user, 7 * DAY_SECONDS))

    @app.cli.command("seed")
    @click.option("--users", default=10, show_default=True, type=click.IntRange(1, 1_000_000), help="How many.")
    @click.option("--tasks", default=50, show_default=True, type=click.IntRange(1, 1_000_000), help="For each user.")
    @click.option("--start", default=1, show_default=True, type=click.IntRange(0), help="The first user's number.")
    def seed(users: int, tasks: int, start: int) -> None:
        """Add made-up tasks for user1, user2 and so on: for trying, testing and measuring."""
        random = Random(start)  # noqa: S311 - the same tasks every time
        with reporting(), click.progressbar(length=users * tasks, label="Tasks", file=sys.stderr) as bar:
            for number in range(start, start + users):
                for added in add_tasks(f"user{number}", tasks, random):
                    bar.update(added)
        click.echo(f"Added {users * tasks} tasks. To see some: flask token user{start} prints a token.", err=True)


@contextmanager
def reporting() -> Iterator[None]:
    """Say in one line what the database refused."""
    try:
        yield
    except SQLAlchemyError as error:
        raise click.ClickException(describe(error)) from None


def format_first_call(settings: Settings) -> str:
    """Return a line for a terminal that creates a task as alice, with a token valid for a day.

    Without a secret to make it with, somebody's own token has to be filled in.
    """
    token = issue_token(settings, "alice", DAY_SECONDS) if settings.better_auth_secret else "<JWT from Better Auth>"
    return (
        f"curl -sS http://localhost:{settings.port}/api/tasks"
        f" -H 'Authorization: Bearer {token}'"
        """ -H 'Content-Type: application/json' -d '{"title": "Buy milk"}' -w '\\n'"""
    )
