"""The memory of the metrics has room for every route, and a full one does no harm."""

import mmap
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry, Counter, generate_latest, multiprocess, values

from server.metrics import NO_ROUTE, Metrics, start
from server.shared_values import NUMBER, SIZES, Collector, SharedDict, make_regions, use_regions
from todo.web.headers import METHODS
from todo.web.requests import OTHER_METHOD, name_route


@pytest.fixture(autouse=True)
def _own_values(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the changes to prometheus_client in the test."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    for module in (values, multiprocess):
        monkeypatch.setattr(module, "MmapedDict", SharedDict)
    monkeypatch.setattr(values, "ValueClass", None)
    yield
    SharedDict.regions = {}


def test_every_route_method_and_status_fits_twice(app: Flask) -> None:
    regions = make_regions(1)
    use_regions(regions, 0)
    metrics = Metrics()
    for route in {name_route(rule.rule) for rule in app.url_map.iter_rules()} | {NO_ROUTE}:
        for method in (*METHODS, OTHER_METHOD):
            metrics._timers(method, route).observe(1)  # noqa: SLF001
            for status in range(20):
                metrics._counters(method, route, 400 + status).inc()  # noqa: SLF001
    used = {name.removesuffix("_0.db"): NUMBER.unpack_from(region)[0] for name, region in regions.items()}
    assert used.keys() == SIZES.keys()
    assert [kind for kind, size in SIZES.items() if used[kind] > size / 2] == []


def test_values_without_room_are_left_out() -> None:
    use_regions({"counter_0.db": mmap.mmap(-1, mmap.PAGESIZE)}, 0)
    counter = Counter("calls", "Calls.", ("number",), registry=None)
    for number in range(100):
        counter.labels(number).inc(2)
    registry = CollectorRegistry()
    registry.register(Collector())
    found = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    assert found[0] == 'calls_total{number="0"} 2.0'
    assert {line.split()[1] for line in found} == {"2.0"}
    assert 20 < len(found) < 60


def test_a_reloaded_worker_without_its_memory_serves_without_metrics(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    """The master has the memory that the release had with which it started."""
    start(SimpleNamespace(exposition=SimpleNamespace(), metrics_slot=0), app)
    assert "restart the service" in caplog.text
