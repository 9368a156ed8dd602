"""A Citus cluster as the server of the tests. Each test database is one of all nodes, with distributed tables."""

import re
from contextlib import closing

import psycopg2
from sqlalchemy import URL

from tests.support.commands import ROOT
from tests.support.databases import Database, Server

# The commands of the owner.
[DISTRIBUTE] = re.findall(
    r"```sql\n(ALTER ROLE todo_app LOGIN;.*?)\n```", (ROOT / "docs" / "scaling.md").read_text(), re.DOTALL
)


class CitusServer(Server):
    """The coordinator. Its superuser can log in to the workers, at the addresses that the coordinator uses."""

    @property
    def nodes(self) -> list[Server]:
        return [self, *(Server(self.superuser_url.set(host=host, port=port)) for host, port in self.find_workers())]

    def find_workers(self) -> list[tuple[str, int]]:
        """Return the hosts and ports of the workers."""
        return [(host, port) for host, port in self.run("SELECT * FROM citus_get_active_worker_nodes()")]

    def create_database(self, name: str, owner: str, template: str) -> None:
        """Create the database on all nodes. Citus creates roles there by itself, but no databases."""
        super().create_database(name, owner, template)
        if template == "template1":  # The copy of a database with Citus is one of the same nodes.
            for node in self.nodes:
                node.run("CREATE EXTENSION citus", database=name)
            url = self.superuser_url
            self.run("SELECT citus_set_coordinator_host(%s, %s)", (url.host, url.port or 5432), name)
            for worker in self.find_workers():
                self.run("SELECT citus_add_node(%s, %s)", worker, name)

    def distribute(self, database: Database) -> None:
        """Distribute the tables as docs/scaling.md does, unless an earlier migration was followed by this."""
        if database.run("SELECT 1 FROM pg_dist_partition"):
            return
        with closing(psycopg2.connect(database.url())) as owner, owner.cursor() as cursor:
            owner.autocommit = True
            for command in DISTRIBUTE.split("\n"):
                cursor.execute(command)


def find_server(superuser_url: URL) -> Server:
    """Return the server at a URL: a coordinator, if the database of the URL has Citus."""
    server = Server(superuser_url)
    return CitusServer(superuser_url) if server.run("SELECT 1 FROM pg_extension WHERE extname = 'citus'") else server
