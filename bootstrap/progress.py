"""Shows the progress of a step: on a terminal in one line that is redrawn, in a log by a line every few seconds.

What the user sees of the end of a process is here too: a line, and no error of make.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from shutil import get_terminal_size
from threading import Event, Thread
from types import TracebackType
from typing import IO, Self

DRAW_SECONDS = 0.1
# No log is silent for longer than 5 s.
LOG_SECONDS = 4
BAR_WIDTH = 10
# How many things are done, of how many, and the name of the current one.
State = tuple[int, int, str]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def is_terminal(stream: IO[str]) -> bool:
    """Return whether lines can be redrawn."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def is_coloured(stream: IO[str]) -> bool:
    """Return whether text may have colours (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def can_show(text: str) -> bool:
    """Return whether standard output has these characters in its encoding."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def stop_in_order(code: int) -> None:
    """End the process with this exit code on Ctrl-C and SIGTERM, and when the terminal is closed, unless nohup is used.

    make then prints no error if the code is 0.
    """
    for signum in SIGNALS:
        if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, lambda *_: sys.exit(code))


def ignore_signals() -> None:
    """Ignore a second Ctrl-C while the process stops."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


def say_stopped(text: str) -> None:
    """Write the last line of a process that was stopped."""
    wait_for_make()
    # After the ^C that the terminal shows.
    say(f"\n{text}" if is_terminal(sys.stdout) else text)


def wait_for_make() -> None:
    """Wait until make, our parent, has seen Ctrl-C too. Otherwise GNU make 4.3 may print "wait: No child processes"."""
    deadline = time.monotonic() + 5
    with suppress(OSError):
        while time.monotonic() < deadline:
            status = Path(f"/proc/{os.getppid()}/status").read_text()
            pending = re.search(r"^ShdPnd:\s*([0-9a-f]+)", status, re.MULTILINE)
            if not pending or not int(pending[1], 16) >> (signal.SIGINT - 1) & 1:
                return
            time.sleep(0.01)


def say(text: str) -> None:
    """Write a line to standard output."""
    write(f"{text}\n")


def write(text: str) -> None:
    """Write to standard output, which may be a terminal that was closed."""
    with suppress(OSError):
        os.write(1, text.encode(sys.stdout.encoding or "ascii", "replace"))


class Step:
    """A step of which the user sees that it goes on. ``doing`` and ``done`` are its names during and after it."""

    def __init__(self, doing: str, done: str) -> None:
        self.doing, self.done = doing, done
        self._find_state: Callable[[], State] = lambda: (0, 0, "")
        self._started = time.monotonic()
        self._ended = Event()
        self._thread = Thread(target=self._show, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        seconds = time.monotonic() - self._started
        took = f" ({seconds:.0f} s)" if seconds >= 1 else ""
        start = "\r\x1b[2K" if is_terminal(sys.stdout) else ""
        if error is None:
            tick = "✓ " if start and can_show("✓") else ""
            write(f"{start}{tick}{self.done}{took}\n")
        else:
            write(start)

    def show(self, *state: *State) -> None:
        """Show a state besides the name of the step."""
        self._find_state = lambda: state

    def follow(self, find_state: Callable[[], State]) -> None:
        """Show the state that a function returns, which is called each time."""
        self._find_state = find_state

    def _show(self) -> None:
        terminal = is_terminal(sys.stdout)
        if not terminal:
            say(f"{self.doing} …" if can_show("…") else f"{self.doing} ...")
        while not self._ended.wait(DRAW_SECONDS if terminal else LOG_SECONDS):
            if terminal:
                width = get_terminal_size().columns - len(self.doing) - 4
                write(f"\r\x1b[2K  {self.doing} {self._format(width)}")
            else:
                say(f"  {self._format(200)}")

    def _format(self, width: int) -> str:
        """Return the state in at most this many characters."""
        number, total, name = self._find_state()
        seconds = f"{time.monotonic() - self._started:.0f} s"
        if not total:
            return f"{name} {seconds}".strip()[: max(0, width)]
        full, empty = "█░" if can_show("█░") else "#."
        filled = BAR_WIDTH * number // total
        drawn = f"{full * filled}{empty * (BAR_WIDTH - filled)} " if is_terminal(sys.stdout) else ""
        return f"{drawn}{number} of {total}, {seconds}, {name}"[: max(0, width)]


def read_lines(command: Sequence[str], environment: dict[str, str] | None = None) -> Iterator[str]:
    """Run a command and yield the lines of its output; raises CalledProcessError, which has all of them."""
    lines = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
        errors="replace", env=environment,
    ) as process:  # fmt: skip
        try:
            for line in process.stdout or ():
                lines.append(line.rstrip("\n"))
                yield lines[-1]
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, "\n".join(lines))
