"""The file of the log, to which writing never waits."""

import errno
import fcntl
import io
import logging
import os
import select
import socket
import stat
import struct
import termios
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

Write = Callable[[bytes], int]

# What a pipe holds for a reader that is late. The default of Linux is 64 KiB.
PIPE_BYTES = 2**20
PAGE_BYTES = 4096


class Output(io.RawIOBase):
    """Writes to the file of a logging handler. A line that the file cannot take now is dropped and counted.

    Otherwise, the thread that writes would wait, with the lock of the handler, and soon all threads would: if nobody
    reads the pipe, if a terminal is paused, or if the journal is stopped. When the file can be written again, the first
    line is a note with the number of dropped lines. A line that was written in part is completed before anything else.

    ``on_drop`` is called for each dropped line. A process that ends before that leaves no note.
    """

    def __init__(self, make_note: Callable[[int], str]) -> None:
        super().__init__()
        self._make_note = make_note
        self._stream: Any = None
        self._opened = ExitStack()
        self._rest = b""
        self._dropped = 0
        self._write: Write
        self.handler: logging.StreamHandler[Any]
        self.on_drop: Callable[[], None] = lambda: None
        os.register_at_fork(after_in_child=self._start_anew)

    def _start_anew(self) -> None:
        """Leave it to the parent process to complete its line and its note."""
        self._rest, self._dropped = b"", 0

    def write(self, data: Any) -> int:
        """Write a line, or drop it. Return its length, as if it was written."""
        self._write_line(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Write the rest of a line, and the note of the dropped lines, as far as the file can take them now."""
        if self._rest or self._dropped:
            self._write_line(b"")

    def _write_line(self, line: bytes) -> None:
        lock: Any = self.handler.lock  # Also held while a log file is reopened.
        with lock:
            try:
                self._rest = self._send(self._rest)
                if self._rest:
                    raise BlockingIOError
                note = f"{self._make_note(self._dropped)}\n".encode() if self._dropped else b""
                self._rest = self._send(note + line)
                self._dropped = 0
            except (OSError, ValueError):
                if line:
                    self._dropped += 1
                    self.on_drop()

    def _send(self, data: bytes) -> bytes:
        """Write and return what the file did not take; raises OSError if it took nothing."""
        stream = self.handler.stream
        if stream is None:
            raise OSError("A log file could not be reopened")
        if self._stream is not stream:
            self._stream = None
            self._opened.close()
            self._write = choose_write(stream.fileno(), self._opened)
            self._stream = stream
        return data[self._write(data) :] if data else b""

    def writable(self) -> bool:
        """Return True, which makes it a file for io.TextIOWrapper."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the handler's file."""
        return int(self.handler.stream.fileno())

    def isatty(self) -> bool:
        """Return whether the handler's file is a terminal."""
        return bool(self.handler.stream.isatty())

    def close(self) -> None:
        """Close what was opened to write without waiting, and not the handler's file."""
        super().close()
        self._opened.close()


def choose_write(descriptor: int, opened: ExitStack) -> Write:
    """Return a function that writes to a file without waiting. It returns the number of bytes, or raises OSError.

    ``opened`` closes what this function opens.

    os.set_blocking() would not do. It changes the open file, which other processes share: the shell that started the
    service, or the other programs of a pipeline. They would get errors when they write or read.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):  # systemd's journal.
        connection = opened.enter_context(socket.socket(fileno=os.dup(descriptor)))
        return lambda data: connection.send(data, socket.MSG_DONTWAIT)
    if not stat.S_ISFIFO(mode) and not os.isatty(descriptor):
        return lambda data: os.write(descriptor, data)
    try:
        # Opened again, it is another open file for the same pipe or terminal.
        own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # The pipe belongs to another user, or the system has no /proc.
        return lambda data: write_now(descriptor, data)
    opened.callback(os.close, own)
    if not stat.S_ISFIFO(mode):
        return lambda data: os.write(own, data)
    with suppress(OSError):
        fcntl.fcntl(own, fcntl.F_SETPIPE_SZ, max(PIPE_BYTES, fcntl.fcntl(own, fcntl.F_GETPIPE_SZ)))
    return lambda data: write_to_pipe(own, data)


def write_to_pipe(descriptor: int, data: bytes) -> int:
    """Write to a pipe that does not block, and tear no line in which another process could write.

    The kernel writes up to PIPE_BUF bytes, a page, in one piece or not at all. A longer line needs room in the pipe,
    whose used pages are at least half full on average. An empty pipe takes any line.
    """
    if len(data) > select.PIPE_BUF:
        [queued] = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))
        room = fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ) - 2 * queued - 2 * PAGE_BYTES
        if queued and room < len(data):
            raise BlockingIOError
    return os.write(descriptor, data)


def write_now(descriptor: int, data: bytes) -> int:
    """Write to a pipe or a terminal that blocks, as much as it has room for."""
    try:
        return os.pwritev(descriptor, [data], -1, os.RWF_NOWAIT)
    except AttributeError:  # Not Linux.
        pass
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # A terminal, or a pipe before Linux 6.4.
            raise
    return write_if_ready(descriptor, data)


def write_if_ready(descriptor: int, data: bytes) -> int:
    """Write page by page, while there is room for one.

    It can still block, if another process takes the last page between the two calls.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    sent = 0
    while sent < len(data) and poll.poll(0):
        sent += os.write(descriptor, data[sent : sent + select.PIPE_BUF])
    if not sent:
        raise BlockingIOError
    return sent
