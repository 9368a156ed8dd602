"""Connections of clients, with a deadline for each response and a limit on the headers of each request."""

import errno
import select
import socket
import struct
from typing import Any

from gunicorn.http import Request  # type: ignore[import-untyped]
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]

# A client has this long to take a response. After that, its connection is closed.
SEND_SECONDS = 10
# The limits for the first line of a request, and for all its headers. The application refuses long lines in a response
# that a page can read; a page cannot read the refusals of gunicorn. Without the second limit, gunicorn would buffer up
# to 100 headers of the maximum size.
MAX_LINE_BYTES, MAX_HEAD_BYTES = 64 * 1024, 128 * 1024
# gunicorn reads the rest of a smaller body before the next request. With a larger one, it closes the connection.
MAX_UNREAD_BYTES = 64 * 1024
# How many bytes of a refused request are read, and how long to wait for the next of them.
MAX_REFUSED_BYTES, READ_MILLISECONDS = 1024 * 1024, 100


class Client(socket.socket):
    """A client's connection. ``waited`` is for how many seconds its request waited for a thread."""

    waited = 0.0

    @classmethod
    def adopt(cls, sock: socket.socket) -> "Client":
        """Return an accepted connection as a Client, which owns its file descriptor from now on."""
        return cls(sock.family, sock.type, sock.proto, fileno=sock.detach())

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all bytes before the deadline; raises ConnectionResetError.

        Usually the kernel takes them all at once. SO_SNDTIMEO would not do: each byte that a client takes renews it.
        """
        try:
            sent = self.send(data, flags | socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._send_slowly(memoryview(data)[sent:], flags)

    def _send_slowly(self, rest: memoryview, flags: int) -> None:
        """Send the rest as the client takes it. The timeout is for all of it (the documentation of ``sendall``)."""
        self.settimeout(SEND_SECONDS)
        try:
            super().sendall(rest, flags)
        except TimeoutError:
            # Closing it then waits for nothing, and frees what the kernel has still to send.
            self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError(errno.ECONNRESET, "The client did not take the response in time") from None
        finally:
            self.settimeout(None)


class BoundedRequest(Request):  # type: ignore[misc]
    """gunicorn's request, which is refused if it exceeds MAX_LINE_BYTES or MAX_HEAD_BYTES.

    The error of a refused request has its first line and headers as ``head``, as far as they were read: the response
    depends on the Origin, which can come last.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._head = bytearray()
        try:
            super().__init__(*args, **kwargs)
        except ParseException as error:
            while len(self._head) < MAX_REFUSED_BYTES and b"\r\n\r\n" not in self._head:
                if not is_readable(self.unreader.sock, READ_MILLISECONDS) or not (more := self.unreader.read()):
                    break
                self._head += more
            error.head = bytes(self._head)
            raise

    def parse(self, unreader: Any) -> bytes:
        """Read and parse the headers; return the bytes after them."""
        self.limit_request_line = self._fast_limit_request_line = MAX_LINE_BYTES
        self.max_buffer_headers = MAX_HEAD_BYTES
        rest: bytes = super().parse(unreader)
        return rest

    def should_close(self) -> bool:
        """Return whether the connection ends with the response, as the response then says (RFC 9112 section 9.6)."""
        unread: int = getattr(self.body.reader, "length", 0)
        return unread >= MAX_UNREAD_BYTES or bool(super().should_close())

    def read_into(self, unreader: Any, buf: bytearray, stop: bool = False) -> None:
        """Read the next bytes into the buffer, and keep the buffer for a refusal."""
        self._head = buf
        super().read_into(unreader, buf, stop)


def is_readable(connection: Any, milliseconds: int) -> bool:
    """Return whether there is something to read or to accept within that time."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(milliseconds))
