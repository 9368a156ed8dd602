"""Looks at the port before anything is installed."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = "8000"
# TCP_LISTEN in the kernel's include/net/tcp_states.h.
LISTENING = "0A"


class Holder(NamedTuple):
    """The process that listens on a port."""

    pid: int
    name: str
    folder: Path | None


def read_port() -> int:
    """Return PORT of the environment or of .env; exits with one line if it is no port."""
    text = os.environ.get("PORT", "").strip() or find_in_env_file("PORT") or DEFAULT
    if not (re.fullmatch("[0-9]{1,5}", text) and 1 <= int(text) <= 65535):
        sys.exit(f"Error: PORT is {text!r}: it must be a whole number from 1 to 65535")
    return int(text)


def find_in_env_file(name: str) -> str:
    """Return a variable of .env without its quotes, or an empty text."""
    with suppress(OSError, UnicodeError):
        lines = re.findall(rf"^\s*(?:export\s+)?{name}\s*=(.*)$", (ROOT / ".env").read_text("utf-8"), re.MULTILINE)
        return re.sub(r"\s#.*", "", lines[-1]).strip().strip("'\"").strip() if lines else ""
    return ""


def check_port(port: int) -> None:
    """Exit with one line if another process has the port, or if this user may not have it."""
    problem = find_problem(port)
    if problem is None:
        return
    other = next((each for each in range(max(port, 8000) + 1, 65536) if find_problem(each) is None), 8001)
    sys.exit(f"Error: port {port} {problem}; try: PORT={other} make run")


def find_problem(port: int) -> str | None:
    """Return why the port cannot be used; None if it can."""
    for host in ("127.0.0.1", "::1"):
        # A browser asks both for localhost. On macOS, a port can be opened although another process has it.
        with suppress(OSError), socket.create_connection((host, port), timeout=1):
            return describe(find_holder(port))
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except PermissionError:
        return "may be used by root only"
    except OSError as error:
        return f"cannot be used ({os.strerror(error.errno or 0)})"
    return None


def describe(holder: Holder | None) -> str:
    """Return who has the port."""
    if holder is None:
        return "is in use by another program"
    if holder.folder == ROOT:
        return f"is in use: make run runs here already, in another terminal (process {holder.pid})"
    place = f" in {holder.folder}" if holder.folder and holder.folder != Path("/") else ""
    return f"is in use by {holder.name} (process {holder.pid}{place})"


def find_holder(port: int) -> Holder | None:
    """Return the process that listens on the port; None if it cannot be known, as for other users' processes."""
    if Path("/proc/net/tcp").exists():
        return find_in_proc(port)
    with suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(
            ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"],  # noqa: S607 - of the system
            capture_output=True, text=True, timeout=5, check=False,
        ).stdout  # fmt: skip
        if match := re.match(r"p(\d+)\nc(.*)", found):
            return Holder(int(match[1]), match[2], None)
    return None


def find_in_proc(port: int) -> Holder | None:
    """Return the first process that has an open file which is the listening socket (proc(5))."""
    sockets = set(list_sockets(port))
    for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        with suppress(OSError):
            if any(str(file.readlink()) in sockets for file in (process / "fd").iterdir()):
                words = [Path(word).name for word in (process / "cmdline").read_text().split("\0") if word]
                return Holder(int(process.name), " ".join(words[:2]), (process / "cwd").readlink())
    return None


def list_sockets(port: int) -> Iterator[str]:
    """Yield the sockets that listen on the port, as links of open files name them."""
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    yield f"socket:[{fields[9]}]"
