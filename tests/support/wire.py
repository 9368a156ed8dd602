"""A proxy that counts messages to PostgreSQL. Only the wire shows every round trip."""

import socket
import struct
import threading
from contextlib import suppress
from typing import Self

from sqlalchemy import URL

from config import Settings
from tests.support.databases import Database


class Wire:
    """Listen on a local port, forward to the server, and record every message of the client."""

    def __init__(self, server_url: URL, listener: socket.socket | None = None) -> None:
        self._server_url = server_url
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self.port: int = 0 if self._listener.family == socket.AF_UNIX else self._listener.getsockname()[1]
        self.messages: list[tuple[str, str]] = []
        self.connections = 0
        self._silent = 0
        self._drops_queries = False
        self._lost_answers = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def silence(self) -> None:
        """Stop forwarding on the existing connections without closing them, like a firewall that lost its state."""
        self._silent = self.connections

    def move(self, server_url: URL) -> None:
        """Forward new connections to another server, like a host name that is moved. Existing connections stay."""
        self._server_url = server_url

    def drop_queries(self, *, drop: bool = True) -> None:
        """Stop forwarding queries; new connections are still accepted and authenticated."""
        self._drops_queries = drop

    def lose_answers(self, number: int) -> None:
        """Close the connection instead of forwarding the next answers of the server, which has executed the queries."""
        self._lost_answers = number

    def settings(self, database: Database, login: str = "owner") -> Settings:
        """Return the settings that reach a database through this proxy."""
        plain = {"sslmode": "disable", "gssencmode": "disable"}
        url = database.url(login, host="127.0.0.1", port=self.port, query=plain)
        return database.settings(login, database_url=url)

    def _connect(self) -> socket.socket:
        host = self._server_url.query.get("host") or self._server_url.host or "localhost"
        port = self._server_url.port or 5432
        if str(host).startswith("/"):
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(f"{host}/.s.PGSQL.{port}")
            return upstream
        return socket.create_connection((str(host), port))

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._connect()
                number = self.connections
                self.connections += 1
                threading.Thread(target=self._forward, args=(number, server, client), daemon=True).start()
                threading.Thread(target=self._forward_and_count, args=(number, client, server), daemon=True).start()

    def _forward(self, number: int, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError), source, target:
            while data := source.recv(65536):
                if self._lost_answers > 0:
                    self._lost_answers -= 1
                    target.shutdown(socket.SHUT_RDWR)
                    return
                if number >= self._silent:
                    target.sendall(data)

    def _forward_and_count(self, number: int, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError, struct.error), client, server, client.makefile("rb") as stream:
            length = stream.read(4)  # The first message, the startup packet, has no type.
            server.sendall(length + stream.read(struct.unpack("!I", length)[0] - 4))
            while kind := stream.read(1):
                length = stream.read(4)
                body = stream.read(struct.unpack("!I", length)[0] - 4)
                self.messages.append((kind.decode(), body.rstrip(b"\0").decode(errors="replace")))
                if number >= self._silent and not (self._drops_queries and kind == b"Q"):
                    server.sendall(kind + length + body)
