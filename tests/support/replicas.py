"""A PostgreSQL server and its streaming replica, to try a failover."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL

from tests.support.clusters import wait_until
from tests.support.commands import free_port
from tests.support.databases import Server

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
OPTIONS = "-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c shared_buffers=16MB"


class Replicas:
    """A primary and a replica in one folder, as the user nobody if this is root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.primary, self.replica = (make_server(free_port()) for _ in range(2))

    def start(self) -> None:
        self._run("initdb", "-D", "primary", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
        self._start("primary", self.primary)
        url = self.primary.superuser_url.render_as_string(hide_password=False)
        self._run("pg_basebackup", "-D", "replica", "--checkpoint=fast", "--write-recovery-conf", "-d", url)
        self._start("replica", self.replica)

    def fail_over(self) -> None:
        """Make the replica the primary. The old primary stays up and becomes a reader, as managed databases do."""
        self._run("pg_ctl", "-D", "replica", "-w", "promote")
        self.primary.run("ALTER SYSTEM SET default_transaction_read_only = on")
        self.primary.run("SELECT pg_reload_conf()")
        # The server tells its sessions a moment later.
        wait_until(lambda: self.primary.run("SHOW default_transaction_read_only") == [("on",)])
        time.sleep(0.5)

    def stop(self) -> None:
        for name in ("primary", "replica"):
            if (self._folder / name / "postmaster.pid").exists():
                self._run("pg_ctl", "-D", name, "-w", "-m", "immediate", "stop")

    def _start(self, name: str, server: Server) -> None:
        options = f"{OPTIONS} -p {server.superuser_url.port}"
        self._run("pg_ctl", "-D", name, "-w", "-l", f"{name}.log", "-o", options, "start")

    def _run(self, program: str, *arguments: str) -> None:
        as_user = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups") if os.geteuid() == 0 else ()
        with (self._folder / "output.log").open("w") as output:  # A started server keeps it open.
            command = [*as_user, PROGRAMS / program, *arguments]
            done = subprocess.run(command, cwd=self._folder, stdout=output, stderr=output, check=False)
        assert done.returncode == 0, (self._folder / "output.log").read_text()


def make_server(port: int) -> Server:
    return Server(URL.create("postgresql", "postgres", host="127.0.0.1", port=port, database="postgres"))


@contextmanager
def replicas() -> Iterator[Replicas]:
    """Run a primary and its replica. pytest's own folders are closed to the user that runs them."""
    folder = Path(tempfile.mkdtemp(prefix="todo-replicas-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
    servers = Replicas(folder)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
        shutil.rmtree(folder)
