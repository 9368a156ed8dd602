"""What the OpenAPI document says in so many words, but for errors (see refusals.py)."""

from typing import Any, NamedTuple

INFO = {
    "description": (
        "Tasks of many users, each of whom sees their own only.\n\n"
        "Every error is `application/problem+json` (RFC 9457). A method that a path does not have is 405, with `Allow`."
        " A slash at the end of a path makes no difference. Members of a body that are unknown, or the server's to set,"
        " are ignored: a task may be sent back as it came. A parameter of a query that is unknown is refused."
    ),
    "license": {"name": "MIT", "identifier": "MIT"},
}
# Relative to /api/openapi.json, wherever a proxy has put that.
SERVERS = [{"url": "..", "description": "Where this document is from."}]
TAGS = [
    {"name": "tasks", "description": "Your tasks."},
    {"name": "tasks_of_user", "description": "The same operations, with your user id in the path."},
]
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The token that Better Auth issues to a user who is signed in.",
}


class Described(NamedTuple):
    """A parameter or a header."""

    description: str
    schema: dict[str, Any]
    example: Any
    required: bool = False


PATH_PARAMETERS = {
    "task_id": Described(
        "The task's id. What is not the id of a task of yours is 404.",
        {"type": "integer", "format": "int64", "minimum": 1},
        42,
        required=True,
    ),
    "user_id": Described(
        "Your user id, as your token has it. Another one is 404.",
        {"type": "string", "minLength": 1, "maxLength": 255},
        "alice",
        required=True,
    ),
}
REQUEST_HEADERS = {
    "Idempotency-Key": Described(
        "Creates one task however often it is sent, for at least 24 hours: printable ASCII.",
        {"type": "string", "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        "5f0c6b3e",
    ),
    "If-Match": Described(
        "Changes the task only if it is this version: its ETag, several, or *.", {"type": "string"}, '"3"'
    ),
    "If-None-Match": Described(
        "Answers 304, without a body, if the task is still this version.", {"type": "string"}, '"3"'
    ),
}
ANSWER_HEADERS = {
    "ETag": Described("The task's version.", {"type": "string", "pattern": '^"[1-9][0-9]*"$'}, '"3"', required=True),
    "Idempotent-Replayed": Described(
        "true if the task was created by an earlier request with the same Idempotency-Key.",
        {"type": "string", "enum": ["true"]},
        "true",
    ),
    "Link": Described(
        "The next page, if there is one (RFC 8288).",
        {"type": "string", "pattern": '^<[^<>]+>; rel="next"$'},
        '<https://api.example.com/api/tasks?cursor=…>; rel="next"',
    ),
    "Location": Described(
        "Where the task is.", {"type": "string", "format": "uri-reference"}, "/api/tasks/42", required=True
    ),
    "Retry-After": Described("In how many seconds to try again.", {"type": "integer", "minimum": 1}, 5, required=True),
    "WWW-Authenticate": Described(
        "What is wrong with the token (RFC 6750).",
        {"type": "string", "pattern": "^Bearer "},
        'Bearer error="invalid_token"',
        required=True,
    ),
    "X-Request-ID": Described(
        "The request's id, which the log has too; yours, if you send a plain one.",
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
        "5f0c6b3e",
        required=True,
    ),
}
