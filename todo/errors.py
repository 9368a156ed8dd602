"""Why a valid request is refused. Queries raise these errors, and web/problems.py maps them to responses.

DomainError
├── NotFound         the resource does not exist, or belongs to another user
├── Changed          the resource has another version than the caller expects
├── Excluded         the resource has a version that the caller excludes
├── Trashed          the resource is in the trash
├── UidTaken         the UID of a new resource belongs to another one
├── InvalidCursor    the cursor does not belong to this list
├── CursorExpired    the changes since the cursor are not known any more
├── Full             the user has as many resources as one user may have
├── KeyUnusable      the resource that was created under this key has been deleted
└── FieldError       the value of a field is refused
    ├── KeyReused    the Idempotency-Key was used for another request
    └── TooSlow      a search takes too long
"""

from typing import Any, ClassVar


class DomainError(Exception):
    """A refusal; its text is a sentence for the client. ``code`` names the cause, if its status does not."""

    code: ClassVar[str] = ""
    sentence: ClassVar[str] = ""

    def __init__(self, sentence: str = "", **members: Any) -> None:
        """``members`` are further members of the problem (RFC 9457 section 3.2)."""
        super().__init__(sentence or self.sentence)
        self.members = members


class NotFound(DomainError):
    # One sentence for all cases, so that a response never shows whether an ID exists.
    sentence = "Not found: it does not exist, or it is not yours."


class Changed(DomainError):
    """RFC 9110 section 13.1.1. Nothing was written."""

    sentence = "The task has changed since you got it; get it again, and repeat the change on what it is now."


class Excluded(DomainError):
    """RFC 9110 section 13.1.2. Nothing was written."""

    sentence = "The task has a version that If-None-Match excludes, so nothing was changed."


class InvalidCursor(DomainError):
    code = "invalid_cursor"
    sentence = "cursor: not valid here; it was altered, or made with other filters or another order."


class CursorExpired(DomainError):
    code = "cursor_expired"
    sentence = "The changes since this cursor are not known any more. Drop your copy, and start without a cursor."


class Trashed(DomainError):
    code = "task_in_trash"
    sentence = "The task with this UID is in the trash. Restore it, or choose another UID."


class UidTaken(DomainError):
    code = "uid_taken"
    sentence = "You have a task with this UID already, perhaps in the trash; choose another UID."


class Full(DomainError):
    code = "task_limit_reached"
    sentence = "You have as many tasks as one user may have; delete some that you no longer need."


class KeyUnusable(DomainError):
    code = "idempotency_key_gone"
    sentence = "The task that was created with this Idempotency-Key has been deleted; choose a new key."


class FieldError(DomainError):
    """``field`` names a field of the body, a parameter of the query, or a header."""

    field: str = ""

    def __init__(self, field: str = "", sentence: str = "") -> None:
        super().__init__(sentence)
        self.field = field or self.field


class KeyReused(FieldError):
    code = "idempotency_key_reused"
    field = "Idempotency-Key"
    sentence = "It was used for another body; choose a new key."


class TooSlow(FieldError):
    code = "search_too_slow"
    field = "search"
    sentence = "Takes too long among your tasks; search for fewer words."
