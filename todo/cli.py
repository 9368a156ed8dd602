"""The subcommands of the flask command. ``flask db`` comes from Flask-Migrate."""

import json
from typing import BinaryIO

import click
import orjson
import psycopg2
from flask import Flask
from flask.cli import with_appcontext
from marshmallow import ValidationError

from config import Settings
from config_readers import decode_text
from todo.arguments import UserId, reporting
from todo.auth.tokens import issue_token
from todo.database.engine import LocalDatabase
from todo.database.restoring import NotRenewed, renew, renew_feeds
from todo.extensions import current_settings
from todo.health import find_problem
from todo.logs.users import hash_user
from todo.openapi.document import format_document
from todo.seeding import seed
from todo.tasks.portability import delete_everything, export_tasks, export_trash, import_tasks, read_tasks

DAY_SECONDS = 24 * 60 * 60


def init_app(app: Flask, settings: Settings, local_database: LocalDatabase | None) -> None:
    """Register the commands."""

    @app.cli.command("token")
    @click.option("--user", type=UserId(), default="alice", show_default=True, help="The user ID of the token.")
    @click.option("--days", default=7, show_default=True, type=click.IntRange(1, 3650), help="Its lifetime.")
    @click.option("--header", is_flag=True, help="Print it as a request header.")
    def print_token(user: str, days: int, header: bool) -> None:
        """Print a token, to try this service without a frontend."""
        token = issue_token(settings, user, days * DAY_SECONDS)
        click.echo(f"Authorization: Bearer {token}" if header else token)

    @app.cli.command("log-name")
    @click.argument("user_id", type=UserId())
    def print_log_name(user_id: str) -> None:
        """Print the name of USER_ID in the log, unless LOG_USERS changes it."""
        click.echo(hash_user(settings, user_id))

    @app.cli.command("openapi")
    def print_document() -> None:
        """Print the OpenAPI document, for client generators."""
        click.echo(format_document(app, settings), nl=False)

    @app.cli.command("database-url")
    def print_database_url() -> None:
        """Print the URL of the database, with its password, for other programs on this machine."""
        click.echo(find_database_url(settings, local_database))

    app.cli.add_command(seed)

    @app.cli.command("check")
    def check() -> None:
        """Tell whether the service can use the database, as GET /readyz does."""
        if problem := find_problem():
            raise click.ClickException(f"The service is not ready: {problem}")
        click.echo("The service is ready: its login can use the database.", err=True)

    app.cli.add_command(renew_numbers)
    app.cli.add_command(feed)
    app.cli.add_command(user)


@click.command("after-restore")
@click.option("--trust-clock", is_flag=True, help="Also if rows have dates in the future.")
@with_appcontext
def renew_numbers(trust_clock: bool) -> None:
    """Make all IDs, versions and cursors new after a backup was restored. Needs the owner of the tables."""
    try:
        with reporting():
            for line in renew(trust_clock=trust_clock):
                click.echo(line, err=True)
    except NotRenewed as error:
        raise click.ClickException(str(error)) from None


@click.group()
def feed() -> None:
    """The change feed, from which devices learn what has changed."""


@feed.command("renew")
@with_appcontext
def renew_cursors() -> None:
    """Make all cursors expire, so that devices fetch all tasks again. Needs the owner of the tables."""
    try:
        with reporting():
            click.echo(renew_feeds(), err=True)
    except NotRenewed as error:
        raise click.ClickException(str(error)) from None


@click.group()
def user() -> None:
    """Export, import or delete all data of a user."""


@user.command("export")
@click.argument("user_id", type=UserId())
@with_appcontext
def export_user(user_id: str) -> None:
    """Print all data of USER_ID as JSON."""
    with reporting():
        tasks, trash = (
            [orjson.dumps(task).decode() for task in export(user_id)] for export in (export_tasks, export_trash)
        )
    lists = (f'"{name}": [\n' + ",\n".join(found) + "\n]" for name, found in (("tasks", tasks), ("trash", trash)))
    click.echo(f'{{"user_id": {json.dumps(user_id)}, {", ".join(lists)}}}')
    click.echo(f"Exported {len(tasks)} tasks, and {len(trash)} in the trash.", err=True)


@user.command("import")
@click.argument("user_id", type=UserId())
@click.argument("file", type=click.File("rb"))
@click.option("--add", is_flag=True, help="Also if the user has tasks already.")
@with_appcontext
def import_user(user_id: str, file: BinaryIO, add: bool) -> None:
    """Store the tasks of an export in FILE (- is standard input) for USER_ID, all or none, with new IDs."""
    try:
        given = orjson.loads(decode_text(file.read()))["tasks"]
    except (ValueError, TypeError, KeyError):
        raise click.ClickException("This is not what flask user export prints: JSON with all its tasks.") from None
    try:
        tasks = read_tasks(given)
    except ValidationError as error:
        raise click.ClickException(str(error.messages[0])) from None
    with reporting():
        if not import_tasks(user_id, tasks, add=add):
            if add or len(tasks) > (current_settings().max_tasks or len(tasks)):
                raise click.ClickException(f"{user_id} would have more tasks than MAX_TASKS allows.")
            raise click.ClickException(f"{user_id} has tasks already; --add puts these beside them.")
    click.echo(f"Imported {len(tasks)} tasks.", err=True)


@user.command("delete")
@click.argument("user_id", type=UserId())
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_appcontext
def delete_user(user_id: str, yes: bool) -> None:
    """Delete all data of USER_ID permanently. Data in Better Auth stays."""
    if not yes and click.prompt(f"This cannot be undone. Type {user_id} to delete all of it") != user_id:
        raise click.ClickException("Nothing was deleted.")
    with reporting():
        click.echo(f"Deleted {delete_everything(user_id)} tasks.", err=True)


def find_database_url(settings: Settings, local_database: LocalDatabase | None) -> str:
    """Return the URL for PostgreSQL's own programs; raises ClickException if the embedded PostgreSQL does not run."""
    if settings.database_url is not None:
        return settings.database_url
    try:
        url = local_database.url() if local_database else ""
        psycopg2.connect(url).close()
    except (OSError, ValueError, psycopg2.OperationalError):
        raise click.ClickException(
            "the embedded PostgreSQL does not run; start it in another terminal: make run"
        ) from None
    return url
