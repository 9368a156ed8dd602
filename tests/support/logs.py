"""What the service has written, read as its lines."""

import json
from collections.abc import Callable
from typing import Any

Line = dict[str, Any]


class Log:
    """Lines of JSON, read anew each time."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    @property
    def text(self) -> str:
        return self._read()

    @property
    def lines(self) -> list[Line]:
        """Every line, which must be an object that says when what happened."""
        lines: list[Line] = [json.loads(line) for line in self.text.splitlines()]
        assert [line for line in lines if not {"time", "level", "message", "pid"} <= line.keys()] == []
        return lines

    def find(self, **members: Any) -> list[Line]:
        """The lines that have these members."""
        return [line for line in self.lines if members.items() <= line.items()]

    @property
    def requests(self) -> list[Line]:
        return self.find(message="request")
