"""Query plans at a million tasks: only own rows by an index, and pages of constant cost."""

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.million_tasks import OWN, Reader
from tests.support.pages import read_next

FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "status": {"status": "pending"},
    "priority": {"priority": "high"},
    "tag": {"tag": "tag3"},
    "due": {"due_after": "2026-03-01", "due_before": "2026-03-31"},
    "due in a time zone": {"due_after": "2026-03-01", "due_before": "2026-03-31T12:00:00Z", "time_zone": "Asia/Tokyo"},
    "search": {"search": "milk 7"},
    "a search without results": {"search": "nothing like it"},
    "all": {"completed": "true", "priority": "low", "tag": ["home"], "due_after": "2026-02-01", "search": "ärger"},
}
SORTS = ["created", "updated", "title", "due_date", "priority"]


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_every_query_reads_only_own_rows_by_an_index(reader: Reader, filters: str, sort: str, order: str) -> None:
    query = urlencode({**FILTERS[filters], "sort": sort, "order": order, "limit": "50"}, doseq=True)
    plan = reader.explain(f"/api/tasks?{query}")
    for node in plan.scans:
        assert node["Node Type"] in {"Index Scan", "Index Only Scan", "Bitmap Index Scan", "Bitmap Heap Scan"}
        if node["Node Type"] != "Bitmap Heap Scan":
            assert "user_id" in node["Index Cond"]
    parts = 2 if sort == "due_date" else 1
    assert plan.read <= OWN * parts


@pytest.mark.parametrize("sort", ["created", "updated", "due_date"])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("depth", [0, 9, 15])
def test_pages_read_few_more_rows_than_they_return(reader: Reader, sort: str, order: str, depth: int) -> None:
    path = f"/api/tasks?sort={sort}&order={order}&limit=1000"
    for _ in range(depth):
        path = str(read_next(reader.caller.get(path)))
    plan = reader.explain(path.replace("limit=1000", "limit=50"))
    assert plan.found == 50
    assert plan.read <= 2 * 51
