"""A service that is used, attacked, broken and restarted while the tests record its log."""

import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.support.clusters import wait_until
from tests.support.commands import Answer, call, free_port
from tests.support.databases import SECRET, Database
from tests.support.logs import Log
from todo.auth.tokens import issue_token

PRIVATE = "zebrafinch"
PASSWORD = "throwaway-password-of-the-database"
USER = "user-whose-id-is-nobodys-business"
TRIGGER = f"CHECK (title NOT LIKE '%{PRIVATE} refused%')"


class Scenario:
    """A service with two workers. Its methods send normal and hostile requests, cause faults, and restart it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.port = database, free_port()
        self.log = Log((folder / "log").read_text)
        self.token = issue_token(database.settings(), USER, 600)
        database.run(f"ALTER ROLE {database.role('owner')} PASSWORD '{PASSWORD}'")
        self.settings = {
            "BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url().replace(":test@", f":{PASSWORD}@"),
            "STATEMENT_SECONDS": "2",
        }  # fmt: skip

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        given = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}
        return call(self.port, method, path, body, **given)

    def send(self, head: str) -> str:
        """Send the start of a request unchanged, and return the start of the response."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as client, suppress(ConnectionError):
            client.sendall(f"{head}\r\nHost: x\r\n\r\n".encode("latin-1"))
            return client.recv(2000).decode()
        return ""

    def use(self) -> None:
        self.ask("GET", f"/api/tasks?search={PRIVATE}", **{"X-Request-ID": "a-list"})
        task = self.ask("POST", "/api/tasks", f'{{"title": "{PRIVATE}"}}').body
        self.ask("GET", f"/api/{USER}/tasks/{task['id']}", **{"X-Request-ID": "a-task"})

    def attack(self) -> None:
        self.ask("GET", f"/api/tasks/{PRIVATE}%0A%1b[31m")
        self.ask("GET", f"/{PRIVATE}%0a{{}}", **{"X-Request-ID": "\x1b[31m" + PRIVATE})
        self.ask("POST", "/api/tasks", f"{PRIVATE} is no JSON")
        self.ask("GET", f"/api/tasks?access_token={self.token}&{PRIVATE}=1")
        for token in (self.token[:-2], "eyJ.eyJ.x", f"{PRIVATE} {self.token}", PRIVATE):
            assert self.ask("GET", "/api/tasks", Authorization=f"Bearer {token}").status == 401
        self.ask(f"{PRIVATE.upper()}", "/api/tasks")
        self.send(f"GET /{PRIVATE} HTTP/1.1\r\nAuthorization Bearer {self.token}")
        self.send(f"GET /{PRIVATE} {self.token}")
        self.send(f"GET /{PRIVATE * 10_000} HTTP/1.1")
        self.send(f"GET / HTTP/1.1\r\nAuthorization: Bearer {self.token * 1000}")
        self.send(f"POST / HTTP/1.1\r\nTransfer-Encoding: {PRIVATE}")

    def break_it(self) -> None:
        self.database.run(f"ALTER TABLE todo.tasks ADD CONSTRAINT nothing_private {TRIGGER}")
        self.ask("POST", "/api/tasks", f'{{"title": "{PRIVATE} refused"}}', **{"X-Request-ID": "a-row-refused"})
        self.database.run("UPDATE todo.tasks SET created_at = '20000-01-01'")
        self.ask("GET", "/api/tasks", **{"X-Request-ID": "a-time-without-end"})
        self.database.run("UPDATE todo.tasks SET created_at = now()")
        with self.database.transaction() as execute:
            execute("LOCK TABLE todo.tasks")
            self.ask("GET", "/api/tasks", **{"X-Request-ID": "too-slow"})
        self.database.run(f"ALTER ROLE {self.database.role('owner')} NOLOGIN")
        self.database.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (self.database.role("owner"),)
        )
        self.ask("GET", "/api/tasks", **{"X-Request-ID": "no-database"})
        self.database.run(f"ALTER ROLE {self.database.role('owner')} LOGIN")

    def restart(self, service: Any) -> None:
        master = psutil.Process(service.pid)
        for number, line in ((signal.SIGKILL, "sent SIGKILL"), (signal.SIGABRT, "exited with code 1")):
            worker = master.children()[0]
            worker.send_signal(number)
            wait_until(lambda line=line: line in self.log.text)  # type: ignore[misc]
            wait_until(lambda: len(master.children()) == 2)
        service.send_signal(signal.SIGHUP)
        wait_until(lambda: len(self.log.find(message="Hang up: Master")) == 1)
        wait_until(lambda: self.log.text.count("Worker exiting") >= 3)
