"""Starts gunicorn: ``python -m server`` takes the arguments of the command ``gunicorn``, such as ``wsgi:app``.

With ``--migrate`` as its first argument, it runs ``flask db upgrade`` and ``flask check`` before; without any
further argument, only those.

gunicorn converts WEB_CONCURRENCY as soon as it is imported, and prints a traceback if it is not a number.
"""

import os
import subprocess
import sys
from importlib import import_module

from server.stopping import hold_signals, stop_while_loading

# The URL of the owner of the tables. The service must not have it.
OWNER = ("MIGRATION_DATABASE_URL", "MIGRATION_DATABASE_URL_FILE")


def main() -> None:
    """Migrate if asked to, and run gunicorn."""
    stop_while_loading()
    arguments = sys.argv[1:]
    migrates = arguments[:1] == ["--migrate"]
    if migrates:
        migrate()
        arguments = arguments[1:]
        if not arguments:
            return
    # `make run` migrates later, on the user's own machine.
    if migrates or ("TRYING_OUT" not in os.environ and any(name in os.environ for name in OWNER)):
        start_again(arguments)
    find_workers()
    import_module("gunicorn.app.wsgiapp").run()


def migrate() -> None:
    """Migrate, and check that the service can use the database with its own login.

    Exit if that fails, or on a signal with a status that says that it did not finish.
    """
    stop_while_loading(status=143)
    for command in (("db", "upgrade"), ("check",)):
        # A process of its own: a signal can end it while it waits for the database.
        done = subprocess.run([sys.executable, "-m", "flask", *command], check=False)
        if done.returncode:
            sys.exit(done.returncode)


def start_again(arguments: list[str]) -> None:
    """Replace this process by one without the owner's URL. A signal in between waits for stop_while_loading()."""
    hold_signals()
    environment = {name: value for name, value in os.environ.items() if name not in OWNER}
    os.execve(sys.executable, [sys.executable, "-m", "server", *arguments], environment)  # noqa: S606


def find_workers() -> None:
    """Let WEB_CONCURRENCY be empty, which counts as not set, or auto: one worker per core."""
    workers = os.environ.pop("WEB_CONCURRENCY", "").strip()
    if workers.lower() == "auto":
        workers = str(min(os.cpu_count() or 1, 512))
    if workers and not workers.isdecimal():
        sys.exit(f"Error: WEB_CONCURRENCY is {workers!r}: it must be a whole number from 1 to 512, or auto")
    if workers:
        os.environ["WEB_CONCURRENCY"] = workers


if __name__ == "__main__":
    main()
