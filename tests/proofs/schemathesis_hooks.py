"""Refusals that no schema can foretell: Schemathesis is told that they are no failures (test_schemathesis.py)."""

import re
from typing import Any

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

# What is refused though the schema allows it, and why the schema has to.
UNFORESEEABLE = {
    r"cursor: not valid here; .*": "only a Link header has one, and only for the same list",
    r"The task has changed since .*": "a version is the task's today, and not tomorrow",
    r"Idempotency-Key: It was used .*": "a key is new once",
    r"tags: Tag \d+ is a duplicate .*": "uniqueItems cannot ignore case, nor white space around a tag",
}


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Keep every failure but these; said of data that the schema does not allow, they are failures too."""
    return not (isinstance(failure, RejectedPositiveData) and is_unforeseeable(response.json()["detail"]))


def is_unforeseeable(detail: str) -> bool:
    return any(re.fullmatch(pattern, detail) for pattern in UNFORESEEABLE)
