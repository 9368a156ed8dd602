"""The documentation is complete: refusals, parameters, settings, routes, errors and links."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.exceptions import default_exceptions

from bench.finding import QUERIES, SLOWEST
from server.refusals import NOT_HTTP, RESPONSES
from tests.support.commands import ROOT, SETTINGS
from tests.support.openapi import list_nodes
from todo.tasks.resource import TASKS
from todo.tasks.schemas import ALIASES, TaskQuerySchema
from todo.web import problems
from todo.web.parameters import list_documented
from todo.web.problems import make_problem

CONNECT = (ROOT / "docs" / "connect-better-auth.md").read_text().replace("\\<", "<")
FINDING = (ROOT / "docs" / "finding-tasks.md").read_text()
DEVELOP = (ROOT / "docs" / "develop.md").read_text()
GUIDE, ERRORS, SETTINGS_PAGE = ((ROOT / "docs" / f"{name}.md").read_text() for name in ("api", "errors", "settings"))
BEGINNINGS = ("The token", "This is not", "No token", "The Authorization", "A claim", "The keys that")


def find_sentences(source: str) -> Iterator[str]:
    """Yield the error texts in a module, with … for values. Docstrings are left out."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in docstrings | inside:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_token_error_is_documented() -> None:
    sources = [path.read_text() for path in (ROOT / "todo" / "auth").rglob("*.py")]
    said = {
        re.sub(r"…\.$", "…", sentence)
        for source in sources
        for sentence in find_sentences(source)
        if sentence.startswith(BEGINNINGS)
    }
    emphasized = re.findall(r"^\| (.*?) \|", CONNECT, re.MULTILINE) + re.findall(r"\*\*(.*?)\*\*", CONNECT, re.DOTALL)
    sentences = (" ".join(text.split()) for text in emphasized)
    explained = {re.sub(r"…\.$", "…", sentence) for sentence in sentences if sentence.startswith(BEGINNINGS)}
    assert said == explained
    assert len(said) > 20


def test_every_list_parameter_is_documented() -> None:
    [table] = re.findall(r"^\| parameter \|.*?\n\n", FINDING, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert explained == set(list_documented(TaskQuerySchema()))


def test_every_other_name_of_a_parameter_is_documented() -> None:
    assert [name for name in ALIASES if f"`{name}" not in FINDING] == []


def test_the_finding_page_lists_every_benchmark_query() -> None:
    assert [
        name for name in (*QUERIES, SLOWEST) if not re.search(rf"^\| {re.escape(name)} +\|", FINDING, re.MULTILINE)
    ] == []


def test_every_task_field_is_in_the_api_reference() -> None:
    [table] = re.findall(r"^\| field \|.*?\n\n", GUIDE, re.MULTILINE | re.DOTALL)
    assert [name for name in TASKS.fields if f"`{name}`" not in table] == []


def test_every_setting_is_documented() -> None:
    rows = re.findall(r"^\| (`.*?) \| ", SETTINGS_PAGE, re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}
    assert explained == set(SETTINGS)


# Routes for frontends that were written for other services.
OTHER_NAMES = {"set_status", "toggle_task", "post_completion"}


def test_every_route_is_in_the_guide(app: Flask) -> None:
    routes = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith("/api/docs/") and rule.endpoint.rpartition(".")[2] not in OTHER_NAMES
    }
    written = set()
    for methods, path in re.findall(r"`((?:[A-Z]+`(?:, | and | or )`)*[A-Z]+) (/[\w/{}.]*)", GUIDE.replace("\n", " ")):
        written |= {(method, path.replace("{uid}", "{task_id}")) for method in re.findall(r"[A-Z]+", methods)}
    assert written == routes


def test_every_error_is_documented_with_its_title(app: Flask) -> None:
    document: Any = app.test_client().get("/api/openapi.json").json
    refusals = {
        int(status)
        for methods in document["paths"].values()
        for operation in methods.values()
        for status in operation["responses"]
        if int(status) >= 400
    }
    refusals |= {int(status) for status in re.findall(r"^(\d{3})  ", problems.__doc__ or "", re.MULTILINE)}
    refusals |= {status for status, _ in RESPONSES.values()}
    explained = dict(re.findall(r"^\| (\d{3}) \| ([\w ]+) \|", ERRORS, re.MULTILINE))
    assert explained == {str(status): default_exceptions[status]().name for status in sorted(refusals)}


def test_every_error_code_is_documented_and_used(app: Flask) -> None:
    document: Any = app.test_client().get("/api/openapi.json").json
    problems_shown = [node for node in list_nodes(document) if node.get("type") == "about:blank"]
    # The document leaves these out: a wrong method, a file of the page, and what gunicorn refuses.
    others = [make_problem(status, "") for status in (405, 416, *dict([NOT_HTTP, *RESPONSES.values()]))]
    used = {(str(problem["status"]), problem["code"]) for problem in (*problems_shown, *others)}
    rows = re.findall(r"^\| (\d{3}) \| [\w ]+ \| `(\w+)` \| [^|]+ \| [^|]+ \|$", ERRORS, re.MULTILINE)
    assert sorted(rows) == sorted(used)
    assert len(rows) > 25


def test_deploy_commands_parse_and_name_existing_files() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    blocks = re.findall(r"^```(?:ba)?sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 10
    subprocess.run(["bash", "-n"], input="".join(blocks), text=True, check=True)
    named = {name for block in blocks for name in re.findall(r"current/(deploy/[\w.*-]+)", block)}
    assert [name for name in named if not list(ROOT.glob(name))] == []


def test_every_link_resolves() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*/README.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text())
        if not target.startswith("https://") and not leads_somewhere(page, target)
    ]
    assert broken == []


def leads_somewhere(page: Path, target: str) -> bool:
    """Return whether a link names an existing file and a heading in it."""
    name, _, anchor = target.partition("#")
    linked = (page.parent / name).resolve() if name else page
    if not linked.is_file():
        return False
    headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE) if anchor else []
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return not anchor or anchor in anchors


def test_every_path_on_the_page_for_developers_exists() -> None:
    named = set(re.findall(r"(?<![\w/.])((?:\w+/)+[\w.]*\w(?:\.\w+)|(?:\w+/)+(?=`))", DEVELOP))
    created = {"tests/api/test_pinned.py", "migrations/versions/0009_pinned_tasks.py", "instance/"}
    assert len(named) > 30
    assert {path for path in named if not (ROOT / path).exists()} - created == set()
    tests = re.findall(r"(tests/\S+\.py)::(\w+)", DEVELOP)
    assert [name for path, name in tests if f"def {name}(" not in (ROOT / path).read_text()] == []


def test_every_make_target_is_documented() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [target for target in targets if f"| `make {target}` |" not in DEVELOP] == ["help"]
