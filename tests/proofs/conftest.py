"""Embedded PostgreSQL servers to mistreat."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded import EmbeddedPostgres
from tests.clusters import servers_of


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A place of 200 characters with spaces: both have broken such servers."""
    parent = tmp_path
    while len(str(parent)) < 180:
        parent = parent / ("a long name" + "e" * min(150 - 11, max(1, 180 - len(str(parent)) - 11)))
    yield parent / 'in "stance", 1' / "postgres"
    for process in servers_of(parent):
        process.kill()


@pytest.fixture
def postgres(home: Path) -> Iterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(home)
    postgres.start()
    yield postgres
    postgres.close()
