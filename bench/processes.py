"""Programs of the virtual environment that a benchmark runs."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
SECRET = "throwaway-secret-for-measuring-0123456789"


def find_free_port() -> int:
    """Return a port that no process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def make_environment(database_url: str, **settings: str) -> dict[str, str]:
    """Return the environment variables that configure each of the three services."""
    return {
        **os.environ,
        "FLASK_SKIP_DOTENV": "1",
        "NEON_DB_URL": database_url,
        "DATABASE_URL": urlsplit(database_url)._replace(scheme="postgresql+psycopg2").geturl(),
        "BETTER_AUTH_SECRET": SECRET,
        "RATE_LIMIT": "600000000/minute",  # The limiter runs, but no request reaches the limit.
        **settings,
    }


def run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a program to its end. Raises CalledProcessError."""
    subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, env=environment, check=True)


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], port: int) -> Iterator[int]:
    """Run a server while the context lasts, and wait until it listens on the port. Yields its process id."""
    server = subprocess.Popen([BIN / command[0], *command[1:]], cwd=ROOT, env=environment)
    try:
        while server.poll() is None:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            raise click.ClickException(f"{' '.join(command)} ended with {server.returncode}")
        yield server.pid
    finally:
        server.terminate()
        server.wait()
