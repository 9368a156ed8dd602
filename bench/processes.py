"""Programs of the virtual environment that a benchmark runs."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
SECRET = "throwaway-secret-for-measuring-0123456789"
STOP_SECONDS = 40


def find_free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def make_environment(database_url: str, **settings: str) -> dict[str, str]:
    """Return the environment of this service on that database."""
    return {
        **os.environ,
        "FLASK_SKIP_DOTENV": "1",
        "NEON_DB_URL": database_url,
        "BETTER_AUTH_SECRET": SECRET,
        **settings,
    }


def run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a program to its end and return what it prints."""
    output = subprocess.check_output([BIN / command[0], *command[1:]], cwd=ROOT, env=environment, text=True)
    return str(output)


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], port: int) -> Iterator[int]:
    """Run a server, from when its port answers until it is left; gives its process id."""
    service = subprocess.Popen([BIN / command[0], *command[1:]], cwd=ROOT, env=environment)
    try:
        while service.poll() is None:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            raise click.ClickException(f"{' '.join(command)} ended with {service.returncode}")
        yield service.pid
    finally:
        service.terminate()
        try:
            service.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()
