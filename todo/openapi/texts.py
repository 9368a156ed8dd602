"""The texts of the OpenAPI document, without those of errors (errors.py)."""

from typing import Any, NamedTuple

INFO = {
    "description": (
        "The tasks of many users. Each user sees only their own tasks.\n\n"
        "Every error is `application/problem+json` (RFC 9457). A wrong method fails with 405 and `Allow`. A slash at"
        " the end of a path is ignored. Unknown and read-only fields of a body are ignored, so you can send back a task"
        " that you fetched. Unknown query parameters are refused."
    ),
    "license": {"name": "MIT", "identifier": "MIT"},
}
# Relative to /api/openapi.json, which a proxy may serve below a prefix.
SERVERS = [{"url": "..", "description": "The server of this document."}]
TAGS = [
    {"name": "tasks", "description": "Your tasks."},
    {"name": "tasks_of_user", "description": "The same operations with your user ID in the path."},
]
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The JWT that Better Auth issues to a signed-in user.",
}


class Described(NamedTuple):
    """A parameter or a header."""

    description: str
    schema: dict[str, Any]
    example: Any
    required: bool = False


PATH_PARAMETERS = {
    "task_id": Described(
        "The ID of the task. Any other value is 404.",
        {"type": "integer", "format": "int64", "minimum": 1},
        42,
        required=True,
    ),
    "user_id": Described(
        "Your user ID, as in your token. Any other value is 404.",
        {"type": "string", "minLength": 1, "maxLength": 255},
        "alice",
        required=True,
    ),
}
REQUEST_HEADERS = {
    "Idempotency-Key": Described(
        "Repeated requests with the same key create one task, for at least 24 hours. Printable ASCII.",
        {"type": "string", "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        "5f0c6b3e",
    ),
    "If-Match": Described(
        "Changes the task only if it has this ETag. A list of ETags, or * for any, is accepted too.",
        {"type": "string"},
        '"3"',
    ),
    "If-None-Match": Described(
        "Responds 304 without a body if the task still has this ETag.", {"type": "string"}, '"3"'
    ),
}
RESPONSE_HEADERS = {
    "ETag": Described(
        "The version of the task.", {"type": "string", "pattern": '^"[1-9][0-9]*"$'}, '"3"', required=True
    ),
    "Idempotent-Replayed": Described(
        "true if an earlier request with the same Idempotency-Key created the task.",
        {"type": "string", "enum": ["true"]},
        "true",
    ),
    "Link": Described(
        "The next page, if there is one (RFC 8288).",
        {"type": "string", "pattern": '^<[^<>]+>; rel="next"$'},
        '<https://api.example.com/api/tasks?cursor=…>; rel="next"',
    ),
    "Location": Described(
        "The URL of the task.", {"type": "string", "format": "uri-reference"}, "/api/tasks/42", required=True
    ),
    "Retry-After": Described(
        "The number of seconds to wait before the next attempt.", {"type": "integer", "minimum": 1}, 5, required=True
    ),
    "WWW-Authenticate": Described(
        "The error of the token (RFC 6750).",
        {"type": "string", "pattern": "^Bearer "},
        'Bearer error="invalid_token"',
        required=True,
    ),
    "X-Request-ID": Described(
        "The ID of the request in the log. You can send your own.",
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
        "5f0c6b3e",
        required=True,
    ),
}
