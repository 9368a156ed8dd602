"""A million tasks, 20,000 of them of one user, a full trash, and the work of PostgreSQL for that user."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any, ClassVar

import psycopg2
from flask import Flask
from werkzeug.test import TestResponse

from tests.support.callers import Caller
from tests.support.databases import Database
from tests.support.wire import Wire
from todo.extensions import db

OWN = 20_000
BIG = "user-with-20000-tasks"
# Rows in the trash: a fifth is of the user with 20,000 tasks, and ten of these are too old to be restored.
TRASHED, EXPIRED = 500_000, 10
# Half of the tasks are there before the upgrade.
FILL = """
    INSERT INTO todo.tasks (user_id, title, description, completed_at, created_at, updated_at, uid)
    SELECT CASE WHEN n %% 50 = 0 THEN %s ELSE 'user' || n %% 4999 END,
           CASE WHEN n %% 97 = 0 THEN 'ÄRGER ' ELSE 'Buy milk ' END || n,
           CASE WHEN n %% 3 = 0 THEN repeat('and something that is longer, ', n %% 10) END,
           CASE WHEN n %% 4 > 0 THEN now() END,
           now() - n %% 1000 * interval '1 hour', now() - n %% 999 * interval '1 hour',
           CASE WHEN n %% 5 > 0 THEN gen_random_uuid() END
    FROM generate_series(1, 500000) AS n
"""
# The other half is created after it, with all fields. These have numbers of changes, and so does the trash.
ADD = """
    INSERT INTO todo.tasks (user_id, title, title_folded, description, completed_at, created_at, updated_at, due_at,
                            due_all_day, remind_at, priority, tags, tags_folded, change)
    SELECT CASE WHEN n %% 50 = 0 THEN %s ELSE 'user' || n %% 4999 END,
           CASE WHEN n %% 97 = 0 THEN 'ÄRGER ' ELSE 'Buy milk ' END || n,
           CASE WHEN n %% 97 = 0 THEN 'ärger ' || n END,
           CASE WHEN n %% 3 = 0 THEN repeat('and something that is longer, ', n %% 10) END,
           CASE WHEN n %% 4 > 0 THEN now() END,
           now() - n %% 1000 * interval '1 hour', now() - n %% 999 * interval '1 hour',
           CASE WHEN n %% 4 = 0 THEN '2026-12-31 23:59:59.999999Z' ELSE '2026-01-01'::timestamptz END
             + n %% 365 * interval '1 day',
           n %% 4 = 0, CASE WHEN n %% 20 < 10 THEN '2026-01-01'::timestamptz + n %% 365 * interval '1 day' END,
           (ARRAY['low', 'medium', 'high'])[n %% 3 + 1],
           ARRAY['home', 'tag' || n %% 7], ARRAY['home', 'tag' || n %% 7], n
    FROM generate_series(500001, 1000000) AS n
"""
TRASH = """
    INSERT INTO todo.trash (user_id, id, title, change, deleted_at)
    SELECT CASE WHEN n %% 5 = 0 THEN %s ELSE 'user' || n %% 4999 END, 2000000 + n, 'Buy milk ' || n, 500000 + n,
           now() - interval '29 days' + n * interval '1 second' - CASE WHEN n <= 50 THEN interval '2 days' ELSE '0' END
    FROM generate_series(1, 500000) AS n
"""
COUNT = "UPDATE todo.feeds SET change = 1000000"


@dataclass
class Writer:
    """A client of the previous release that writes during the upgrade, and measures each write."""

    # The tasks of even IDs stay.
    WRITES: ClassVar = (
        "INSERT INTO todo.tasks (user_id, title) VALUES ('writer', 'x') RETURNING coalesce(%s, id)",
        "INSERT INTO todo.tasks (user_id, title) VALUES ('writer', 'x') RETURNING id",
        "UPDATE todo.tasks SET title = 'ÄRGER' WHERE user_id = 'writer' AND id = %s",
        "DELETE FROM todo.tasks WHERE user_id = 'writer' AND id = %s AND id %% 2 = 0",
    )

    database: Database
    seconds: list[float] = field(default_factory=list)
    done: Event = field(default_factory=Event)

    def write(self) -> None:
        connection = psycopg2.connect(self.database.url("web"))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET ROLE todo_app; SET todo.user_id = 'writer'")
            task_id: Any = None
            # The pauses leave the upgrade enough of the processors.
            while not self.done.wait(0.02):
                for write in self.WRITES:
                    started = time.perf_counter()
                    cursor.execute(write, (task_id,))
                    self.seconds.append(time.perf_counter() - started)
                    if cursor.description:
                        [(task_id,)] = cursor.fetchall()
        connection.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write in another thread for the duration of a with statement."""
        thread = Thread(target=self.write)
        thread.start()
        time.sleep(0.5)
        try:
            yield
        finally:
            self.done.set()
            thread.join()


# Between the preparation and the execution, in a message of a new connection.
END = "END $do$; EXECUTE "
# PostgreSQL plans a prepared statement this often for its values, before it decides to keep a plan for all values.
CUSTOM_PLANS = 5


@dataclass
class Million:
    """The database after the upgrade, and the client that wrote during it."""

    database: Database
    writer: Writer
    upgrade_seconds: float


@dataclass
class Reader:
    """The user with 20,000 tasks, and the plans of PostgreSQL for that user."""

    app: Flask
    wire: Wire
    caller: Caller
    database: Database

    def explain(self, path: str, **options: Any) -> "Plan":
        """Return the plan that PostgreSQL keeps for the statement that a request sent."""
        message, response = self._record(self.caller, "GET", path, **options)
        found: Any = response.json
        found = found["changes"] if isinstance(found, dict) and "changes" in found else found
        [plan] = self._explain(message)
        return Plan(len(found) if isinstance(found, list) else 1, plan)

    def explain_write(
        self, method: str, path: str, tasks: Sequence[Mapping[str, Any]], write_body: Callable[..., Any]
    ) -> "Plan":
        """Return the plans of a request that writes, as one; nothing is written for this user.

        Another user sends it, for as many tasks of their own. In its message, that user and their tasks are replaced by
        this user and these tasks. Then it is planned, executed and rolled back. ``write_body`` takes the tasks.
        """
        other = Caller(self.app.test_client(), self.app.extensions["settings"])
        others = [other.add_for(path) for _ in tasks]
        message, _ = self._record(other, method, path.format(**(others or [{}])[0]), json=write_body(*others))
        message = message.replace(other.user_id, BIG)
        for theirs, own in zip(others, tasks, strict=True):
            for name in ("id", "uid"):
                message = message.replace(str(theirs[name]), str(own[name]))
        return Plan(0, {"Node Type": "Parts", "Plans": self._explain(message)})

    def _record(self, caller: Caller, method: str, path: str, **options: Any) -> tuple[str, TestResponse]:
        """Send a request on a new connection; return its message, which prepares the statement, and the response."""
        with self.app.app_context():
            db.engine.dispose()
        self.wire.messages.clear()
        response = caller.call(method, path, **options)
        assert response.status_code < 400, response.text
        [message] = [message for kind, message in self.wire.messages if kind == "Q" and "EXECUTE todo_" in message]
        return message, response

    def _explain(self, message: str) -> list[dict[str, Any]]:
        """Return the plan of each part of the statement in a message."""
        preparation, _, execution = message.rpartition(END)
        parts = execution.split("; EXECUTE ")
        plans = []
        with closing(psycopg2.connect(self.database.url("web"))) as connection, connection.cursor() as cursor:
            cursor.execute(preparation + END.partition(";")[0])
            cursor.execute("SAVEPOINT before")
            for _ in range(CUSTOM_PLANS):
                for part in parts:
                    cursor.execute(f"EXECUTE {part}")
                cursor.execute("ROLLBACK TO before")
            # What follows has the number of the transaction, by which some parts know what they wrote.
            cursor.execute("RELEASE before")
            for part in parts:
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {part}")
                [(plan,)] = cursor.fetchall()
                plans.append(plan[0]["Plan"])
        return plans


@dataclass
class Plan:
    found: int
    top: dict[str, Any]

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """Return all nodes of the plan."""

        def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
            yield node
            for child in node.get("Plans", []):
                yield from walk(child)

        return [*walk(self.top)]

    @property
    def insertions(self) -> list[dict[str, Any]]:
        """Return the plan nodes that insert rows, except those of the counter."""
        insertions = [node for node in self.nodes if node.get("Operation") == "Insert"]
        return [node for node in insertions if node["Relation Name"] != "feeds"]

    @property
    def scans(self) -> list[dict[str, Any]]:
        """Return the plan nodes that read a table or one of its indexes."""
        return [
            node
            for node in self.nodes
            if "Scan" in node["Node Type"] and not {"Relation Name", "Index Name"}.isdisjoint(node)
        ]

    @property
    def read(self) -> int:
        """Return the number of rows read, including filtered rows."""
        rows: float = sum(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
            for node in self.scans
            if node["Node Type"] != "Bitmap Index Scan"
        )
        return round(rows)  # PostgreSQL reports means over all loops, with two digits.
