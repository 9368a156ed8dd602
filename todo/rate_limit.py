"""How often a user may ask, counted in each process or in Redis for all of them; and how many searches run at once."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from threading import Lock
from typing import Any

from flask import Flask, current_app, g
from limits import parse
from limits.errors import StorageError
from limits.storage import RedisStorage, Storage
from limits.strategies import FixedWindowRateLimiter
from werkzeug.exceptions import TooManyRequests

from config import Settings
from todo import signals

log = logging.getLogger(__name__)

# How long Redis may take to answer.
STORAGE_SECONDS = 0.25
# When it did not, nobody asks it for so long.
PAUSE_SECONDS = 5
SWEEP_SECONDS = 60


def init_app(app: Flask, settings: Settings) -> None:
    """Begin to count."""
    app.extensions["rate_limiter"] = RateLimiter(settings)
    # So that one user's slow searches leave most threads to others.
    app.extensions["searches"] = Turns(max(1, settings.threads // 4))


def count_request() -> None:
    """Count a request of the user in ``g.user_id``, if there is one; raises TooManyRequests."""
    if "user_id" in g:
        limiter: RateLimiter = current_app.extensions["rate_limiter"]
        limiter.count(g.user_id)


@contextmanager
def take_turn(user_id: str) -> Iterator[None]:
    """Count a search of the user as under way; raises TooManyRequests while too many are."""
    turns: Turns = current_app.extensions["searches"]
    if not turns.begin(user_id):
        signals.request_limited.send()
        raise TooManyRequests("Other searches of yours are under way; try again in 1 second.", retry_after=1)
    try:
        yield
    finally:
        turns.end(user_id)


class Turns:
    """Counts what is under way for each user in this process, up to a number."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._under_way: Counter[str] = Counter()

    def begin(self, user_id: str) -> bool:
        """Count one more; say whether it may be."""
        with self._lock:
            may = self._under_way[user_id] < self._most
            self._under_way[user_id] += may
        return may

    def end(self, user_id: str) -> None:
        """Count one less."""
        with self._lock:
            self._under_way[user_id] -= 1
            if not self._under_way[user_id]:
                del self._under_way[user_id]


class RateLimiter:
    """Counts requests; where they are counted may be away, and then nobody is stopped."""

    def __init__(self, settings: Settings) -> None:
        self._limit = parse(settings.rate_limit) if settings.rate_limit else None
        self._strategy = FixedWindowRateLimiter(open_storage(settings.rate_limit_storage))
        self._asks_again_at = 0.0

    def count(self, user_id: str) -> None:
        """Count a request of the user; raises TooManyRequests, with when to come again, once there are too many."""
        if self._limit is None or time.monotonic() < self._asks_again_at:
            return
        try:
            if self._strategy.hit(self._limit, user_id):
                return
            reset_at = self._strategy.get_window_stats(self._limit, user_id).reset_time
        except StorageError as error:
            self._asks_again_at = time.monotonic() + PAUSE_SECONDS
            log.warning("Requests are not counted for %s s: %s", PAUSE_SECONDS, error)
            return
        signals.request_limited.send()
        wait = max(1, ceil(reset_at - time.time()))
        raise TooManyRequests(f"More than {self._limit}; try again in {wait} seconds.", retry_after=wait)


class MemoryCounter(Storage):
    """Counts in this process. (The library's own starts a thread a hundred times a second, which costs more.)"""

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()
        self._counts: dict[str, tuple[float, int]] = {}  # until when, and how many
        self._sweep_at = 0.0

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        now = time.time()
        with self._lock:
            if now >= self._sweep_at:
                self._counts = {each: count for each, count in self._counts.items() if count[0] > now}
                self._sweep_at = now + SWEEP_SECONDS
            until, count = self._counts.get(key, (0.0, 0))
            until, count = (until, count + amount) if until > now else (now + expiry, amount)
            self._counts[key] = until, count
        return count

    def get(self, key: str) -> int:
        until, count = self._counts.get(key, (0.0, 0))
        return count if until > time.time() else 0

    def get_expiry(self, key: str) -> float:
        return self._counts.get(key, (time.time(), 0))[0]

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        number, self._counts = len(self._counts), {}
        return number

    def clear(self, key: str) -> None:
        self._counts.pop(key, None)


def open_storage(url: str | None) -> Storage:
    """Return where requests are counted: in the Redis of this URL, or in this process."""
    if url is None:
        return MemoryCounter()
    seconds: Any = STORAGE_SECONDS  # Whatever the library's types say, the client takes numbers.
    return RedisStorage(url, wrap_exceptions=True, socket_timeout=seconds, socket_connect_timeout=seconds)
