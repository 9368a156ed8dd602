"""What the documentation says is so: every refusal is explained, every setting has its place."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from bench.finding import QUERIES, SLOWEST
from todo.tasks.columns import MEMBERS
from todo.tasks.schemas import TaskQuerySchema

ROOT = Path(__file__).parent.parent
CONNECT = (ROOT / "docs" / "connect-better-auth.md").read_text().replace("\\<", "<")
FINDING = (ROOT / "docs" / "finding-tasks.md").read_text()
README = (ROOT / "README.md").read_text()
BEGINNINGS = ("The token", "This is not", "No token", "The Authorization", "A claim", "The keys that")


def find_sentences(source: str) -> Iterator[str]:
    """The sentences for the caller in a module, with … for what is filled in; docstrings are not among them."""
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


def test_every_refusal_of_a_token_is_explained_and_no_other() -> None:
    sources = [path.read_text() for path in (ROOT / "todo" / "auth").glob("*.py")]
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


def test_every_parameter_of_the_list_is_explained_and_no_other() -> None:
    rows = re.findall(r"^\| (`.*?) \|", FINDING, re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert explained == set(TaskQuerySchema().fields)


def test_the_times_are_those_of_the_benchmark() -> None:
    assert [
        name for name in (*QUERIES, SLOWEST) if not re.search(rf"^\| {re.escape(name)} +\|", FINDING, re.MULTILINE)
    ] == []


def test_every_member_of_a_task_is_in_the_readme() -> None:
    assert [name for name in MEMBERS if f"`{name}`" not in README] == []
