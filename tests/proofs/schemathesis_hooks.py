"""Tell Schemathesis which refusals of valid data are no failures, because no schema can express them."""

import re
from typing import Any

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

# Refusals that the schema allows, and the reason why it must.
UNFORESEEABLE = {
    r"cursor: not valid here; .*": "only a Link header has one, and only for the same list",
    r"The task has changed since .*": "a version is the task's today, and not tomorrow",
    r"Idempotency-Key: It was used .*": "a key is new once",
    r"tags: Tag \d+ is a duplicate .*": "a schema cannot ignore case, nor white space around a tag",
    r"(title|tags): .* after trimming, not 0\.": "white space differs between Python and the patterns of JSON Schema",
    r"due_date: .*": "a date and a date-time are one string, without a format, which generators would read as one kind",
}


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Keep every failure except these. They remain failures for data that the schema forbids."""
    return not (isinstance(failure, RejectedPositiveData) and is_unforeseeable(response.json()["detail"]))


def is_unforeseeable(detail: str) -> bool:
    return any(re.fullmatch(pattern, detail) for pattern in UNFORESEEABLE)
