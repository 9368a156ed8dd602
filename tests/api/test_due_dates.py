"""`due_date`: a date stays the same day in every time zone, a date-time stays the same instant."""

from typing import Any

import pytest

from tests.support.callers import Caller, read_problem, read_task
from tests.support.databases import Database, closing_pool
from todo import create_app


@pytest.mark.parametrize("day", ["2026-12-31", "2024-02-29", "0001-01-01", "9999-12-31"])
def test_a_date_is_returned_as_that_date(alice: Caller, day: str) -> None:
    task = alice.add(due_date=day)
    assert task["due_date"] == day
    assert read_task(alice.get(f"/api/tasks/{task['id']}")) == task


@pytest.mark.parametrize(
    ("written", "answered"),
    [
        ("2026-12-31T17:00:00Z", "2026-12-31T17:00:00.000000Z"),
        ("2026-12-31t17:00:00z", "2026-12-31T17:00:00.000000Z"),
        ("2026-12-31T17:00:00+05:00", "2026-12-31T12:00:00.000000Z"),
        ("2026-12-31T23:30:00-01:00", "2027-01-01T00:30:00.000000Z"),
        ("2026-12-31T17:00:00-00:00", "2026-12-31T17:00:00.000000Z"),
        ("2026-12-31T17:00:00.5Z", "2026-12-31T17:00:00.500000Z"),
        ("2026-12-31T17:00:00.123456789Z", "2026-12-31T17:00:00.123456Z"),
        ("2026-12-31T23:59:59.999999Z", "2026-12-31T23:59:59.999999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_a_date_time_is_returned_in_utc(alice: Caller, written: str, answered: str) -> None:
    assert alice.add(due_date=written)["due_date"] == answered


@pytest.mark.parametrize(
    ("due_date", "message"),
    [
        (
            "2026-12-31T17:00:00",
            "Must have an offset from UTC: 2026-12-31T17:00:00Z for UTC, or one like",
        ),
        (
            "2026-12-31 17:00:00Z",
            "Must be a date like 2026-12-31, or a date-time like 2026-12-31T17:00:00+05:00, or null.",
        ),
        ("2026-12-31T17:00Z", "Must have seconds: 2026-12-31T17:00:00Z for UTC, or one like"),
        ("2026-12-31T17:00", "Must have seconds and an offset from UTC: 2026-12-31T17:00:00Z for UTC, or one like"),
        ("2026-12-31T17:00:00.5", "Must have an offset from UTC: 2026-12-31T17:00:00.5Z for UTC, or one like"),
        (" ", "Must be a date like"),
        ("2026-12-31T17:00:00+0500", "Must be a date like"),
        ("20261231", "Must be a date like"),
        ("2026-365", "Must be a date like"),
        ("2026-W53-4", "Must be a date like"),
        (" 2026-12-31", "Must be a date like"),
        ("2026-12-31\n", "Must be a date like"),
        ("２０２６-12-31", "Must be a date like"),
        ("tomorrow", "Must be a date like"),
        ("2026-02-29", "Is not a day of the calendar."),
        ("2026-13-01", "Is not a day of the calendar."),
        ("0000-01-01", "Is not a day of the calendar."),
        ("2026-02-29T00:00:00Z", "Is not a time that exists"),
        ("2026-12-31T24:00:00Z", "Is not a time that exists"),
        ("2026-12-31T23:59:60Z", "Is not a time that exists"),
        ("2026-12-31T17:00:00+24:00", "Is not a time that exists"),
        ("2026-12-31T17:00:00+05:60", "Must be a date like"),
        ("9999-12-31T23:00:00-05:00", "Is not a time that exists between the years 1 and 9999 in UTC."),
        ("0001-01-01T00:00:00+05:00", "Is not a time that exists between the years 1 and 9999 in UTC."),
        (1767225600, "Must be a string, a date or a date-time, or null, not a number."),
        ({}, "Must be a string, a date or a date-time, or null, not an object."),
    ],
)
def test_other_formats_are_refused(alice: Caller, due_date: Any, message: str) -> None:
    problem = read_problem(alice.post("/api/tasks", json={"title": "x", "due_date": due_date}), 422, "due_date")
    assert problem["errors"]["due_date"][0].startswith(message)
    assert alice.titles() == []


def test_an_empty_due_date_is_none(alice: Caller) -> None:
    task = alice.add(due_date="2026-12-31")
    assert read_task(alice.patch(f"/api/tasks/{task['id']}", json={"due_date": ""}))["due_date"] is None
    assert alice.add(due_date="")["due_date"] is None


def test_a_due_date_can_change_its_kind_and_be_cleared(alice: Caller) -> None:
    task = alice.add(due_date="2026-12-31")
    path = f"/api/tasks/{task['id']}"
    for due_date in ("2026-12-31T17:00:00.000000Z", "2026-12-30", None, "2026-12-29", "2026-12-29"):
        assert read_task(alice.patch(path, json={"due_date": due_date}))["due_date"] == due_date
    assert alice.get(path).headers["ETag"] == f'"{task["id"]}.5"'


def test_the_last_instant_of_a_day_differs_from_the_date(alice: Caller) -> None:
    path = f"/api/tasks/{alice.add(due_date='2026-12-31')['id']}"
    moment = "2026-12-31T23:59:59.999999Z"
    assert read_task(alice.patch(path, json={"due_date": moment}))["due_date"] == moment


def test_a_date_does_not_depend_on_the_database_time_zone(alice: Caller, database: Database) -> None:
    task = alice.add(due_date="2026-12-31")
    stored = "SELECT due_at AT TIME ZONE 'UTC' = '2026-12-31 23:59:59.999999' FROM todo.tasks WHERE id = %s"
    assert database.run(stored, (task["id"],)) == [(True,)]
    settings = database.settings()
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        database.run(f"ALTER ROLE {database.role('owner')} SET timezone TO '{zone}'")
        try:
            with closing_pool(create_app(settings)) as app:  # Open connections keep their time zone.
                caller = Caller(app.test_client(), settings)
                assert caller.add(due_date="2026-12-31")["due_date"] == "2026-12-31"
                assert caller.add(due_date="2026-12-31T17:00:00Z")["due_date"] == "2026-12-31T17:00:00.000000Z"
        finally:
            database.run(f"ALTER ROLE {database.role('owner')} RESET timezone")
