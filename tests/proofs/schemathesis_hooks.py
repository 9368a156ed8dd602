"""Tell Schemathesis which responses are no failures, because the document cannot or need not express them."""

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import schemathesis
from schemathesis import Case, GenerationMode, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.openapi.checks import (
    AllowHeaderMismatch,
    RejectedPositiveData,
    UnsupportedMethodResponse,
    UseAfterFree,
)

# Refusals that the schema allows, and the reason why it must.
UNFORESEEABLE = {
    r"cursor: not valid here; .*": "only a Link header has one, and only for the same list",
    r"The task has changed since .*": "a version is the task's today, and not tomorrow",
    r"Idempotency-Key: It was used .*": "a key is new once",
    r"tags: Tag \d+ is a duplicate .*": "a schema cannot ignore case, nor white space around a tag",
    r"(title|tags|tag): .*(after trimming, not 0|that can be seen)\.": "a short pattern excludes only most white space",
    r"(due_date|(due|remind)_(before|after)|time_zone): .*": "a date and a date-time are one string without a format",
    r"recurrence\..*: .*": "a rule is one string, and the document does not forbid unknown members",
    r".*: Cannot be set here; .*": "unknown fields are ignored, except if a change has no others",
    r"operations\.\d+\..*: (Required|Unknown) for .*": "one object describes all kinds of operations, without unions",
    r"operations\.\d+\..*: Names the task of an earlier .*": "a schema cannot compare operations",
}

# In any case.
LENIENT = {"", "none", "low", "medium", "high", "create", "update", "complete", "delete", "due", "completion"}

# None leaves a random rule.
RULES = ["FREQ=DAILY", "rrule:freq=weekly;byday=fr,mo", "FREQ=MONTHLY;BYDAY=-1SU;UNTIL=20301231", None]

number, rules = count(), count()
# The IDs of tasks that were deleted, and restored since.
restored: set[str] = set()


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Let each fourth request to the trash name a deleted task of the caller: a random ID is never that of one.

    Let every other valid batch only create tasks: random members rarely belong to one kind of operation. Give
    most valid tasks that recur a rule and a due date: random text is none.
    """
    body: Any = case.body
    headers = {"Authorization": str(dict(case.headers or {}).get("Authorization"))}
    if case.path.startswith("/api/trash/{task_id}") and next(number) % 4 == 0:
        tasks = f"{str(case.operation.base_url).rstrip('/')}/api/tasks"
        added = httpx.post(tasks, json={"title": "deleted"}, headers=headers, timeout=10)
        if added.status_code == 201 and isinstance(case.path_parameters.get("task_id"), int):
            case.path_parameters["task_id"] = added.json()["id"]
            httpx.delete(f"{tasks}/{added.json()['id']}", headers=headers, timeout=10)
    is_valid = case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE
    if is_valid:
        give_rules(body)
    if case.path == "/api/tasks/batch" and case.method == "POST" and is_valid and next(number) % 2 == 0:
        created: list[Any] = [{"op": "create", "task": each["task"]} for each in body["operations"] if "task" in each]
        case.body = {"operations": created} if created else body


def give_rules(body: Any) -> None:
    """Replace what tasks recur by, also inside the operations of a batch."""
    for each in body if isinstance(body, list) else [body] if isinstance(body, dict) else []:
        if isinstance(each, dict):
            if isinstance(each.get("recurrence"), dict) and (rule := RULES[next(rules) % len(RULES)]):
                each |= {"recurrence": {"rule": rule, "time_zone": "Europe/Berlin"}, "due_date": "2026-12-31"}
            for name in ("operations", "task", "changes"):
                give_rules(each.get(name))


@schemathesis.hook
def after_call(context: HookContext, case: Case[Any], response: Response) -> None:
    """Note restored tasks."""
    if case.path.endswith("/restore") and response.status_code == 200:
        restored.add(str(case.path_parameters["task_id"]))


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Keep every failure except these. They remain failures for data that the schema forbids."""
    if isinstance(failure, UnsupportedMethodResponse | AllowHeaderMismatch):
        return not case.path.endswith("/complete")  # The same operation by another name, which the document leaves out.
    if isinstance(failure, UseAfterFree):
        return str(case.path_parameters.get("task_id")) not in restored
    if isinstance(failure, AcceptedNegativeData):
        return not is_lenient(case)
    return not (isinstance(failure, RejectedPositiveData) and is_unforeseeable(response.json()["detail"]))


def is_lenient(case: Case[Any]) -> bool:
    """Return whether a request has a value that the service accepts, but the document does not show."""
    # HTML forms send an empty parameter, and some clients null or an empty text instead of no body.
    if any(value in ("", [""], {}) for value in (case.query or {}).values()) or case.body in ({}, None, ""):
        return True
    return any(value.lower() in LENIENT for value in list_choices(case.body))


def list_choices(body: Any) -> Iterator[str]:
    """Yield the values of fields with a choice of words, or that may be empty, also inside operations of a batch."""
    if isinstance(body, list):
        for each in body:
            yield from list_choices(each)
    elif isinstance(body, dict):
        yield from (body[name] for name in ("priority", "op", "remind_at", "from") if isinstance(body.get(name), str))
        for name in ("operations", "task", "changes", "recurrence"):
            yield from list_choices(body.get(name))


def is_unforeseeable(detail: str) -> bool:
    of_field = re.sub(r"^operations\.\d+\.(task|changes)\.", "", detail)
    return any(re.fullmatch(pattern, text, re.DOTALL) for pattern in UNFORESEEABLE for text in (detail, of_field))
