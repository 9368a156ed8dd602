"""Read the tables of the documentation."""

import re

from tests.support.commands import ROOT

# The columns of the table of rules in docs/recurring-tasks.md.
RULES = ("task", "`rule`", "due date", "next due dates")


def read_page(name: str) -> str:
    """Return the text of a page in docs/."""
    return (ROOT / "docs" / name).read_text()


def list_rows(page: str, *columns: str) -> list[list[str]]:
    """Return the cells of the table with these columns. Of a cell that begins with code, only the code is returned."""
    head = re.escape(f"| {' | '.join(columns)} |")
    [table] = re.findall(rf"^{head}\n\|[-|]+\n((?:\|.*\n)+)", read_page(page), re.MULTILINE)
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()]
    return [[found[1] if (found := re.match("`(.*?)`", cell)) else cell for cell in row] for row in rows]
