"""A PostgreSQL cluster: creates its folder, starts and stops its server."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from embedded.errors import EmbeddedError
from embedded.files import Home, try_lock
from embedded.programs import find_prefix, find_programs
from embedded.sockets import create_socket_folder, find_temporary_folder, remove_socket

READY_SECONDS = 50
STOP_SECONDS = 10


def quote_list_item(text: str) -> str:
    """Quote an item of a setting that PostgreSQL splits at commas."""
    return '"' + text.replace('"', '""') + '"'


def find_cause(output: str) -> str:
    """Return the first error in the output of a PostgreSQL program, else its last line."""
    if found := re.search(r"\b(?:FATAL|PANIC|ERROR|error): +(.+)", output):
        return found[1]
    return (output.strip() or "it printed nothing").splitlines()[-1]


def is_alive(process: psutil.Process) -> bool:
    """Return whether the process runs; reaps it if it is a child that has ended."""
    with suppress(psutil.TimeoutExpired):
        process.wait(0)
    with suppress(psutil.NoSuchProcess):
        # A server whose supervisor was killed is not our child, and its new parent may reap it late.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


class Cluster:
    """The data folder, and the programs that work on it."""

    def __init__(self, home: Home) -> None:
        """Raises EmbeddedError if PostgreSQL's programs cannot run here."""
        self.home = home
        self.programs = find_programs(home.data)
        self.prefix = find_prefix(self.programs, home.data)
        # PG* variables are meant for other servers.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}

    def create(self) -> None:
        """Create the cluster unless it exists; raises EmbeddedError.

        It is created in another folder, which is then renamed. So a cluster is complete or does not exist.
        """
        if (self.home.data / "PG_VERSION").exists():
            return
        for left_over in self.home.path.glob("data.new.*"):
            shutil.rmtree(left_over, ignore_errors=True)
        # The pid is part of the name because the initdb of a killed supervisor can still run.
        new = self.home.path / f"data.new.{os.getpid()}"
        password = secrets.token_urlsafe(32)
        descriptor = os.open(self.home.password, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(password)
        self._run(
            "initdb", "-D", new, "-U", "postgres", "--pwfile", self.home.password,
            "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale",
        )  # fmt: skip
        # Like a provider's, the owner of the database is no superuser.
        self._run(
            "postgres", "--single", "-D", new, "postgres",
            script=f"CREATE ROLE todo LOGIN CREATEROLE PASSWORD '{password}'\nCREATE DATABASE todo OWNER todo\n",
        )  # fmt: skip
        new.rename(self.home.data)

    def find_server(self) -> psutil.Process | None:
        """Return the running server of this cluster, which a killed supervisor left; None if there is none."""
        with suppress(OSError, ValueError, psutil.Error):
            server = psutil.Process(int(self.home.pid_file.read_text().split("\n")[0]))
            if str(self.home.data) in server.cmdline():
                return server
        return None

    def start(self) -> psutil.Process:
        """Start the server and wait until it answers; raises EmbeddedError."""
        lock = self.home.open_server_lock()
        try:
            self._wait_for_orphans(lock)
            self._clear_remains()
            logged = self.home.log.stat().st_size
            # The server and its children inherit the lock.
            server = psutil.Popen(
                [*self.prefix, str(self.programs / "postgres"), *self._choose_options()],
                env=self.environment, cwd="/", stdin=subprocess.DEVNULL, pass_fds=[lock],
            )  # fmt: skip
        finally:
            os.close(lock)
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready(server.pid):
            if not is_alive(server):
                output = self.home.log.read_bytes()[logged:].decode(errors="replace")
                raise EmbeddedError(find_cause(output))
            if time.monotonic() > deadline:
                with suppress(psutil.NoSuchProcess):
                    server.kill()
                raise EmbeddedError(f"the server was not ready after {READY_SECONDS} s")
            time.sleep(0.02)
        return psutil.Process(server.pid)

    def stop(self, server: psutil.Process) -> None:
        """Stop the server: first in order, then by force."""
        temporary = find_temporary_folder(self.home)  # A server that stops in order removes the pid file.
        for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            with suppress(psutil.NoSuchProcess):
                server.send_signal(signum)
            deadline = time.monotonic() + STOP_SECONDS
            while is_alive(server) and time.monotonic() < deadline:
                time.sleep(0.02)
        remove_socket(self.home, temporary)

    def _run(self, program: str, *arguments: str | Path, script: str | None = None) -> None:
        command = [*self.prefix, str(self.programs / program), *map(str, arguments)]
        try:
            done = subprocess.run(
                command, env=self.environment, cwd="/", input=script, text=True, timeout=READY_SECONDS,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise EmbeddedError(f"{program} did not end within {READY_SECONDS} s") from None
        print(done.stdout, flush=True)
        if done.returncode != 0:
            raise EmbeddedError(f"{program}: {find_cause(done.stdout)}")

    def _wait_for_orphans(self, lock: int) -> None:
        """Take the server's lock once all processes of an earlier server have ended; raises EmbeddedError.

        They end by themselves when their server was killed, except for a query that computes on: that is killed.
        """
        deadline = time.monotonic() + STOP_SECONDS
        while not try_lock(lock):
            if time.monotonic() > deadline + STOP_SECONDS:
                raise EmbeddedError(f"an earlier server in {self.home.data} does not end")
            if time.monotonic() > deadline:
                self._kill_orphans()
            time.sleep(0.02)

    def _kill_orphans(self) -> None:
        """Kill the processes that work in the data folder, as PostgreSQL's do."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.name() == "postgres" and process.cwd() == str(self.home.data):
                    process.kill()

    def _clear_remains(self) -> None:
        """Remove the lock files of a killed server: the process that they name may be any process by now.

        PostgreSQL protects a cluster from two servers with these files. Here, the server's lock does.
        """
        remove_socket(self.home, find_temporary_folder(self.home))
        self.home.pid_file.unlink(missing_ok=True)

    def _choose_options(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": quote_list_item(str(create_socket_folder(self.home))),
            "unix_socket_permissions": "0700",
            "max_connections": "500",  # Enough for 60 workers of 8 threads.
            "dynamic_shared_memory_type": "mmap",  # In the data folder: other processes of `nobody` can read /dev/shm.
            "log_min_error_statement": "panic",  # Statements contain users' data.
            "log_error_verbosity": "terse",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return ["-D", str(self.home.data), *options]

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = self.home.pid_file.read_text().split("\n")
        except FileNotFoundError:
            return False
        return lines[0] == str(pid) and len(lines) > 7 and lines[7].strip() == "ready"
