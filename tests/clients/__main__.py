"""Generate clients, compile them, run them against the service, and print a table. Exits with 1 if something fails."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import make_url

from config import Settings
from embedded import EmbeddedPostgres
from tests.clients.generators import DOCUMENT, FOLDER, GENERATED, GENERATORS, Generator, read_version
from tests.clients.prism import try_mock, try_proxy
from tests.clients.programs import BIN, VENV, clear, install, run
from tests.clients.report import CHECK, STEPS, Row, print_failures, print_table, say
from tests.support.commands import free_port, serve
from tests.support.databases import SECRET, Server
from todo.auth.tokens import issue_token

TSC = ["tsc", "--pretty", "false"]
MYPY = [str(BIN / "mypy"), "--python-executable", f"{VENV}/bin/python", "--no-error-summary"]
SPECTRAL = ["spectral", "lint", DOCUMENT, "--ruleset", "linters/spectral.yaml", "--fail-severity", "hint"]
REDOCLY = ["redocly", "lint", DOCUMENT, "--config", "linters/redocly.yaml"]

Rows = dict[Generator, Row]


def generate(generator: Generator, row: Row) -> None:
    with row.measuring("generated"):
        generated = run(generator.arguments)
    # openapi-generator-cli exits with 0, whatever happened.
    if generated.returncode or not (FOLDER / GENERATED / generator.code).exists():
        row.errors["compiles"] = generated.stdout


def compile_clients(suffix: str, rows: Rows) -> None:
    """Compile all clients of a language at once. Each error counts for the client whose code has it."""
    python = [*FOLDER.glob("trials/*.py"), *FOLDER.glob(f"{GENERATED}/python/todo_*")]
    compiled = run(TSC if suffix == ".ts" else [*MYPY, *(str(path.relative_to(FOLDER)) for path in python)])
    lines = compiled.stdout.splitlines()
    messages = {client: [line for line in lines if client.owns(line)] for client in rows if client.suffix == suffix}
    if compiled.returncode and not any(messages.values()):
        messages = dict.fromkeys(messages, lines)
    for client, found in messages.items():
        rows[client].errors.setdefault("compiles", "\n".join(found))
    say(f"The {len(messages)} clients in {suffix} are compiled")


def try_client(generator: Generator, row: Row, url: str) -> None:
    """Run the trial of a client, which prints the error of each step as JSON."""
    interpreter = ["python"] if generator.suffix == ".py" else ["node", "--import", "tsx"]
    with row.measuring("tried"):
        tried = run([*interpreter, f"trials/{generator.trial}"], API_URL=url, API_TOKEN=issue(generator.name))
    if tried.returncode:
        row.errors |= {step: tried.stdout for step in STEPS if step != "compiles"}
    else:
        row.errors |= {step: error or "" for step, error in json.loads(tried.stdout.splitlines()[-1]).items()}


def check(row: Row, find_problems: Callable[[], Iterable[str]]) -> None:
    """Run another tool on the document and keep what it finds."""
    with row.measuring("checked"):
        try:
            row.errors["check"] = "\n".join(find_problems())
        except (OSError, AssertionError, KeyError, ValueError) as error:
            row.errors["check"] = repr(error)


def lint(arguments: list[str]) -> Iterator[str]:
    linted = run(arguments)
    if linted.returncode:
        yield linted.stdout


def issue(user_id: str) -> str:
    """Return a token of a user. Each client has its own, and sees only its own tasks."""
    return issue_token(Settings(better_auth_secret=SECRET), user_id, 3600)


@contextmanager
def serving() -> Iterator[str]:
    """Serve on an embedded PostgreSQL while the context lasts, and yield the address."""
    with TemporaryDirectory() as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres")
        postgres.start()
        try:
            with Server(make_url(postgres.url("postgres"))).database(migrated=True) as database:
                port = free_port()
                settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url("web"), "RATE_LIMIT": "off"}
                with serve(port, "--bind", f"127.0.0.1:{port}", "--workers", "1", settings=settings):
                    say("The service is ready")
                    yield f"http://127.0.0.1:{port}"
        finally:
            postgres.close()


def try_all(rows: Rows, others: dict[str, Row]) -> None:
    """Generate, compile and try all clients, two at a time, and run the other tools."""
    with ThreadPoolExecutor(2) as pool:
        generated = [pool.submit(generate, *item) for item in rows.items()]
        with serving() as url:
            checks: dict[str, Callable[[], Iterable[str]]] = {
                "Prism as a mock": try_mock,
                "Prism as a proxy": lambda: try_proxy(url, issue("prism")),
                "Spectral": lambda: lint(SPECTRAL),
                "Redocly": lambda: lint(REDOCLY),
            }
            for future in generated:
                future.result()
            for future in [pool.submit(compile_clients, suffix, rows) for suffix in (".ts", ".py")]:
                future.result()
            tried = [pool.submit(try_client, generator, row, url) for generator, row in rows.items()]
            tried += [pool.submit(check, row, checks[name]) for name, row in others.items()]
            for future in tried:
                future.result()


def main() -> int:
    say("Installing the generators, unless they are installed: half a minute")
    try:
        install()
    except subprocess.CalledProcessError as error:
        print(f"Error: the generators cannot be installed (exit status {error.returncode}); is there a network?")
        return 1
    clear()
    rows = {generator: Row(generator.name, read_version(generator.package)) for generator in GENERATORS}
    packages = {
        "Prism as a mock": "@stoplight/prism-cli",
        "Prism as a proxy": "@stoplight/prism-cli",
        "Spectral": "@stoplight/spectral-cli",
        "Redocly": "@redocly/cli",
    }
    others = {name: Row(name, read_version(package)) for name, package in packages.items()}
    try_all(rows, others)
    print()
    print_table("generator", STEPS, rows.values())
    print_table("other tool", CHECK, others.values())
    return 1 if print_failures(STEPS, rows.values()) + print_failures(CHECK, others.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
