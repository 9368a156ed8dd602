"""A proxy that counts what is sent to PostgreSQL, on the wire: the only place where a round trip shows."""

import socket
import struct
import threading
from contextlib import suppress
from typing import Self

from sqlalchemy import URL

from config import Settings
from tests.servers import Database, sqlalchemy_url


class Wire:
    """Listens on a local port, forwards to the server, and keeps every message the client sends."""

    def __init__(self, server_url: URL) -> None:
        self._server_url = server_url
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.messages: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def settings(self, database: Database, login: str = "owner") -> Settings:
        """The service's settings to reach a database of the server this way."""
        plain = {"sslmode": "disable", "gssencmode": "disable"}
        url = database.url(login, host="127.0.0.1", port=self.port, query=plain)
        return database.settings(login, database_url=sqlalchemy_url(url))

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
                threading.Thread(target=self._forward, args=(server, client), daemon=True).start()
                threading.Thread(target=self._forward_and_count, args=(client, server), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError), source, target:
            while data := source.recv(65536):
                target.sendall(data)

    def _forward_and_count(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError, struct.error), client, server, client.makefile("rb") as stream:
            length = stream.read(4)  # The first message, the startup packet, has no type.
            server.sendall(length + stream.read(struct.unpack("!I", length)[0] - 4))
            while kind := stream.read(1):
                length = stream.read(4)
                body = stream.read(struct.unpack("!I", length)[0] - 4)
                self.messages.append((kind.decode(), body.rstrip(b"\0").decode(errors="replace")))
                server.sendall(kind + length + body)
