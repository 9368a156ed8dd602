"""A PostgreSQL cluster: how its folder is made, and its server started and stopped."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from embedded.files import Home
from embedded.programs import find_programs, find_wrapper

READY_SECONDS = 50
STOP_SECONDS = 10
TEMPORARY = Path("/tmp")  # noqa: S108 - a short path, unlike some TMPDIR; mkdtemp makes a private folder there
TEMPORARY_PREFIX = "todo-postgres-"
# sockaddr_un holds 108 bytes on Linux, 104 on macOS, with a NUL; the name is /.s.PGSQL.5432.lock at its longest.
LONGEST_SOCKET_DIRECTORY = 103 - len("/.s.PGSQL.5432.lock")


def quote_list_item(text: str) -> str:
    """One item of a setting that PostgreSQL splits at commas."""
    return '"' + text.replace('"', '""') + '"'


def remove(directory: Path | None) -> None:
    """Remove a folder of ours, if it is still there."""
    if directory is not None:
        shutil.rmtree(directory, ignore_errors=True)


def is_alive(process: psutil.Process) -> bool:
    """Whether the process still runs; one of our children that does not is reaped."""
    with suppress(psutil.TimeoutExpired):
        process.wait(0)
    with suppress(psutil.NoSuchProcess):
        # A server that was taken over is not our child: who reaps it may be late, or never do it.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


class Cluster:
    """The data folder and the programs that work on it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.programs = find_programs(home.data)
        self.wrapper = find_wrapper()
        # What PG* variables say is meant for other servers.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}

    def create(self) -> None:
        """Make the cluster if there is none: beside its place, then moved, so that there is none or a whole one."""
        if (self.home.data / "PG_VERSION").exists():
            return
        for left_over in self.home.path.glob("data.new.*"):
            shutil.rmtree(left_over, ignore_errors=True)
        # A name of its own: an initdb whose supervisor was killed may still be at work on another one.
        new = self.home.path / f"data.new.{os.getpid()}"
        password = secrets.token_urlsafe(32)
        descriptor = os.open(self.home.password, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(password)
        self._run(
            "initdb", "-D", new, "-U", "postgres", "--pwfile", self.home.password,
            "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale",
        )  # fmt: skip
        # An owner without superuser's rights, like the one a provider gives.
        self._run(
            "postgres", "--single", "-D", new, "postgres",
            script=f"CREATE ROLE todo LOGIN CREATEROLE PASSWORD '{password}'\nCREATE DATABASE todo OWNER todo\n",
        )  # fmt: skip
        new.rename(self.home.data)

    def find_server(self) -> psutil.Process | None:
        """The server of this cluster, if one runs: left by a supervisor that was killed."""
        for process in self._processes():
            with suppress(psutil.Error):
                if str(self.home.data) in process.cmdline():
                    return process
        return None

    def start(self) -> psutil.Process:
        """Start the server and wait until it answers; raises RuntimeError."""
        self._clear_remains()
        socket_directory = self._choose_socket_directory()
        command = [
            *self.wrapper, str(self.programs / "postgres"), "-D", str(self.home.data),
            "-c", "listen_addresses=",
            "-c", "unix_socket_directories=" + quote_list_item(str(socket_directory)),
            "-c", "unix_socket_permissions=0700",
            "-c", "max_connections=500",  # Enough for 60 workers of 8 threads.
            "-c", "dynamic_shared_memory_type=mmap",  # In the data folder, not where every `nobody` may look.
            "-c", "log_min_error_statement=panic",  # A statement holds what users wrote.
            "-c", "log_error_verbosity=terse",
            "-c", "timezone=UTC",
            "-c", "log_timezone=UTC",
        ]  # fmt: skip
        server = psutil.Popen(command, env=self.environment, cwd="/", stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready(server.pid):
            if not is_alive(server) or time.monotonic() > deadline:
                with suppress(psutil.NoSuchProcess):
                    server.kill()
                raise RuntimeError("PostgreSQL does not start; see its output above")
            time.sleep(0.02)
        return psutil.Process(server.pid)

    def stop(self, server: psutil.Process) -> None:
        """Stop the server: first in order, then by force."""
        socket_directory = self._read_temporary_directory()
        for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            with suppress(psutil.NoSuchProcess):
                server.send_signal(signum)
            deadline = time.monotonic() + STOP_SECONDS
            while is_alive(server) and time.monotonic() < deadline:
                time.sleep(0.02)
        remove(socket_directory)

    def _run(self, program: str, *arguments: str | Path, script: str | None = None) -> None:
        command = [*self.wrapper, str(self.programs / program), *map(str, arguments)]
        subprocess.run(
            command, check=True, env=self.environment, cwd="/", input=script, text=True, timeout=READY_SECONDS
        )

    def _processes(self) -> list[psutil.Process]:
        """Every process of this cluster's server: PostgreSQL works in its data folder."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.name() == "postgres" and process.cwd() == str(self.home.data):
                    found.append(process)
        return found

    def _clear_remains(self) -> None:
        """After a kill -9: wait for orphans, and drop lock files that could name anybody's process by now.

        Only safe because supervisor.lock is held, and only once no process works in the data folder:
        the files are PostgreSQL's own guard against two servers on one cluster.
        """
        orphans = self._processes()
        _, alive = psutil.wait_procs(orphans, timeout=STOP_SECONDS)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=STOP_SECONDS)
        remove(self._read_temporary_directory())
        self.home.pid_file.unlink(missing_ok=True)
        for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            (self.home.path / name).unlink(missing_ok=True)

    def _choose_socket_directory(self) -> Path:
        """HOME, or a private folder with a shorter name: a socket's path may have about a hundred bytes."""
        if len(os.fsencode(self.home.path)) <= LONGEST_SOCKET_DIRECTORY:
            return self.home.path
        return Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=TEMPORARY))

    def _read_temporary_directory(self) -> Path | None:
        """The folder that _choose_socket_directory made for the server of the pid file, if it made one."""
        with suppress(FileNotFoundError, ValueError):
            directory = Path(self.home.read_socket_directory())
            # The file is the server's; what is removed on its word is only what we could have made.
            if directory.parent == TEMPORARY and directory.name.startswith(TEMPORARY_PREFIX):
                return directory
        return None

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = self.home.pid_file.read_text().split("\n")
        except FileNotFoundError:
            return False
        return lines[0] == str(pid) and len(lines) > 7 and lines[7].strip() == "ready"
