"""The values of metrics, in memory that the master and all workers share.

prometheus_client keeps them in files that it maps into memory. If a temporary folder is full, a process that writes to
such a file ends with SIGBUS. Here the library gets memory instead: no file can be left over, and no folder is needed.
"""

import mmap
import struct
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, cast

from prometheus_client import multiprocess, values
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict, _read_all_values

# The library's names of files begin so. The sizes suffice for every route, method and status, as a test checks. Only
# the pages that are used occupy memory.
SIZES = {"counter": 2**21, "gauge_livesum": 2**16, "histogram": 2**21}
# The largest size of a value without its key, and of one value behind all others.
RESERVED = 64
NUMBER = struct.Struct("i")

Regions = dict[str, mmap.mmap]


def make_regions(slots: int) -> Regions:
    """Return a region of memory for each kind of metric in each slot, by the name that the library gives its file."""
    return {f"{kind}_{slot}.db": mmap.mmap(-1, size) for slot in range(slots) for kind, size in SIZES.items()}


def has_regions(regions: Regions, slot: int) -> bool:
    """Return whether there is a region for each kind of metric in a slot."""
    return all(f"{kind}_{slot}.db" in regions for kind in SIZES)


def clear_gauges(regions: Regions, slot: int) -> None:
    """Remove the gauges of a slot."""
    regions[f"gauge_livesum_{slot}.db"][: NUMBER.size] = NUMBER.pack(0)


class SharedDict(MmapedDict):
    """The library's dict of values, in a region instead of a file.

    It uses internals. When prometheus_client is updated, compare mmap_dict.py with the version before. values.py and
    multiprocess.py must still use its class MmapedDict. tests/service/test_metrics.py shows whether values are right.
    """

    regions: ClassVar[Regions] = {}
    _f: Any = None  # Closing it does nothing.

    def __init__(self, filename: str) -> None:
        self._m = self.regions[filename]
        self._capacity = len(self._m)
        self._positions = {}
        [self._used] = NUMBER.unpack_from(self._m)
        if not self._used:
            self._used = 8
            self._m[: NUMBER.size] = NUMBER.pack(self._used)
        for key, _, _, position in self._read_all_values():  # type: ignore[no-untyped-call]
            self._positions[key] = position

    def _init_value(self, key: str) -> None:
        """Add a value. In a full region, further values share a place that is not read."""
        if self._used + len(key.encode()) + RESERVED > self._capacity:
            self._positions[key] = self._capacity - 16
        else:
            super()._init_value(key)  # type: ignore[no-untyped-call]

    @staticmethod
    def read_all_values_from_file(filename: str) -> Iterable[tuple[str, float, float, int]]:
        """Return the keys, values and times in a region; the library calls this to serve them."""
        region = SharedDict.regions[filename]
        [used] = NUMBER.unpack_from(region)
        found: Any = _read_all_values(region[: max(used, NUMBER.size)], used)  # type: ignore[no-untyped-call]
        return cast(Iterable[tuple[str, float, float, int]], found)


class Collector:
    """Collects the sums of all slots."""

    def collect(self) -> Iterator[Metric]:
        """Return the metrics, as prometheus_client's registry calls it."""
        merged: Any = multiprocess.MultiProcessCollector.merge(SharedDict.regions)  # type: ignore[no-untyped-call]
        return iter(merged)


def use_regions(regions: Regions, slot: int) -> None:
    """Keep the values of this process in a slot of the regions."""
    SharedDict.regions = regions
    for module in (values, multiprocess):
        vars(module)["MmapedDict"] = SharedDict
    values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]
