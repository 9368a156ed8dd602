"""The flask command's own subcommands; ``flask db`` is Flask-Migrate's."""

import click
from flask import Flask

from config import Settings
from todo.auth import InvalidToken, issue_token, read_user_id

DAY_SECONDS = 24 * 60 * 60


def init_app(app: Flask, settings: Settings) -> None:
    """Register the commands."""

    @app.cli.command("token")
    @click.argument("user")
    def print_token(user: str) -> None:
        """Print a token for USER, valid for a week: for trying this service without a frontend."""
        try:
            read_user_id({"sub": user}, "sub")
        except InvalidToken:
            raise click.BadParameter("must be 1 to 255 characters, not blank, none of them control ones") from None
        click.echo(issue_token(settings, user, 7 * DAY_SECONDS))


def format_first_call(settings: Settings) -> str:
    """A line for a terminal that creates a task as alice, with a token valid for a day."""
    return (
        f"curl -sS http://localhost:{settings.port}/api/tasks"
        f" -H 'Authorization: Bearer {issue_token(settings, 'alice', DAY_SECONDS)}'"
        """ -H 'Content-Type: application/json' -d '{"title": "Buy milk"}'"""
    )
