"""The PostgreSQL server of the tests, and databases on it."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import flask_migrate
import psycopg2
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import URL
from werkzeug.test import TestResponse

from config import Settings
from todo import create_app
from todo.extensions import db

Run = Callable[..., list[tuple[Any, ...]]]
# CI runs the tests with both values of CITUS.
CITUS = os.environ.get("TEST_CITUS", "off")
SECRET = "throwaway-test-secret-not-for-production-0123456789"


@dataclass
class Server:
    """A PostgreSQL server, the URL of its superuser, and a migrated template database."""

    superuser_url: URL
    _template: "Database | None" = None

    @contextmanager
    def transaction(self, database: str | None = None, *, autocommit: bool = False) -> Iterator[Run]:
        """Run statements in a transaction of the superuser, which commits at the end."""
        url = self.superuser_url.set(drivername="postgresql", database=database or self.superuser_url.database)
        connection = psycopg2.connect(url.render_as_string(hide_password=False))
        connection.autocommit = autocommit

        def run(statement: str, values: Any = None) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall() if cursor.description else []

        try:
            yield run
            connection.commit()
        finally:
            connection.close()

    def run(self, statement: str, values: Any = None, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser and return its rows."""
        with self.transaction(database, autocommit=True) as run:
            return run(statement, values)

    @property
    def version(self) -> int:
        """The major version."""
        return int(self.run("SHOW server_version_num")[0][0]) // 10000

    @property
    def nodes(self) -> "list[Server]":
        """The servers that store a database together: this one, and on Citus its workers (citus.py)."""
        return [self]

    def create_database(self, name: str, owner: str, template: str) -> None:
        for node in self.nodes:
            node.run(f"CREATE DATABASE {name} OWNER {owner} TEMPLATE {template}")

    def distribute(self, database: "Database") -> None:
        """Divide the tables of a migrated database over the nodes."""

    @contextmanager
    def database(self, *, migrated: bool = False) -> Iterator["Database"]:
        """Create a database with its own logins, and drop it at the end."""
        database = Database(self, f"test_{secrets.token_hex(6)}")
        if migrated:
            database.copy(self._find_template())
        else:
            database.create()
        try:
            yield database
        finally:
            database.drop()

    def _find_template(self) -> "Database":
        """Return the migrated template. Copying it is several times faster than running the migrations."""
        if self._template is None:
            template = Database(self, f"test_{secrets.token_hex(6)}")
            template.create()
            template.migrate()
            # PostgreSQL copies only a database that has no connections. The superuser owns it, because
            # REASSIGN OWNED in a copy would otherwise give the template to the owner of the copy.
            for node in self.nodes:
                node.run(f"ALTER DATABASE {template.name} OWNER TO CURRENT_USER")
                node.run(f"ALTER DATABASE {template.name} ALLOW_CONNECTIONS false")
                node.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (template.name,))
            self._template = template
        return self._template

    def close(self) -> None:
        """Drop the template."""
        if self._template is not None:
            self._template.drop()
            self._template = None


@dataclass(frozen=True)
class Database:
    """A database with three logins.

    ``owner`` is the login that a provider gives: it owns the database and may create roles. ``super`` is a superuser.
    ``web`` owns nothing and may only become todo_app, as production should run.
    """

    server: Server
    name: str

    LOGINS: ClassVar = {"owner": "NOSUPERUSER CREATEROLE", "super": "SUPERUSER", "web": "NOSUPERUSER"}

    def create(self, template: str = "template1") -> None:
        with self.server.transaction(autocommit=True) as run:
            for login, attributes in self.LOGINS.items():
                run(f"CREATE ROLE {self.role(login)} LOGIN {attributes} PASSWORD 'test'")
            self.server.create_database(self.name, self.role("owner"), template)
            # Roles belong to the whole cluster, so the migrations of another database may have created this one.
            if run("SELECT 1 FROM pg_roles WHERE rolname = 'todo_app'"):
                run(f"GRANT todo_app TO {self.role('owner')}")

    def copy(self, template: "Database") -> None:
        """Create this database as a copy of a migrated one."""
        self.create(template.name)
        self.run(f"REASSIGN OWNED BY {template.role('owner')} TO {self.role('owner')}")
        self.run(f"GRANT todo_app TO {self.role('web')}")

    def drop(self) -> None:
        for node in self.server.nodes:
            node.run(f"DROP DATABASE {self.name} WITH (FORCE)")
        with self.server.transaction(autocommit=True) as run:
            for login in self.LOGINS:
                run(f"DROP ROLE {self.role(login)}")

    def role(self, login: str) -> str:
        return f"{self.name}_{login}"

    def url(self, login: str = "owner", **parts: Any) -> str:
        url = self.server.superuser_url.set(
            drivername="postgresql", username=self.role(login), password="test", database=self.name, **parts
        )
        return url.render_as_string(hide_password=False)

    def settings(self, login: str = "owner", **values: Any) -> Settings:
        """Return the settings of the service for this database."""
        given = {"better_auth_secret": SECRET, "database_url": self.url(login), "rate_limit": None, "citus": CITUS}
        return Settings(**{**given, **values})

    def migrate(self, login: str = "owner") -> None:
        """Migrate the database to the newest revision, as ``flask db upgrade`` does."""
        with create_app(self.settings(login)).app_context():
            flask_migrate.upgrade()
        self.server.distribute(self)
        self.run(f"GRANT todo_app TO {self.role('web')}")

    def transaction(self) -> AbstractContextManager[Run]:
        """Run statements in a transaction of the superuser in this database."""
        return self.server.transaction(self.name)

    def run(self, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
        """Run one statement in this database as the superuser."""
        return self.server.run(statement, values, self.name)


def wait_for_a_lock(execute: Run) -> None:
    """Wait until a statement waits for a lock, on Citus on any node."""
    deadline = time.monotonic() + 4
    [(locks,)] = execute("SELECT coalesce(to_regclass('pg_catalog.citus_locks'), 'pg_locks')")
    while execute(f"SELECT count(*) FROM {locks} WHERE NOT granted") == [(0,)]:
        assert time.monotonic() < deadline, "no statement waits for a lock"
        time.sleep(0.01)


class ClosingClient(FlaskClient):
    """A client that reads each response to its end and closes it. By default, a response keeps its slot."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        return super().open(*args, **{"buffered": True, **kwargs})


@contextmanager
def closing_pool(app: Flask) -> Iterator[Flask]:
    """Let the clients of an application close each response, as a server does, and close its connections at the end."""
    app.test_client_class = ClosingClient
    try:
        yield app
    finally:
        with app.app_context():
            db.engine.dispose()
