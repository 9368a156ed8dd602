"""Slots: how many requests run at once in a process, and how many of them belong to one user.

A request takes a slot when its user is known, and gives it back when its response has been sent or its connection is
lost. So slow searches, and responses that are read slowly, of one user leave half of the slots to others. A request
that gets no slot waits for one, which costs a thread but no database connection. The worker starts further threads
then (server/threads.py), so there is always one for /healthz.
"""

import logging
import time
from collections import deque
from collections.abc import Hashable, Iterable
from threading import Lock
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app, g, request
from werkzeug.exceptions import ServiceUnavailable, TooManyRequests

from config import Settings
from todo import signals
from todo.database.isolation import Isolation
from todo.database.watchdog import spend_time
from todo.web.problems import RETRY_AFTER_SECONDS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

# How many requests may wait for a slot, and how many of them may belong to one user.
PLACES, PLACES_OF_USER = 64, 32
# In a burst, further requests wait this long. After this time without a free slot, they are refused at once.
BURST_SECONDS = 0.25
CROWDED = "Too many of your requests are running; try again in 1 second."
# The key of the WSGI environment for the owner of a slot.
SLOT_KEY = "todo.slot"


def init_app(app: Flask, settings: Settings) -> None:
    """Create the slots of this application: one for each database connection."""
    slots = app.extensions["slots"] = Slots(settings.threads, settings.pool_seconds)
    app.wsgi_app = release_at_end(app.wsgi_app, slots)  # type: ignore[assignment,method-assign]


def take_slot() -> None:
    """Take a slot for the user in ``g.user_id``, if there is one: a before_request hook after authentication.

    Raises Crowded if too many requests of the user run already, and ServiceUnavailable if no slot is free.
    """
    if "user_id" in g:
        take(g.user_id)


def take_shared_slot() -> None:
    """Take a slot for a request without a user: all requests of its blueprint count as one user's."""
    take((request.blueprint,))


def take(owner: Hashable) -> None:
    """Take a slot until the end of the request. Waiting for it is part of the request's time limit."""
    slots: Slots = current_app.extensions["slots"]
    if not slots.try_take(owner):
        started = time.monotonic()
        if not slots.wait(owner):
            refuse(slots.has_all(owner), started)
        spend_time(time.monotonic() - started)
    request.environ[SLOT_KEY] = owner


def refuse(has_all: bool, since: float) -> None:
    """Raise Crowded for an owner that has all slots that one may have, else ServiceUnavailable.

    If the database answered nobody while the request waited, the owner is not the cause.
    """
    isolation: Isolation = current_app.extensions["isolation"]
    if has_all and isolation.connections.answered_at > min(since, time.monotonic() - BURST_SECONDS):
        signals.request_limited.send()
        raise Crowded(CROWDED, retry_after=1)
    log.warning("No slot is free: requests take too long, or there are too many")
    raise ServiceUnavailable(retry_after=RETRY_AFTER_SECONDS)


class Crowded(TooManyRequests):
    problem_code = "too_many_concurrent_requests"


class Waiter:
    """A request that waits for a slot; ``turn`` is released when it gets one."""

    __slots__ = ("owner", "since", "turn")

    def __init__(self, owner: Hashable) -> None:
        self.owner, self.since, self.turn = owner, time.monotonic(), Lock()
        self.turn.acquire()


class Slots:
    """Slots in the order in which they are asked for, except that an owner gets at most half of them, at least one."""

    def __init__(self, size: int, seconds: float) -> None:
        self._free, self._most, self._seconds = size, max(1, size // 2), seconds
        self._lock = Lock()
        self._taken: dict[Hashable, int] = {}
        # Nobody here could have a slot that is free.
        self._waiting: deque[Waiter] = deque()

    def try_take(self, owner: Hashable) -> bool:
        """Take a slot if the owner may have one now, and return whether it did."""
        with self._lock:
            taken = self._taken.get(owner, 0)
            if not self._free or taken >= self._most:
                return False
            self._free -= 1
            self._taken[owner] = taken + 1
            return True

    def wait(self, owner: Hashable) -> bool:
        """Wait for a slot, and return whether the owner got it in time."""
        waiter = Waiter(owner)
        with self._lock:
            seconds = self._find_patience(waiter)
            if not seconds:
                return False
            self._waiting.append(waiter)
            self._grant()
        if waiter.turn.acquire(timeout=seconds):
            return True
        with self._lock:
            if waiter.turn.locked():
                self._waiting.remove(waiter)
            return not waiter.turn.locked()

    def release(self, owner: Hashable) -> None:
        """Give a slot back, to the first who waits and may have it."""
        with self._lock:
            self._free += 1
            taken = self._taken[owner] - 1
            if taken:
                self._taken[owner] = taken
            else:
                del self._taken[owner]
            if self._waiting:
                self._grant()

    def has_all(self, owner: Hashable) -> bool:
        """Return whether the owner has as many slots as one may have."""
        return self._taken.get(owner, 0) >= self._most

    def _grant(self) -> None:
        """Give a free slot to the first who waits and may have it. The lock is held."""
        for waiter in self._waiting:
            taken = self._taken.get(waiter.owner, 0)
            if self._free and taken < self._most:
                self._free -= 1
                self._taken[waiter.owner] = taken + 1
                self._waiting.remove(waiter)
                waiter.turn.release()
                return

    def _find_patience(self, waiter: Waiter) -> float:
        """Return for how many seconds a request may wait. The lock is held."""
        if sum(other.owner == waiter.owner for other in self._waiting) >= PLACES_OF_USER:
            return 0
        if len(self._waiting) < PLACES:
            return self._seconds
        return BURST_SECONDS if waiter.since - self._waiting[0].since < BURST_SECONDS else 0


class Closing:
    """A response that gives its slot back when the server closes it: sent, or the connection lost (PEP 3333)."""

    __slots__ = ("_chunks", "_owner", "_slots")

    def __init__(self, chunks: Iterable[bytes], slots: Slots, owner: Hashable) -> None:
        self._chunks, self._slots, self._owner = chunks, slots, owner

    def __iter__(self) -> Any:
        return iter(self._chunks)

    def close(self) -> None:
        try:
            if hasattr(self._chunks, "close"):
                self._chunks.close()
        finally:
            self._slots.release(self._owner)


def release_at_end(application: "WSGIApplication", slots: Slots) -> "WSGIApplication":
    """Give the slot of a request back when the server closes the response: WSGI middleware."""

    def run(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        try:
            chunks = application(environ, start_response)
        except BaseException:
            if SLOT_KEY in environ:
                slots.release(environ[SLOT_KEY])
            raise
        return Closing(chunks, slots, environ[SLOT_KEY]) if SLOT_KEY in environ else chunks

    return run
