"""Statements are prepared on direct connections, and survive what makes a plan useless."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.support.callers import Caller, read_task, read_tasks
from tests.support.databases import CITUS, Database, closing_pool
from todo import create_app
from todo.tasks import queries

pytestmark = pytest.mark.skipif(CITUS == "on", reason="Nothing is prepared for Citus.")


@pytest.fixture
def service(own_database: Database) -> Iterator[tuple[Flask, Caller]]:
    settings = own_database.settings("owner")
    with closing_pool(create_app(settings)) as app:
        yield app, Caller(app.test_client(), settings)


def test_a_column_may_get_another_type(own_database: Database, service: tuple[Flask, Caller]) -> None:
    app, alice = service
    task = alice.add()
    for _ in range(3):
        assert read_tasks(alice.get("/api/tasks")) == [task]
    is_text = app.extensions["isolation"].messages.is_text  # as behind a pooler
    own_database.run("ALTER TABLE todo.tasks ALTER priority TYPE varchar(10)")
    assert read_tasks(alice.get("/api/tasks")) == [task]
    assert app.extensions["isolation"].messages.is_text is is_text


def test_an_error_before_sending_spoils_nothing(service: tuple[Flask, Caller]) -> None:
    """psycopg2 refuses a NUL itself. No request gets that far with one."""
    app, alice = service
    task = alice.add()
    is_text = app.extensions["isolation"].messages.is_text
    with app.app_context(), pytest.raises(ValueError, match="NUL"):
        queries.GET.fetch("\0", task["id"])
    assert read_task(alice.get(f"/api/tasks/{task['id']}")) == task
    assert app.extensions["isolation"].messages.is_text is is_text
