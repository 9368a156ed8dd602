"""The texts of the OpenAPI document, without those of errors (errors.py)."""

from typing import Any, NamedTuple

INFO = {
    "description": (
        "The tasks of many users. Each user sees only their own tasks.\n\n"
        "Every error is `application/problem+json` (RFC 9457), and its `code` names the cause. A wrong method fails"
        " with 405 and `Allow`. A slash at the end of a path is ignored. Unknown and read-only fields of a body are"
        " ignored, so you can send back a task that you fetched. Unknown query parameters are refused.\n\n"
        "All operations also have paths with your user ID: `/api/{user_id}/tasks` is `/api/tasks`, and so on. Another"
        " user's ID is 404. A body of PATCH may be declared as `application/merge-patch+json` (RFC 7396) too."
    ),
    "contact": {"name": "The operator of this service"},
    "license": {"name": "MIT", "identifier": "MIT"},
}
# In a copy of the document; the service replaces it by its own address.
SERVER = {"url": "http://localhost:8000", "description": "The service."}
TAGS = [
    {"name": "tasks", "description": "Your tasks, and what has changed among them."},
    {"name": "trash", "description": "Tasks that you deleted."},
]
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The JWT that Better Auth issues to a signed-in user.",
}


class Described(NamedTuple):
    """A parameter or a header. An example is in ASCII, because headers are."""

    description: str
    schema: dict[str, Any]
    example: Any = None
    required: bool = False


# The examples are in the schemas: some generators do not take them elsewhere.
PATH_PARAMETERS = {
    "task_id": Described(
        "The ID of the task, or its UID. Any other value is 404.",
        {"type": "integer", "format": "int64", "minimum": 1, "examples": [42]},
        required=True,
    ),
}
REQUEST_HEADERS = {
    "Idempotency-Key": Described(
        "Repeated requests with the same key have one effect, for at least 24 hours. Printable ASCII.",
        {"type": "string", "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        "5f0c6b3e",
    ),
    "If-Match": Described(
        "Changes the task only if it has this ETag. A list of ETags, or * for any, is accepted too.",
        {"type": "string"},
        '"42.3"',
    ),
    "If-None-Match": Described(
        "Responds 304 without a body if the response would have this ETag.", {"type": "string"}, '"42.3"'
    ),
}
RESPONSE_HEADERS = {
    "ETag": Described(
        "The version, for If-None-Match; that of a task is for If-Match too.",
        {"type": "string"},
        '"42.3"',
        required=True,
    ),
    "Idempotent-Replayed": Described(
        "true if an earlier request with the same Idempotency-Key has done this already.",
        {"type": "string", "enum": ["true"]},
        "true",
    ),
    "Link": Described(
        "The next page, if there is one (RFC 8288).",
        {"type": "string"},
        '<http://localhost:8000/api/tasks?limit=100&cursor=AeJ0aXRsZSI>; rel="next"',
    ),
    "Location": Described(
        "The URL of the task.",
        {"type": "string", "format": "uri-reference"},
        "https://api.example.com/api/tasks/42",
        required=True,
    ),
    "Retry-After": Described(
        "The number of seconds to wait before the next attempt.", {"type": "integer", "minimum": 1}, 5, required=True
    ),
    "WWW-Authenticate": Described(
        "The error of the token (RFC 6750).",
        {"type": "string"},
        'Bearer error="invalid_token"',
        required=True,
    ),
    "X-Request-ID": Described(
        "The ID of the request in the log. You can send your own.",
        {"type": "string", "maxLength": 64},
        "5f0c6b3e",
        required=True,
    ),
}
