"""The flask command's own subcommands; ``flask db`` is Flask-Migrate's."""

import click
from flask import Flask

from config import Settings
from todo.auth.tokens import issue_token
from todo.auth.users import find_user_id_problem

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
