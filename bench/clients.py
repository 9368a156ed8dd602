"""Clients that send one kind of request to a service over several persistent connections.

They share the machine with the service, so they use little CPU: one event loop, and no HTTP parser.
"""

import asyncio
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from random import Random

import click
import uvloop

# Each operation and its status code. A load of deletions ends when each task is deleted; the others can go on.
STATUSES = {"list": 200, "get": 200, "create": 201, "update": 200, "delete": 204}
OPERATIONS = ("list", "get", "create", "update")
PAGE_SIZE = 50
NEW_TASK = {
    "title": "Write to the landlord about the tap",
    "description": "Before the weekend if possible. The number is on the fridge.",
    "priority": "high",
    "tags": ["home", "waiting"],
    "due_date": "2026-12-31T17:00:00Z",
}


class WrongResponse(click.ClickException):
    """A service sent an unexpected response."""


@dataclass(frozen=True)
class User:
    """A token, made before the measurement, and the ids of the user's tasks."""

    token: str
    task_ids: Sequence[int]


@dataclass(frozen=True)
class Load:
    """Which requests to send. The load ends after ``seconds`` or after that many ``requests``."""

    operation: str
    users: Sequence[User]
    seed: int
    connections: int = 8
    seconds: float = math.inf
    requests: int | None = None


@dataclass(frozen=True)
class Responses:
    """The latencies and the duration of a load, in seconds, and the body of the last response."""

    latencies: list[float]
    seconds: float
    last_body: bytes


def make_request(method: str, path: str, token: str, body: object = None) -> bytes:
    """Return the bytes of an HTTP request."""
    content = b"" if body is None else json.dumps(body).encode()
    media = "" if body is None else f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{media}\r\n"
    return head.encode() + content


def make_requests(load: Load) -> Iterator[bytes]:
    """Yield requests about the users' tasks in a random order: endless, except that each task is deleted only once.

    They depend only on the load, so every service gets the same.
    """
    tasks = [(user, f"/api/tasks/{task_id}") for user in load.users for task_id in user.task_ids]
    Random(load.seed).shuffle(tasks)  # noqa: S311 - not for security
    for number, (user, task) in enumerate(tasks if load.operation == "delete" else cycle(tasks)):
        if load.operation == "list":
            yield make_request("GET", f"/api/tasks?limit={PAGE_SIZE}", user.token)
        elif load.operation == "get":
            yield make_request("GET", task, user.token)
        elif load.operation == "create":
            yield make_request("POST", "/api/tasks", user.token, NEW_TASK)
        elif load.operation == "delete":
            yield make_request("DELETE", task, user.token)
        else:
            yield make_request("PATCH", task, user.token, {"title": f"Call the dentist, {load.seed} and {number}"})


def send_load(port: int, load: Load) -> Responses:
    """Send a load to a service and wait for all responses. Raises WrongResponse."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(send_requests(port, load))


async def send_requests(port: int, load: Load) -> Responses:
    """Send requests over all connections. Each connection sends its next request when it has a response."""
    requests = islice(make_requests(load), load.requests)
    status = STATUSES[load.operation]
    expected = b"HTTP/1.1 %d " % status
    latencies = []
    body = b""

    async def use_connection() -> None:
        nonlocal body
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in requests:
            sent = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
            body = await reader.readexactly(int(length or 0))
            if not head.startswith(expected) or (status != 204 and not length):
                raise WrongResponse(repr(head + body))
            latencies.append(time.perf_counter() - sent)
            if time.perf_counter() - started >= load.seconds:
                break
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(use_connection() for _ in range(load.connections)))
    return Responses(latencies, time.perf_counter() - started, body)
