"""``flask seed``: sample tasks for one user, or for many."""

import sys
from datetime import tzinfo
from random import Random

import click
from flask.cli import with_appcontext

from todo.arguments import UserId, ZoneName, reporting
from todo.tasks.samples import add_samples, add_tasks


@click.command()
@click.option("--user", type=UserId(), help="Add about 20 tasks around today for this user.")
@click.option("--time-zone", type=ZoneName(), help="Where it is today: an IANA time zone. Default: this machine's.")
@click.option("--add", is_flag=True, help="Also if the user has tasks already.")
@click.option(
    "--users", type=click.IntRange(1, 1_000_000), help="Add tasks for measurements for user1, user2 and so on."
)
@click.option("--tasks", default=50, show_default=True, type=click.IntRange(1, 1_000_000), help="How many for each.")
@click.option("--start", default=1, show_default=True, type=click.IntRange(0), help="The number of the first user.")
@with_appcontext
def seed(user: str | None, time_zone: tzinfo | None, add: bool, users: int | None, tasks: int, start: int) -> None:
    """Add sample tasks for one user, to try the service, or for many users, for measurements."""
    if (user is None) == (users is None):
        raise click.UsageError("Give either --user ID, or --users NUMBER for measurements.")
    if user is not None:
        return seed_user(user, time_zone, add=add)
    random = Random(start)  # noqa: S311 - the same tasks every time
    number = (users or 0) * tasks
    with reporting(), click.progressbar(length=number, label="Tasks", file=sys.stderr) as bar:
        for each in range(start, start + (users or 0)):
            for added in add_tasks(f"user{each}", tasks, random):
                bar.update(added)
    click.echo(f"Added {number} tasks. To see some: flask token --user user{start} prints a token.", err=True)
    return None


def seed_user(user_id: str, zone: tzinfo | None, *, add: bool) -> None:
    """Add the tasks around today, unless the user has tasks already."""
    with reporting():
        number = add_samples(user_id, zone, add=add)
    if number:
        click.echo(f"Added {number} tasks for {user_id}, due around today.", err=True)
    elif add:
        raise click.ClickException(f"{user_id} would have more tasks than MAX_TASKS allows.")
    else:
        raise click.ClickException(f"{user_id} has tasks already, so none were added; --add puts them beside these.")
