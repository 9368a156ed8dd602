"""The files of an embedded PostgreSQL, in one private folder, and the locks through which processes coordinate.

data/            the cluster
password         of both roles: postgres (superuser) and todo (owner of the database todo)
log              the output of PostgreSQL and of the supervisor
users.lock       held shared by every process that uses the server
supervisor.lock  held by the one supervisor
server.lock      held by every process of the server

The kernel releases a lock when its last holder ends, also after kill -9.
"""

import fcntl
import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from embedded.errors import EmbeddedError


@dataclass(frozen=True)
class Home:
    """The folder of one embedded PostgreSQL."""

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
        """Create the folder with mode 700. Raises OSError, or EmbeddedError if the folder cannot be private.

        Root can enter the folders of all users, but must not run a server that another user configured.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)
        owner = self.path.stat().st_uid
        if owner != os.geteuid():
            raise EmbeddedError(
                f"The folder of the embedded PostgreSQL, {self.path}, belongs to another user ({name_user(owner)}). "
                "Run as that user, remove the folder, or set NEON_DB_URL"
            )
        if self.path.stat().st_mode & 0o077:
            self.path.chmod(0o700)
        if self.path.stat().st_mode & 0o077:
            raise EmbeddedError(
                f"The file system of {self.path} cannot keep the embedded PostgreSQL's data private: it ignores modes, "
                "as Windows drives in WSL do. Clone into your home folder instead, or set NEON_DB_URL"
            )

    def open_log(self) -> BinaryIO:
        """Open the log for appending; only the owner may read it."""
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")

    def open_users_lock(self) -> int:
        return self._open("users.lock")

    def open_supervisor_lock(self) -> int:
        return self._open("supervisor.lock")

    def open_server_lock(self) -> int:
        return self._open("server.lock")

    def read_socket_directory(self) -> str:
        """Return the folder of the running server's socket; raises FileNotFoundError or ValueError if none runs."""
        lines = self.pid_file.read_text().splitlines()
        if len(lines) < 5 or not lines[4]:
            raise ValueError("postmaster.pid is not complete")
        return lines[4]

    def _open(self, name: str) -> int:
        return os.open(self.path / name, os.O_RDWR | os.O_CREAT, 0o600)


def check_links(path: Path) -> None:
    """Raise EmbeddedError if root would follow a link of another user, who could lead it to any folder."""
    for part in (path, *path.parents):
        if os.geteuid() == 0 and part.is_symlink() and (owner := part.lstat().st_uid) != 0:
            raise EmbeddedError(
                f"The link {part} belongs to another user ({name_user(owner)}), and root does not follow it. "
                "Run as that user, or set NEON_DB_URL"
            )


def name_user(uid: int) -> str:
    """Return the user's name, or the number if /etc/passwd does not list it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock if no other process holds the lock; return whether it was taken."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(descriptor: int) -> bool:
    """Return whether another process holds the lock; closes the descriptor."""
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


def is_shared(descriptor: int) -> bool:
    """Return whether other processes hold the lock in shared mode; closes the descriptor."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return not try_lock(descriptor)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
