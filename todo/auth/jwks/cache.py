"""The public keys of a Better Auth server: its JWKS (RFC 7517), fetched when first needed and kept for a while.

A request whose key is held never waits for the network: keys are fetched by a thread of their own, well before
those that are held grow too old to be trusted. A request whose key is not held waits for a fetch, but only so
many do at once, and an endpoint that is asked again and again for keys it does not have is spared.
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

# A key that the endpoint no longer lists is trusted no longer than this; and if the endpoint is away, none is.
LIFETIME_SECONDS = 600
# Keys older than this are fetched anew while they still serve.
REFRESH_SECONDS = 120
# Between two fetches after a failure, and between two for keys that the endpoint did not list.
PAUSE_SECONDS = 5
# For a fetch as a whole: a serverless Better Auth may have to wake up, and so may its database.
TIMEOUT_SECONDS = 5


class KeysUnavailable(Exception):
    """Whether the server has a key cannot be found out right now; the text may be shown to the caller."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("The keys that verify tokens cannot be fetched right now; try again in a few seconds.")
        self.retry_after_seconds = retry_after_seconds


class Fetch:
    """One request for the keys: when it began, whether it is done, and what it brought; None if it failed."""

    def __init__(self, *, for_unknown_key: bool) -> None:
        self.for_unknown_key = for_unknown_key
        self.began = monotonic()
        self.done = Event()
        self.keys: KeySet | None = None

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return monotonic() - self.began


class KeyCache:
    """The keys of one endpoint, shared by the threads of a process.

    ``url`` is http or https; redirects are not followed. ``max_waiting`` threads at most wait for a fetch, so that
    a slow endpoint leaves some for requests that need none.
    """

    def __init__(self, url: str, max_waiting: int) -> None:
        self._url = url
        self._lock = Lock()
        self._places = BoundedSemaphore(max_waiting)
        self._held: Fetch | None = None  # the last one that succeeded
        self._last: Fetch | None = None

    def find(self, kid: str) -> Mapping[str, PyJWK]:
        """Return the key of that id by each algorithm it may be used with; empty if the endpoint has none.

        Raises KeysUnavailable if the endpoint does not say.
        """
        held = self._held
        if held is None or held.keys is None or held.age >= LIFETIME_SECONDS:
            keys = self._wait(self._fetch())
        else:
            keys = held.keys
            if held.age >= REFRESH_SECONDS:
                self._fetch()
        # Better Auth does not publish a key before it signs with it: an unknown one may be new.
        return keys.get(kid) or self._wait(self._fetch(for_unknown_key=True)).get(kid, {})

    def _fetch(self, *, for_unknown_key: bool = False) -> Fetch:
        """Begin a fetch, unless it is too early for another; return the last one, which may be under way.

        One that is stuck, say in looking up a name, counts as failed: it keeps no other from being tried.
        """
        with self._lock:
            last = self._last
            if last is not None:
                if last.keys is None or (for_unknown_key and last.for_unknown_key):
                    pause = PAUSE_SECONDS
                else:
                    pause = 0 if for_unknown_key else REFRESH_SECONDS
                if last.age < pause:
                    return last
            self._last = fetch = Fetch(for_unknown_key=for_unknown_key)
            try:
                Thread(target=self._run, args=(fetch,), name="jwks", daemon=True).start()
            except RuntimeError as error:  # Too many threads.
                self._fail(fetch, error)
            return fetch

    def _run(self, fetch: Fetch) -> None:
        try:
            keys = read_keys(download(self._url, TIMEOUT_SECONDS))
        except (OSError, ValueError) as error:
            self._fail(fetch, error)
            return
        with self._lock:
            fetch.keys = keys
            if self._held is None or self._held.began < fetch.began:
                self._held = fetch
        fetch.done.set()
        signals.keys_fetched.send(outcome="fetched")

    def _fail(self, fetch: Fetch, error: Exception) -> None:
        log.warning("The keys cannot be fetched from %s: %s", self._url.partition("?")[0], error)
        fetch.done.set()
        signals.keys_fetched.send(outcome="failed")

    def _wait(self, fetch: Fetch) -> KeySet:
        if not fetch.done.is_set():
            if not self._places.acquire(blocking=False):
                raise KeysUnavailable(1)
            try:
                fetch.done.wait(max(0, TIMEOUT_SECONDS - fetch.age))
            finally:
                self._places.release()
        if fetch.keys is None:
            raise KeysUnavailable(max(1, ceil(PAUSE_SECONDS - fetch.age)))
        return fetch.keys
