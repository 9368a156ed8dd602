"""A copy of the code that changes from release to release while it serves."""

import time
from pathlib import Path

from tests.support.clusters import wait_until
from tests.support.commands import call, copy_service, run
from tests.support.databases import SECRET, Database

MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("{revision}", sa.Text()), schema="todo")
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY tasks_by_{revision} ON todo.tasks (user_id, {revision}, id)")
"""


class Release:
    """A folder with the code. Each release reports its number and has one more migration."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder = folder
        self.number = 0
        self.settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "RATE_LIMIT": "off"}
        self._database = database
        folder.mkdir()
        copy_service(folder)
        self._migrate()

    def ship(self) -> None:
        """Make the next release, and migrate."""
        [(before,)] = self._database.run("SELECT version_num FROM todo.alembic_version")
        self.number += 1
        revision = f"release{self.number}"
        migration = MIGRATION.format(revision=revision, before=before)
        (self.folder / "migrations" / "versions" / f"{revision}.py").write_text(migration)
        health = self.folder / "todo" / "health.py"
        said = "ok" if self.number == 1 else f"release {self.number - 1}"
        health.write_text(health.read_text().replace(f'"status": "{said}"', f'"status": "release {self.number}"'))
        self._migrate()

    def wait_until_serving(self, port: int) -> None:
        """Wait until no process of an older release responds and all processes are ready."""
        wait_until(lambda: all(self._says(port) for _ in range(20)))
        assert call(port, "GET", "/readyz").status == 200

    def _says(self, port: int) -> bool:
        time.sleep(0.01)
        return bool(call(port, "GET", "/healthz").body == {"status": f"release {self.number}"})

    def _migrate(self) -> None:
        upgraded = run("flask", "db", "upgrade", settings=self.settings, cwd=self.folder)
        assert upgraded.returncode == 0, upgraded.stderr
