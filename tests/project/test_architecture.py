"""Imports point in one direction, and files stay short."""

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import ROOT

PRODUCT = ("todo", "server", "embedded", "bootstrap")
# Importer, and what neither it nor its submodules may import.
FORBIDDEN = [
    ("todo", ("server", "embedded", "bootstrap", "tests", "bench")),
    ("todo.web", ("todo.tasks",)),
    ("todo.database", ("todo.tasks", "todo.web")),
    ("todo.auth", ("todo.tasks",)),
    ("server", ("tests", "bench")),
    ("bootstrap", ("todo", "server", "embedded", "config", "wsgi", "tests", "bench")),
    ("embedded", ("todo", "server", "config", "wsgi", "tests", "bench")),
]
# What a reader has to know first, and the optional modules that it leaves out.
CORE = ("todo.auth", "todo.web", "todo.database", "todo.tasks", "todo.errors", "todo.extensions")
OPTIONAL = (
    "todo.auth.jwks",
    "todo.database.audit",
    "todo.database.batch_state",
    "todo.database.batching",
    "todo.database.blockers",
    "todo.database.changes",
    "todo.database.erasing",
    "todo.database.importing",
    "todo.database.opening",
    "todo.database.page_sizes",
    "todo.database.putting",
    "todo.database.restoring",
    "todo.database.trashing",
    "todo.database.watchdog",
    "todo.tasks.batch",
    "todo.tasks.calendar",
    "todo.tasks.changes",
    "todo.tasks.completed_as",
    "todo.tasks.events",
    "todo.tasks.operations",
    "todo.tasks.portability",
    "todo.tasks.putting",
    "todo.tasks.recurrence",
    "todo.tasks.samples",
    "todo.tasks.trash",
    "todo.tasks.zones",
    "todo.web.icalendar",
    "todo.web.nesting",
)


def list_modules(folder: str) -> Iterator[tuple[str, Path]]:
    """Yield the dotted name and the path of every module below a folder."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if not any(part == "node_modules" or part.startswith(".") for part in parts):
            yield ".".join(part for part in parts if part != "__init__"), path


def find_imports(path: Path) -> set[str]:
    """Return the modules that a file imports, with ``from package import name`` as ``package.name`` too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found |= {str(node.module)} | {f"{node.module}.{name.name}" for name in node.names}
    return found


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize(("importer", "forbidden"), FORBIDDEN, ids=[importer for importer, _ in FORBIDDEN])
def test_imports_point_in_one_direction(importer: str, forbidden: tuple[str, ...]) -> None:
    modules = [each for each in list_modules(importer.split(".")[0]) if is_within(each[0], importer)]
    assert modules
    wrong = {
        (module, package)
        for module, path in modules
        for imported in find_imports(path)
        for package in forbidden
        if is_within(imported, package)
    }
    assert wrong == set()


def test_bootstrap_needs_only_the_standard_library() -> None:
    """It runs before any package is installed. Production has none of it, so only the modules of make run use it."""
    for module, path in list_modules("bootstrap"):
        others = {each.split(".")[0] for each in find_imports(path)} - sys.stdlib_module_names - {"bootstrap"}
        assert others == set(), module
    users = {module for module, path in list_modules("server") if any(map(is_bootstrap, find_imports(path)))}
    assert users == {"server.trial", "server.welcome"}


def is_bootstrap(module: str) -> bool:
    return is_within(module, "bootstrap")


def test_no_test_imports_from_another_test() -> None:
    wrong = {
        (module, imported)
        for module, path in list_modules("tests")
        for imported in find_imports(path)
        if imported.startswith("tests.") and imported.split(".")[-1].startswith("test_")
    }
    assert wrong == set()


def test_helpers_of_tests_are_in_the_support_folder() -> None:
    for module, _ in list_modules("tests"):
        name = module.split(".")[-1]
        if not module.startswith(("tests.support", "tests.clients")) and not name.startswith("test_"):
            assert name in {"conftest", "schemathesis_hooks"} or module.count(".") < 2, module


@pytest.mark.parametrize("folder", PRODUCT)
def test_no_file_of_the_product_has_more_than_200_lines(folder: str) -> None:
    lengths = {module: len(path.read_text().splitlines()) for module, path in list_modules(folder)}
    assert {module: length for module, length in lengths.items() if length > 200} == {}


def test_the_core_has_at_most_2750_lines_of_code() -> None:
    modules = [
        path
        for module, path in list_modules("todo")
        if module == "todo" or any(is_within(module, each) for each in CORE)
        if not any(is_within(module, each) for each in OPTIONAL)
    ]
    assert sum(map(count_code, modules)) <= 2750


def count_code(path: Path) -> int:
    """Return the number of lines that are no comment, no docstring and not blank."""
    source = path.read_text()
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    code = {line for token in tokens if token.type not in layout for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            code -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(code)
