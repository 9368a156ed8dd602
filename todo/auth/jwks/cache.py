"""A cache of the public keys of a Better Auth server, its JWKS (RFC 7517), which is fetched when first needed.

A request whose key is cached never waits for the network: a thread fetches the keys again, well before the cached ones
expire. A request whose key is not cached waits for a fetch. The number of waiting requests is limited, and so is the
rate of fetches for unknown keys.
"""

import logging
from collections.abc import Mapping
from math import ceil
from threading import BoundedSemaphore, Event, Lock, Thread
from time import monotonic

from jwt import PyJWK

from todo import signals
from todo.auth.jwks.endpoint import KeySet, download, read_keys

log = logging.getLogger(__name__)

# Keys expire after this time, also if the endpoint is down: a key that was removed there is trusted no longer.
LIFETIME_SECONDS = 600
# Older keys are fetched again while they stay in use.
REFRESH_SECONDS = 120
# The time between two fetches after a failure, and between two fetches for unknown keys.
PAUSE_SECONDS = 5
# For a whole fetch: a serverless Better Auth and its database may have to start first.
TIMEOUT_SECONDS = 5


class KeysUnavailable(Exception):
    """The keys cannot be fetched right now; the message is for the client."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("The keys that verify tokens cannot be fetched right now; try again in a few seconds.")
        self.retry_after_seconds = retry_after_seconds


class Fetch:
    """A fetch of the keys; ``keys`` is None until it succeeds."""

    def __init__(self, *, for_unknown_key: bool) -> None:
        self.for_unknown_key = for_unknown_key
        self.began = monotonic()
        self.done = Event()
        self.keys: KeySet | None = None

    @property
    def age(self) -> float:
        """Seconds since the fetch began."""
        return monotonic() - self.began


class KeyCache:
    """The keys of one endpoint, shared by the threads of a process.

    ``url`` is http or https; redirects are not followed. At most ``max_waiting`` threads wait for a slow endpoint, so
    others remain for requests whose keys are cached.
    """

    def __init__(self, url: str, max_waiting: int) -> None:
        self._url = url
        self._lock = Lock()
        self._waiting = BoundedSemaphore(max_waiting)
        self._cached: Fetch | None = None  # the latest that succeeded
        self._latest: Fetch | None = None

    def find(self, kid: str) -> Mapping[str, PyJWK]:
        """Return the key with that id, by each algorithm it may be used with; empty if the endpoint has no such key.

        Raises KeysUnavailable if the keys cannot be fetched.
        """
        cached = self._cached
        if cached is None or cached.keys is None or cached.age >= LIFETIME_SECONDS:
            keys = self._wait(self._fetch())
        else:
            keys = cached.keys
            if cached.age >= REFRESH_SECONDS:
                self._fetch()
        # Better Auth publishes a key only when it signs with it, so an unknown key may be new.
        return keys.get(kid) or self._wait(self._fetch(for_unknown_key=True)).get(kid, {})

    def _fetch(self, *, for_unknown_key: bool = False) -> Fetch:
        """Start a fetch, unless it is too early for another; return the latest, which may still be running.

        A fetch that hangs, for example in a name lookup, counts as failed and does not prevent the next one.
        """
        with self._lock:
            latest = self._latest
            if latest is not None:
                if latest.keys is None or (for_unknown_key and latest.for_unknown_key):
                    pause = PAUSE_SECONDS
                else:
                    pause = 0 if for_unknown_key else REFRESH_SECONDS
                if latest.age < pause:
                    return latest
            self._latest = fetch = Fetch(for_unknown_key=for_unknown_key)
            try:
                Thread(target=self._run, args=(fetch,), name="jwks", daemon=True).start()
            except RuntimeError as error:  # Too many threads.
                self._fail(fetch, error)
            return fetch

    def _run(self, fetch: Fetch) -> None:
        try:
            keys = read_keys(download(self._url, TIMEOUT_SECONDS))
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: no thread for the timer.
            self._fail(fetch, error)
            return
        with self._lock:
            fetch.keys = keys
            if self._cached is None or self._cached.began < fetch.began:
                self._cached = fetch
        fetch.done.set()
        signals.keys_fetched.send(outcome="fetched")

    def _fail(self, fetch: Fetch, error: Exception) -> None:
        log.warning("The keys cannot be fetched from %s: %s", self._url.partition("?")[0], error)
        fetch.done.set()
        signals.keys_fetched.send(outcome="failed")

    def _wait(self, fetch: Fetch) -> KeySet:
        if not fetch.done.is_set():
            if not self._waiting.acquire(blocking=False):
                raise KeysUnavailable(1)
            try:
                fetch.done.wait(max(0, TIMEOUT_SECONDS - fetch.age))
            finally:
                self._waiting.release()
        if fetch.keys is None:
            raise KeysUnavailable(max(1, ceil(PAUSE_SECONDS - fetch.age)))
        return fetch.keys
