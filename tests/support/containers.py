"""Run commands as a container does: in namespaces of their own, read-only, as a user without a name and a home."""

import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil

from tests.support.clusters import wait_until

NAMESPACES = ("unshare", "--mount", "--pid", "--net", "--fork", "--mount-proc")
# Only root may create them on every machine.
AVAILABLE = (
    os.geteuid() == 0 and subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode == 0
)
USER = "54321"
# /mnt has the socket of the database. Only /tmp and /dev/shm can be written, and they may be full. The command becomes
# process 1, without any right of root.
PREPARE = """
set -eu
folder=$1 sockets=$2 user=$3 filling=$4
shift 4
mount --bind "$sockets" /mnt
mount -t tmpfs -o size=64k,mode=1777 tmpfs /tmp
mount --bind /tmp /dev/shm
dd if="$filling" of=/tmp/full bs=4k 2>/dev/null || true
mount -o remount,bind,ro /
ip link set lo up
ip address delete 127.0.0.1/8 dev lo
cd "$folder"
exec setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs --bounding-set=-all "$@"
"""


class Container:
    """A command as process 1 of a network that has only IPv6, and no other machine. A context manager."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path,
        sockets: Path,
        is_full: bool = True,
    ) -> None:
        filling = "/dev/zero" if is_full else "/dev/null"
        self._outer = subprocess.Popen(
            [*NAMESPACES, "sh", "-c", PREPARE, "sh", str(folder), str(sockets), USER, filling, *command],
            env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.first = psutil.Process(self._outer.pid)

    def __enter__(self) -> Self:
        wait_until(self._is_running)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(psutil.Error):
            self.first.kill()
        self._outer.communicate()

    def _is_running(self) -> bool:
        """Return whether process 1 runs the command, or has ended."""
        with suppress(psutil.Error):
            for child in psutil.Process(self._outer.pid).children():
                self.first = child
                return child.cmdline()[:1] not in (["sh"], ["setpriv"], ["unshare"])
        return self._outer.poll() is not None

    def handles_stop(self) -> bool:
        """Return whether process 1 handles SIGTERM. Until then, the kernel discards it."""
        status = Path(f"/proc/{self.first.pid}/status").read_text()
        return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> (signal.SIGTERM - 1) & 1)

    def stop(self, seconds: float) -> tuple[int, str]:
        """Send SIGTERM to process 1; return its exit status and output. Raises TimeoutExpired if it does not end."""
        with suppress(psutil.Error):
            self.first.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds: float) -> tuple[int, str]:
        """Wait for the end of process 1; return its exit status and output."""
        output, _ = self._outer.communicate(timeout=seconds)
        return self._outer.returncode, output

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the container, as ``docker exec`` does."""
        enter = ("nsenter", f"--target={self.first.pid}", "--mount", "--pid", "--net", "--wd", f"--setuid={USER}")
        return subprocess.run([*enter, *command], env=self.first.environ(), capture_output=True, text=True, check=False)

    def connect(self, port: int) -> socket.socket:
        """Return a connection to ::1 in the container."""

        def connect() -> socket.socket:
            with Path(f"/proc/{self.first.pid}/ns/net").open() as namespace:
                assert ctypes.CDLL(None).setns(namespace.fileno(), 0) == 0
            return socket.create_connection(("::1", port), timeout=30)

        with ThreadPoolExecutor(1) as thread:  # A thread has a network namespace of its own.
            return thread.submit(connect).result()

    def request(self, port: int, text: str) -> str:
        """Send a request over a connection of its own, and return the response."""
        with self.connect(port) as connection:
            connection.sendall(text.encode())
            return read_all(connection)


def read_all(connection: socket.socket) -> str:
    """Return what the other side sends before it closes the connection."""
    received: Any = bytearray()
    while data := connection.recv(65536):
        received += data
    return str(received.decode())
