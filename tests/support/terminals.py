"""Commands in a terminal, as a person runs them: keys, a window that is closed, and what the screen shows."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from html import escape
from pathlib import Path
from shutil import copy

import psutil

from bootstrap.packages import LISTS, hash_lists
from tests.support.commands import ROOT, SETTINGS, copy_service

COLUMNS, ROWS = 100, 40
SGR = re.compile(r"\x1b\[([\d;]*)m")
# What progress.py and the log draw with.
STYLES = {"1": "font-weight:bold", "2": "opacity:.65", "31": "color:#ff7b72", "32": "color:#7ee787",
          "33": "color:#f2cc60", "36": "color:#76e3ea"}  # fmt: skip


def copy_clone(folder: Path) -> None:
    """Copy what `make run` needs into a folder, with a .venv that has the packages of the running Python."""
    copy_service(folder)
    for name in ("Makefile", *LISTS):
        copy(ROOT / name, folder)
    venv.create(folder / ".venv", symlinks=True)
    [packages] = (folder / ".venv" / "lib").glob("python3.*/site-packages")
    (packages / "packages.pth").write_text(next(path for path in sys.path if path.endswith("site-packages")))
    (folder / ".venv" / ".packages").write_text("\n".join(hash_lists(LISTS)))


# Makes standard input the terminal of the new session, so that its keys are signals. The tests may run in a shell's
# background or under nohup, where these are ignored.
TAKE_TERMINAL = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "[signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGHUP)];"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


def clear_environment(settings: dict[str, str]) -> dict[str, str]:
    """Return the environment of a new user with these settings, also if the tests are run by make."""
    cleared = {"PYTHON", "FLASK_SKIP_DOTENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", *SETTINGS}
    return {name: value for name, value in os.environ.items() if name not in cleared} | settings


class Terminal:
    """A terminal window with a command in it."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.output = ""
        self._window, inside = pty.openpty()
        fcntl.ioctl(self._window, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, *command], cwd=folder, env=dict(environment),
            stdin=inside, stdout=inside, stderr=inside, start_new_session=True,
        )  # fmt: skip
        os.close(inside)

    def read(self, seconds: float = 0.1) -> bool:
        """Read what the command has written; return whether there may be more."""
        if not select.select([self._window], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._window, 65536)
        except OSError:  # The command has ended.
            return False
        self.output += data.decode(errors="replace")
        return bool(data)

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Read until the command has written a text."""
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert self.read(), self.output
            assert time.monotonic() < deadline, self.output

    def press(self, keys: str) -> None:
        os.write(self._window, keys.encode())

    def close(self) -> None:
        """Close the window: the kernel sends SIGHUP to the command."""
        os.close(self._window)

    def wait(self, seconds: float = 30) -> int:
        """Read to the end of the command; return its exit code, or the number of a signal as a negative number."""
        deadline = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError):  # The window was closed.
                self.read()
        with suppress(OSError):
            while self.read(0) and select.select([self._window], [], [], 0)[0]:
                pass
        return self._process.wait(1)

    @property
    def screen(self) -> list[str]:
        """The lines as they are seen, with their colours: a line that is redrawn counts once."""
        return [line.split("\x1b[2K")[-1].strip("\r") for line in self.output.replace("\r\n", "\n").split("\n")]

    @property
    def text(self) -> str:
        """The lines without colours."""
        return SGR.sub("", "\n".join(self.screen))


@contextmanager
def terminal(folder: Path, *command: str, **settings: str) -> Iterator[Terminal]:
    """Run a command in a terminal, and kill it at the end if it still runs."""
    window = Terminal(command, folder, clear_environment(settings | {"TERM": "xterm-256color"}))
    try:
        yield window
    finally:
        for process in find_processes(folder):
            process.send_signal(signal.SIGKILL)
        window.wait()


def find_processes(folder: Path) -> list[psutil.Process]:
    """Return the processes that run in a folder or work on its files."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            works_there = f"{folder}/" in f"{process.cwd()}/ {' '.join(process.cmdline())}"
            if works_there and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def draw(lines: Sequence[str]) -> str:
    """Return a page that shows the lines as a terminal does."""
    rows = "\n".join(draw_line(line) for line in lines)
    return (
        "<!doctype html><meta charset=utf-8><style>body{margin:0;background:#0d1117}"
        "pre{display:inline-block;margin:0;padding:16px 20px;color:#e6edf3;"
        f"font:14px/1.15 'Liberation Mono',monospace;width:{COLUMNS}ch;"
        f"white-space:pre-wrap;overflow-wrap:anywhere;line-break:anywhere}}</style><pre>{rows}</pre>"
    )


def draw_line(line: str) -> str:
    """Return a line as HTML."""
    parts = SGR.split(line)
    drawn, style = [escape(parts[0])], ""
    for code, text in zip(parts[1::2], parts[2::2], strict=True):
        style = STYLES.get(code, "")
        drawn.append(f'<span style="{style}">{escape(text)}</span>')
    return "".join(drawn)
