"""The limit on the number of a user's requests in a time window."""

import logging
import time
from math import ceil
from threading import Lock
from typing import Any, Protocol

from flask import Flask, current_app, g
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter
from werkzeug.exceptions import TooManyRequests

from config import Settings
from todo import signals

log = logging.getLogger(__name__)

REDIS_TIMEOUT_SECONDS = 0.25
# After Redis failed, requests are not counted for this long.
PAUSE_SECONDS = 5
SWEEP_SECONDS = 60


def init_app(app: Flask, settings: Settings) -> None:
    """Create the limit of this application."""
    app.extensions["rate_limiter"] = RateLimiter(settings)


def count_request() -> None:
    """Count a request of the user in ``g.user_id``, if there is one; raises TooManyRequests."""
    if "user_id" in g:
        limiter: RateLimiter = current_app.extensions["rate_limiter"]
        limiter.count(g.user_id)


class RateLimiter:
    """Counts requests in this process or in Redis; while Redis is unavailable, all requests are allowed."""

    def __init__(self, settings: Settings) -> None:
        self._limit = parse(settings.rate_limit) if settings.rate_limit else None
        if self._limit:
            url = settings.rate_limit_storage
            self._counter: WindowCounter = RedisCounter(self._limit, url) if url else MemoryCounter(self._limit)
        self._paused_until = 0.0

    def count(self, user_id: str) -> None:
        """Count a request of the user; raises TooManyRequests, with Retry-After, if it is above the limit."""
        if self._limit is None or time.monotonic() < self._paused_until:
            return
        try:
            seconds = self._counter.hit(user_id)
        except StorageError as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            log.warning("Requests are not counted for %s s: %s", PAUSE_SECONDS, error)
            return
        if seconds is not None:
            signals.request_limited.send()
            wait = min(max(1, ceil(seconds)), self._limit.get_expiry())
            raise TooManyRequests(f"More than {self._limit}; try again in {wait} seconds.", retry_after=wait)


class WindowCounter(Protocol):
    """Counts each user's requests in a window of time that begins with the first of them."""

    def hit(self, user_id: str) -> float | None:
        """Count a request; return None if it is within the limit, else the seconds until the window ends."""


class RedisCounter:
    """Counts in Redis, for all processes together; raises limits' StorageError."""

    def __init__(self, limit: RateLimitItem, url: str) -> None:
        timeout: Any = REDIS_TIMEOUT_SECONDS  # The client takes numbers, whatever the library's types say.
        storage = RedisStorage(url, wrap_exceptions=True, socket_timeout=timeout, socket_connect_timeout=timeout)
        self._limit, self._strategy = limit, FixedWindowRateLimiter(storage)

    def hit(self, user_id: str) -> float | None:
        if self._strategy.hit(self._limit, user_id):
            return None
        return self._strategy.get_window_stats(self._limit, user_id).reset_time - time.time()


class MemoryCounter:
    """Counts in this process, by the monotonic clock, because the system's clock may be set back.

    limits' MemoryStorage is not used: it starts a thread every 10 ms, which checks all users. At 200 requests a second,
    that costs 100 to 550 µs of CPU per request for 10 to 10,000 users; this class costs less than 1 µs.
    """

    def __init__(self, limit: RateLimitItem) -> None:
        self._most, self._seconds = limit.amount, limit.get_expiry()
        self._lock = Lock()
        self._windows: dict[str, tuple[float, int]] = {}  # by user: when the window ends, and the requests in it
        self._sweep_at = 0.0

    def hit(self, user_id: str) -> float | None:
        now = time.monotonic()
        with self._lock:
            if now >= self._sweep_at:
                self._windows = {user: window for user, window in self._windows.items() if window[0] > now}
                self._sweep_at = now + SWEEP_SECONDS
            ends_at, count = self._windows.get(user_id, (0.0, 0))
            if ends_at <= now:
                ends_at, count = now + self._seconds, 0
            self._windows[user_id] = ends_at, count + 1
        return None if count < self._most else ends_at - now
