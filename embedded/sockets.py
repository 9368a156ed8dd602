"""The folder of the server's socket: the cluster's own folder, or a temporary one."""

import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

from embedded.errors import EmbeddedError
from embedded.files import Home

SOCKET = ".s.PGSQL.5432"
# For a socket that does not fit into the cluster's folder. TMPDIR does not count: its path can be long.
TEMPORARY = [Path("/tmp"), Path("/var/tmp"), Path("/dev/shm")]  # noqa: S108 - mkdtemp creates a private folder there
PREFIX = "todo-postgres-"


def create_socket_folder(home: Home) -> Path:
    """Return the cluster's folder, or a new private folder if a socket cannot be created there.

    A socket's path has at most 107 bytes (unix(7)), and some file systems hold no sockets. Raises EmbeddedError.
    """
    if can_hold_socket(home.path):
        return home.path
    for parent in TEMPORARY:
        with suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            if can_hold_socket(folder):
                return folder
            shutil.rmtree(folder, ignore_errors=True)
    raise EmbeddedError(
        f"no folder for its socket: the path {home.path} is too long or its file system holds no sockets, "
        f"and none of {', '.join(map(str, TEMPORARY))} can be written"
    )


def find_temporary_folder(home: Home) -> Path | None:
    """Return the temporary folder of the server that the pid file names, if it has one."""
    with suppress(OSError, ValueError):
        folder = Path(home.read_socket_directory())
        # Only a folder that create_socket_folder could have created: the file may name any folder.
        if folder.parent in TEMPORARY and folder.name.startswith(PREFIX):
            return folder
    return None


def remove_socket(home: Home, temporary: Path | None) -> None:
    """Remove the temporary folder, and the socket's files in the cluster's folder."""
    if temporary is not None:
        shutil.rmtree(temporary, ignore_errors=True)
    for name in (SOCKET, f"{SOCKET}.lock"):
        (home.path / name).unlink(missing_ok=True)


def can_hold_socket(folder: Path) -> bool:
    """Return whether a socket of PostgreSQL's name can be created in the folder."""
    path = folder / SOCKET
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    except OSError:
        return False
    path.unlink()
    return True
