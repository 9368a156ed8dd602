"""Clients that ask one service for one operation, over connections that stay open, in a process of their own.

They cost little, so that they take little from the service they share the machine with: sockets that do not block, no
parser but for the status and the length.
"""

import json
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import click

OPERATIONS = {"list": 200, "get": 200, "create": 201, "update": 200}
LISTED = 50
PIECE = 1 << 18

NEW = {
    "title": "Write to the landlord about the tap",
    "description": "Before the weekend if possible. The number is on the fridge.",
    "priority": "high",
    "tags": ["home", "waiting"],
    "due_date": "2026-12-31T17:00:00Z",
}


class WrongAnswer(click.ClickException):
    """A service answered something else than it must."""


@dataclass(frozen=True)
class Person:
    """A user: the token, made beforehand, and tasks there are."""

    token: str
    task_ids: Sequence[int]


@dataclass(frozen=True)
class Load:
    """What to ask for: which operation, as whom, over how many connections, for how long or how often."""

    operation: str
    people: Sequence[Person]
    seed: int
    connections: int = 8
    seconds: float = 3600.0
    requests: int = 1 << 62


@dataclass(frozen=True)
class Answers:
    """How long each answer took, in seconds, and all of them together."""

    latencies: list[float]
    seconds: float


def make_request(method: str, path: str, token: str, body: object = None) -> bytes:
    """Return a request's bytes."""
    content = b"" if body is None else json.dumps(body).encode()
    media = "" if body is None else f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{media}\r\n"
    return head.encode() + content


def make_requests(load: Load) -> Iterator[bytes]:
    """Make up requests without end: the same ones for every service."""
    random = Random(load.seed)  # noqa: S311 - the same requests every time
    make: dict[str, Callable[[Person, int], bytes]] = {
        "list": lambda person, _: make_request("GET", f"/api/tasks?limit={LISTED}", person.token),
        "get": lambda person, _: make_request("GET", f"/api/tasks/{random.choice(person.task_ids)}", person.token),
        "create": lambda person, _: make_request("POST", "/api/tasks", person.token, NEW),
        "update": lambda person, number: make_request(
            "PATCH",
            f"/api/tasks/{random.choice(person.task_ids)}",
            person.token,
            {"title": f"Call the dentist, {load.seed} and {number}"},
        ),
    }
    number = 0
    while True:
        yield make[load.operation](random.choice(load.people), number)
        number += 1


class Client:
    """One connection, with one request under way at a time."""

    def __init__(self, port: int, status: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._expected = b"HTTP/1.1 %d " % status
        self._answer = b""
        self._sent = 0.0
        self.body = b""

    def send(self, request: bytes) -> None:
        """Send a request: small enough to be taken at once."""
        self._answer = b""
        self._sent = time.perf_counter()
        if self.socket.send(request) != len(request):
            raise WrongAnswer("a request was not taken at once")

    def receive(self) -> float | None:
        """Take what has come; return how long the answer took once it is complete. Raises WrongAnswer."""
        data = self.socket.recv(PIECE)
        if not data:
            raise WrongAnswer("the connection was closed")
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end:
            return None
        length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        if not head.startswith(self._expected) or not length:
            raise WrongAnswer(repr(self._answer[:500]))
        self.body = body
        return time.perf_counter() - self._sent if len(body) >= int(length) else None


def ask(port: int, load: Load) -> Answers:
    """Ask until the time or the number is over, each connection as soon as it has its answer. Raises WrongAnswer."""
    requests = make_requests(load)
    latencies: list[float] = []
    left = load.requests
    started = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for _ in range(min(load.connections, left)):
            client = Client(port, OPERATIONS[load.operation])
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.send(next(requests))
            left -= 1
        while selector.get_map():
            for key, _ in selector.select():
                latency = key.data.receive()
                if latency is None:
                    continue
                latencies.append(latency)
                if left and time.perf_counter() - started < load.seconds:
                    key.data.send(next(requests))
                    left -= 1
                else:
                    selector.unregister(key.fileobj)
                    key.data.socket.close()
    return Answers(latencies, time.perf_counter() - started)


def ask_once(port: int, load: Load) -> Any:
    """Ask for one thing and return what the answer says. Raises WrongAnswer."""
    client = Client(port, OPERATIONS[load.operation])
    with client.socket:
        client.socket.setblocking(True)
        client.send(next(make_requests(load)))
        while client.receive() is None:
            pass
    return json.loads(client.body)
