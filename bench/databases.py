"""A PostgreSQL of a benchmark's own, in a temporary folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2

from embedded import EmbeddedPostgres

# A share of the memory as is usual for a server; PostgreSQL's own default is 128 MB.
SHARED_BUFFERS = "1GB"


@contextmanager
def postgres_running() -> Iterator[EmbeddedPostgres]:
    """Run a PostgreSQL until it is left; then its data goes too."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres")
        try:
            run_as_superuser(postgres, f"ALTER SYSTEM SET shared_buffers = '{SHARED_BUFFERS}'")
            postgres.close()  # It is read at the start.
            postgres.start()
            yield postgres
        finally:
            postgres.close()


def create_database(postgres: EmbeddedPostgres, name: str) -> str:
    """Create a database of its own and return its URL."""
    run_as_superuser(postgres, f"CREATE DATABASE {name}")
    return urlsplit(postgres.url("postgres"))._replace(path=f"/{name}").geturl()


def run_as_superuser(postgres: EmbeddedPostgres, statement: str) -> None:
    """Run a statement on the server, which is started if it does not run."""
    postgres.start()
    run_statement(postgres.url("postgres"), statement)


def run_statement(database_url: str, statement: str) -> None:
    """Run a statement in a database, outside a transaction."""
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    connection.cursor().execute(statement)
    connection.close()


def vacuum(database_url: str, table: str) -> None:
    """Do what PostgreSQL does by itself after a while."""
    run_statement(database_url, f"VACUUM ANALYZE {table}")
