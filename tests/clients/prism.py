"""Prism as a mock of the document, and as a proxy that validates the responses of the service against it."""

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.clients.generators import DOCUMENT, FOLDER
from tests.clients.programs import start
from tests.support.commands import free_port
from tests.support.openapi import list_operations, resolve

JSON = {"Content-Type": "application/json"}
LONG = {"title": "x" * 201, "description": "x" * 1001, "tags": ["x" * 51]}
NEW_TASKS: list[Any] = [
    {"title": "Buy milk"},
    {"title": "  İstanbul 🥛 ", "description": "", "tags": ["a", "b"], "priority": "low"},
    {"title": "x" * 200, "description": "y" * 1000, "tags": [str(number) for number in range(20)]},
    {"title": "Buy milk", "description": None, "tags": None, "priority": None, "due_date": None},
    {"title": "Buy milk", "due_date": "2026-12-31", "completed": True},
    {"title": "Buy milk", "due_date": "2026-12-31T17:00:00+05:00", "priority": "HIGH", "id": 5},
    {},
    {"title": ""},
    {"title": " \t "},
    {"title": None},
    {"title": 5, "completed": "yes", "tags": "home", "priority": "urgent", "due_date": "tomorrow"},
    {"title": "Buy milk", "tags": ["home", "HOME"]},
    {"title": "Buy milk", "due_date": "2026-12-31T17:00:00"},
    LONG,
    [],
    "Buy milk",
    {"title": "x" * 70_000},
]
QUERIES = [
    "",
    "limit=2",
    "limit=1000&sort=title&order=desc",
    "status=completed",
    "completed=false",
    "priority=high&tag=a&tag=b",
    "due_before=2027-01-01&due_after=2026-01-01&sort=due_date",
    "search=milk",
    "sort=priority&limit=3",
    "limit=0",
    "limit=1001&sort=size",
    "status=open&priority=urgent",
    "due_before=soon",
    "cursor=altered",
    "colour=red",
]
CHANGES: list[tuple[Any, dict[str, str]]] = [
    ({"title": "Buy milk again"}, {"If-Match": "{etag}"}),
    ({"title": "Buy milk once more"}, {"If-Match": "{etag}"}),
    ({"description": None, "tags": [], "due_date": None}, {"If-Match": "*"}),
    ({"completed": True, "priority": "medium"}, {}),
    ({}, {}),
    ({"is_completed": True}, {}),
    ({"title": "", "tags": [1]}, {}),
    (LONG, {}),
    ([], {}),
    ({"title": "Buy milk"}, {"Content-Type": "text/plain"}),
]
# Method, path below /api/tasks, body, headers. {id} and {etag} are of the last task that was created.
REQUESTS: list[tuple[str, str, Any, dict[str, str]]] = [
    *[("POST", "", body, {}) for body in NEW_TASKS],
    ("POST", "", {"title": "Buy milk"}, {"Content-Type": "text/plain"}),
    ("POST", "", {"title": "Buy milk"}, {"Authorization": "Bearer nobody"}),
    *[("POST", "", {"title": title}, {"Idempotency-Key": "prism"}) for title in ("Call Ada", "Call Ada", "Call Bob")],
    *[("GET", f"?{query}", None, {}) for query in QUERIES],
    ("GET", "", None, {"Authorization": "Basic YWxpY2U6c2VjcmV0"}),
    ("GET", "/{id}", None, {}),
    ("GET", "/{id}", None, {"If-None-Match": "{etag}"}),
    ("GET", "/{id}", None, {"If-None-Match": "nonsense"}),
    ("GET", "/9999999", None, {}),
    *[("PUT", "/{id}", body, headers) for body, headers in CHANGES],
    *[("PATCH", "/{id}", body, headers) for body, headers in CHANGES],
    ("PATCH", "/{id}", {"title": "Buy merged milk"}, {"Content-Type": "application/merge-patch+json"}),
    ("PATCH", "/9999999", {"title": "Buy milk"}, {}),
    ("PATCH", "/{id}/complete", None, {}),
    ("PATCH", "/{id}/complete", {"completed": False}, {}),
    ("PATCH", "/{id}/complete", {"completed": "no"}, {}),
    ("PATCH", "/{id}/complete", {"completed": True}, {"If-Match": '"1.1"'}),
    ("PATCH", "/9999999/complete", None, {}),
    ("DELETE", "/{id}", None, {"If-Match": '"1.1"'}),
    ("DELETE", "/{id}", None, {"Authorization": "nobody"}),
    ("DELETE", "/{id}", None, {}),
    ("DELETE", "/{id}", None, {}),
]
# What the requests above must bring about; otherwise they prove nothing.
STATUSES = {200, 201, 204, 304, 400, 401, 404, 412, 413, 415, 422}


class Response(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def send(port: int, method: str, path: str, body: Any, headers: dict[str, str]) -> Response:
    """Send a request; the body is JSON, or None."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return Response(response.status, response.headers, content)


@contextmanager
def serving(command: str, *arguments: str) -> Iterator[int]:
    """Run Prism while the context lasts, and give its port."""
    port = free_port()
    process = start(["prism", command, DOCUMENT, *arguments, "--port", str(port)])
    assert process.stdout
    try:
        output = []
        for line in process.stdout:
            output.append(line)
            if "is listening" in line:
                break
        else:
            raise AssertionError("Prism does not start: " + "".join(output))
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=20)


def try_mock() -> Iterator[str]:
    """Ask the mock of each operation for a success, for generated data and for each documented status.

    Yields what is wrong.
    """
    document = json.loads((FOLDER / DOCUMENT).read_text())
    with serving("mock") as port:
        for method, path, operation in list_operations(document):
            body, headers = make_request(document, operation)
            filled = re.sub(r"\{\w+\}", "42", path)
            statuses = [int(status) for status in operation["responses"]]
            wanted = {"no preference": min(statuses), "dynamic=true": min(statuses)}
            wanted |= {f"code={status}": status for status in statuses}
            for preference, status in wanted.items():
                response = send(port, method, filled, body, {**headers, "Prefer": preference})
                if response.status != status:
                    yield f"{method} {path} with {preference}: {response.status} {response.body.decode()[:300]}"


def make_request(document: Any, operation: Any) -> tuple[Any, dict[str, str]]:
    """Return the first example of a body, or None, and the headers."""
    headers = {"Authorization": "Bearer any"} if operation.get("security", document.get("security")) else {}
    if "requestBody" not in operation:
        return None, headers
    content = resolve(document, operation["requestBody"])["content"]["application/json"]
    examples = [example["value"] for example in content.get("examples", {}).values()]
    return content.get("example", examples[0] if examples else {}), headers | JSON


def try_proxy(service: str, token: str) -> Iterator[str]:
    """Send varied requests through the proxy. Yields the violations in responses, and statuses that never came."""
    statuses = set()
    task = {"id": "0", "etag": '"0.0"'}
    with serving("proxy", service) as port:
        for method, path, body, headers in REQUESTS:
            filled = path.replace("{id}", task["id"])
            sent = {name: value.replace("{etag}", task["etag"]) for name, value in headers.items()}
            defaults = {"Authorization": f"Bearer {token}"} | ({} if body is None else JSON)
            response = send(port, method, f"/api/tasks{filled}", body, defaults | sent)
            statuses.add(response.status)
            if response.status == 201:
                created = json.loads(response.body)
                task = {"id": str(created["id"]), "etag": created["etag"]}
            for violation in json.loads(response.headers.get("sl-violations", "[]")):
                if violation["location"][0] == "response":
                    yield f"{method} /api/tasks{filled} {response.status}: {violation}"
    if statuses != STATUSES:
        yield f"The statuses {sorted(statuses ^ STATUSES)} came unexpectedly, or not at all"
