"""A million tasks, 20,000 of them of one user, and the work of PostgreSQL for that user."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event
from typing import Any, ClassVar

import psycopg2
from flask import Flask

from tests.support.callers import Caller, read_tasks
from tests.support.databases import Database
from tests.support.wire import Wire
from todo.extensions import db

OWN = 20_000
BIG = "user-with-20000-tasks"
FILL = """
    INSERT INTO todo.tasks (user_id, title, description, completed_at, created_at, updated_at, uid)
    SELECT CASE WHEN n %% 50 = 0 THEN %s ELSE 'user' || n %% 4999 END,
           CASE WHEN n %% 97 = 0 THEN 'ÄRGER ' ELSE 'Buy milk ' END || n,
           CASE WHEN n %% 3 = 0 THEN repeat('and something that is longer, ', n %% 10) END,
           CASE WHEN n %% 4 > 0 THEN now() END,
           now() - n %% 1000 * interval '1 hour', now() - n %% 999 * interval '1 hour',
           CASE WHEN n %% 5 > 0 THEN gen_random_uuid() END
    FROM generate_series(1, 1000000) AS n
"""
ENRICH = """
    UPDATE todo.tasks SET
      due_at = CASE WHEN id % 4 = 0 THEN '2026-12-31 23:59:59.999999Z' ELSE '2026-01-01'::timestamptz END
               + id % 365 * interval '1 day',
      due_all_day = id % 4 = 0,
      priority = (ARRAY['low', 'medium', 'high'])[id % 3 + 1],
      tags = ARRAY['home', 'tag' || id % 7], tags_folded = ARRAY['home', 'tag' || id % 7]
    WHERE id % 2 = 0
"""


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

    def explain(self, path: str) -> "Plan":
        """Return the plan that PostgreSQL keeps for the statement that a request sent."""
        with self.app.app_context():
            db.engine.dispose()  # The first message of a connection prepares the statement.
        self.wire.messages.clear()
        found = len(read_tasks(self.caller.get(path)))
        [message] = [message for kind, message in self.wire.messages if kind == "Q" and "EXECUTE todo_" in message]
        preparation, execution = message.rsplit("; EXECUTE ", 1)
        with closing(psycopg2.connect(self.database.url("web"))) as connection, connection.cursor() as cursor:
            cursor.execute(preparation)
            for _ in range(CUSTOM_PLANS):
                cursor.execute(f"EXECUTE {execution}")
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {execution}")
            [(plan,)] = cursor.fetchall()
        return Plan(found, plan[0]["Plan"])


@dataclass
class Plan:
    found: int
    top: dict[str, Any]

    @property
    def scans(self) -> list[dict[str, Any]]:
        """Yield the plan nodes that read the table or one of its indexes."""

        def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
            yield node
            for child in node.get("Plans", []):
                yield from walk(child)

        return [node for node in walk(self.top) if "Scan" in node["Node Type"] and "Subquery" not in node["Node Type"]]

    @property
    def read(self) -> int:
        """Return the number of rows read, including filtered rows."""
        rows: float = sum(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
            for node in self.scans
            if node["Node Type"] != "Bitmap Index Scan"
        )
        return round(rows)  # PostgreSQL reports means over all loops, with two digits.
