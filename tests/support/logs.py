"""Read the log of the service."""

import json
from collections.abc import Callable
from typing import Any

Line = dict[str, Any]


class Log:
    """The log as lines of JSON, read again on each access."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    @property
    def text(self) -> str:
        return self._read()

    @property
    def lines(self) -> list[Line]:
        """All lines. Each must be an object with time, level, message and pid."""
        lines: list[Line] = [json.loads(line) for line in self.text.splitlines()]
        assert [line for line in lines if not {"time", "level", "message", "pid"} <= line.keys()] == []
        return lines

    def find(self, **fields: Any) -> list[Line]:
        """Return the lines with these fields."""
        return [line for line in self.lines if fields.items() <= line.items()]

    @property
    def requests(self) -> list[Line]:
        return self.find(message="request")
