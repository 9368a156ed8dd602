"""A user can never read, change or delete another user's data, or learn that an id exists.

Two walls keep users apart: the application's queries name the owner, and the database's row security binds
the role they run as. Everything here is proved with both, with each alone, and for every kind of login:
the database's owner, a superuser, and one that owns nothing.
"""

import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import psycopg2
import pytest
from flask import Flask
from sqlalchemy import delete, event, insert, select, text, update
from sqlalchemy.exc import ProgrammingError
from werkzeug.test import TestResponse

from tests.callers import Caller, operations_on_a_task, read_problem, read_task
from tests.servers import Database, Server, closing_pool
from todo import create_app, isolation
from todo.extensions import db
from todo.tasks.models import Task

WALLS = ["both walls", "the database alone", "the application alone"]
MISSING = 2**62
IMPOSSIBLE = [
    "0", "-1", "+1", "01", "1.0", "1e3", "1_0", " 1", "1 ", "abc", "null", "tasks", "%31%00", "%00", "%ff",
    "\uff11", "' OR 1=1--", "..", ".", "*", str(2**63 - 1), str(2**63), "9" * 19, "1" * 40, "1" * 4000,
]  # fmt: skip
BODIES: list[dict[str, Any]] = [{}, {"json": {}}, {"json": {"title": "mine now", "completed": True}}]


class House:
    """The application on a database of its own, with both walls or with one of them taken down."""

    def __init__(self, database: Database, login: str, walls: str) -> None:
        self.database = database
        self.settings = database.settings(login)
        self.app = create_app(self.settings)
        self.unfiltered_statements = 0
        if walls == "the database alone":
            with self.app.app_context():
                event.listen(db.engine, "before_cursor_execute", self._take_owner_out, retval=True)
        if walls == "the application alone":
            database.run("ALTER TABLE todo.tasks DISABLE ROW LEVEL SECURITY")

    def meet(self, user_id: str | None = None) -> Caller:
        return Caller(self.app.test_client(), self.settings, user_id)

    def _take_owner_out(self, _1: Any, _2: Any, statement: str, parameters: Any, *_3: Any) -> tuple[str, Any]:
        statement, count = re.subn(r"todo\.tasks\.user_id = %\(owner\)s", "true", statement)
        self.unfiltered_statements += count
        return statement, parameters


@pytest.fixture(scope="module", params=list(product(WALLS, Database.LOGINS)), ids=" as ".join)
def house(request: pytest.FixtureRequest, server: Server) -> Iterator[House]:
    walls, login = request.param
    with server.database() as database:
        database.migrate()
        house = House(database, login, walls)
        with closing_pool(house.app):
            yield house
        if walls == "the database alone":
            assert house.unfiltered_statements > 20, "the owner's filter was not taken out of the statements"


def test_every_operation_on_every_id_answers_for_another_s_task_as_for_none(house: House) -> None:
    alice, bob = house.meet(), house.meet()
    task = alice.add("hers", description="private")
    stored = house.database.run("SELECT * FROM todo.tasks")
    asked = 0
    for method, path in operations_on_a_task(house.app):
        for body, user_id in product(BODIES, [bob.user_id, alice.user_id]):
            answers = {
                task_id: read_missing(bob.call(method, path.format(task_id=task_id, user_id=user_id), **body))
                for task_id in [MISSING, task["id"], *IMPOSSIBLE]
            }
            assert len(set(answers.values())) == 1, (method, path, body, answers)
            asked += len(answers)
    assert asked > 500
    assert house.database.run("SELECT * FROM todo.tasks") == stored
    assert read_task(alice.get(f"/api/tasks/{task['id']}")) == task


def test_another_s_spelling_of_the_list_is_not_there(house: House) -> None:
    alice, bob = house.meet(), house.meet()
    alice.add("hers")
    for method in ("GET", "POST"):
        read_missing(bob.call(method, f"/api/{alice.user_id}/tasks", json={"title": "hers too"}))
    assert alice.titles() == ["hers"]


def test_everybody_lists_their_own_and_creates_for_themselves(house: House) -> None:
    alice, bob = house.meet(), house.meet()
    alice.add("hers")
    read_task(bob.post(f"/api/{bob.user_id}/tasks", json={"title": "his", "user_id": alice.user_id}), 201)
    assert (alice.titles(), bob.titles()) == (["hers"], ["his"])


def test_users_whose_ids_look_alike_are_different_users(house: House) -> None:
    names = ["alice", "Alice", "alice ", "alic", "alice2", "al%", "a_ice", "álice", "a\u0301lice", "'", '"', "\\", "%s"]
    callers = [house.meet(name) for name in names]
    for caller in callers:
        caller.add(caller.user_id)
    assert [caller.titles() for caller in callers] == [[name.strip()] for name in names]


def read_missing(response: TestResponse) -> bytes:
    read_problem(response, 404)
    return bytes(response.data)


# --- What the database holds by itself ---


@pytest.fixture
def as_user(app: Flask) -> Callable[..., Any]:
    """Run a statement as a user, without any help of the application's queries."""

    def run(caller: Caller, statement: Any) -> Any:
        with app.app_context():
            return isolation.fetch(caller.user_id, statement)

    return run


def test_a_statement_without_a_filter_meets_only_the_user_s_rows(
    as_user: Callable[..., Any], alice: Caller, bob: Caller
) -> None:
    alice.add("hers")
    bob.add("his")
    assert [row.title for row in as_user(bob, text("SELECT * FROM todo.tasks"))] == ["his"]
    assert len(as_user(bob, update(Task).values(title="changed").returning(Task.id))) == 1
    assert len(as_user(bob, delete(Task).returning(Task.id))) == 1
    assert alice.titles() == ["hers"]


def test_a_row_cannot_be_given_away_or_planted(as_user: Callable[..., Any], alice: Caller, bob: Caller) -> None:
    bob.add("his")
    forbidden = [
        (insert(Task).values(user_id=alice.user_id, title="planted").returning(Task.id), "row-level security"),
        (update(Task).values(user_id=alice.user_id).returning(Task.id), "permission denied"),
        (text("UPDATE todo.tasks SET id = DEFAULT RETURNING id"), "permission denied"),
        (text("TRUNCATE todo.tasks"), "permission denied"),
        (text("ALTER TABLE todo.tasks DISABLE ROW LEVEL SECURITY"), "must be owner"),
        (text("DROP TABLE todo.tasks"), "must be owner"),
        (text("CREATE TABLE todo.other (user_id text)"), "permission denied"),
    ]
    for statement, reason in forbidden:
        with pytest.raises(ProgrammingError, match=reason):
            as_user(bob, statement)
    assert (alice.titles(), bob.titles()) == ([], ["his"])


def test_a_statement_without_a_user_raises_before_it_is_sent(app: Flask) -> None:
    with app.app_context():
        refused: list[Callable[[], Any]] = [
            lambda: db.session.execute(text("SELECT pg_sleep(60)")),
            lambda: db.session.execute(select(Task)),
            lambda: db.engine.connect().execute(text("SELECT pg_sleep(60)")),
            lambda: db.engine.connect().exec_driver_sql("SELECT pg_sleep(60)"),
        ]
        for run in refused:
            with pytest.raises(isolation.NoUserError, match="without a user"):
                run()
        db.session.remove()


def test_several_sets_of_values_are_refused_since_they_would_not_be_one_transaction(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection, pytest.raises(isolation.NoUserError, match="one state"):
        connection.execute(text("SELECT :n"), [{"n": 1}, {"n": 2}], execution_options={"user_id": "alice"})


def test_a_server_side_cursor_is_refused_since_the_prefix_would_not_run_first(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection:
        connection.execution_options(isolation_level="READ COMMITTED", stream_results=True, user_id="alice")
        with pytest.raises(isolation.NoUserError, match="stream"):
            connection.execute(text("DELETE FROM todo.tasks"))


def test_nothing_of_a_user_stays_behind_on_the_connection(
    app: Flask, as_user: Callable[..., Any], alice: Caller
) -> None:
    as_user(alice, text("SELECT 1"))
    with app.app_context(), isolation.administration() as connection:
        row = connection.execute(
            text(
                "SELECT current_user = session_user, current_setting('todo.user_id', true),"
                " current_setting('statement_timeout')"
            )
        ).one()
    assert tuple(row) == (True, "", "0")


def test_every_table_with_a_user_id_has_row_security_and_a_policy(database: Database) -> None:
    tables = database.run(
        """
        SELECT c.relname, c.relrowsecurity, (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'user_id'
        WHERE c.relnamespace = 'todo'::regnamespace AND c.relkind IN ('r', 'p')
        """
    )
    assert tables == [("tasks", True, 1)]


def test_every_index_and_key_starts_with_the_user(database: Database) -> None:
    indexes = database.run(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'todo' AND tablename = 'tasks'"
    )
    assert indexes
    for name, definition in indexes:
        assert "(user_id" in definition, name


def test_a_login_that_owns_nothing_reads_nothing_by_itself(database: Database, alice: Caller) -> None:
    alice.add()
    with psycopg2.connect(database.url("web")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM todo.tasks")
        assert cursor.fetchone() == (0,)
    connection.close()
