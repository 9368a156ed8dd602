"""``make run``: serves on the user's own machine, to try the service out: ``python -m server.trial wsgi:app``.

The terminal shows what is done, a box with what can be tried, and why requests are refused. Nothing else is different
from production. gunicorn's hooks (hooks.py) call this module, welcome.py and explanations.py.
"""

import os
import signal
import sys
from importlib import import_module
from select import POLLHUP, poll
from subprocess import CalledProcessError
from threading import Thread
from typing import Any

from bootstrap.port import check_port
from bootstrap.progress import Step, ignore_signals, read_lines, say, say_stopped, stop_in_order

VARIABLE = "TRYING_OUT"
DATA = "instance"


def main() -> None:
    """Run gunicorn, and say at the end where the data is."""
    stop_in_order(0)
    os.environ[VARIABLE] = "nohup" if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else "1"
    sys.argv.append("--logger-class=server.explanations.TrialLogger")
    master = os.getpid()
    try:
        import_module("server.__main__").main()
    except SystemExit as end:
        # gunicorn forks its workers inside of this call, so they end here too.
        if os.getpid() == master and end.code in {0, None}:
            ignore_signals()
            hooks = sys.modules.get("server.hooks")
            if hooks is not None and hooks.embedded is not None:
                hooks.embedded.close()  # gunicorn has not done it if it was still starting.
            say_stopped(describe_stop())
        raise


def describe_stop() -> str:
    """Return the last line of the service."""
    is_elsewhere = import_module("config").read_settings().database_url is not None
    return "Stopped." if is_elsewhere else f"Stopped. Your tasks are kept in {DATA}/."


def prepare(settings: Any, embedded: Any) -> None:
    """Look at the port, and start and migrate the database; exits with one line if that fails."""
    check_port(settings.port)
    try:
        if embedded is not None:
            is_new = not (embedded.home.data / "PG_VERSION").exists()
            doing = f"Creating a PostgreSQL database in {DATA}, once" if is_new else "Starting PostgreSQL"
            with Step(doing, f"Started PostgreSQL, with its data in {DATA}"):
                embedded.start()
        with Step("Migrating the database", "The database is up to date") as step:
            command = [sys.executable, "-m", "flask", "--app", "wsgi:app", "db", "upgrade"]
            for line in read_lines(command, os.environ | {"FLASK_SKIP_DOTENV": "1"}):
                step.show(0, 0, line)
        say("Starting the service")
    except CalledProcessError as error:
        sys.exit(error.output)
    except import_module("psycopg2").OperationalError as error:
        sys.exit(f"Error: {error}")


def stop_with_terminal() -> None:
    """Stop when the terminal is closed, unless nohup is used. At SIGHUP, gunicorn would reload the settings instead."""
    if survive_terminal():
        return
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    if sys.stdout.isatty():
        # The kernel sends SIGHUP to the first process of the terminal only, which may be make.
        Thread(target=wait_for_closing, daemon=True).start()


def survive_terminal() -> bool:
    """Ignore SIGHUP in this process, and return True, if nohup is used."""
    if os.environ[VARIABLE] != "nohup":
        return False
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return True


def wait_for_closing() -> None:
    """Wait until the terminal is closed, and stop."""
    terminal = poll()
    terminal.register(sys.stdout, 0)
    if any(event & POLLHUP for _, event in terminal.poll()):
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
