"""The threads that serve requests: as many as THREADS, and more while threads wait.

In Python, threads that run compete for one lock. With 64 connections, 80 threads cost half as much CPU again for each
request as 8. So there are further threads only while some wait for slots (todo/slots.py), or while all are stuck.
"""

import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

from todo.slots import PLACES

# Threads for requests that need no slot, such as /healthz, when all others have one or wait for one.
SPARE_THREADS = 8
# If requests wait for a thread, and none got one for this long, all threads are stuck.
STUCK_SECONDS = 0.1


class Pool(ThreadPoolExecutor):
    """A pool that goes on with the threads that it has while the system allows no further one. Without any, it fails.

    It uses internals. When Python is updated, compare submit() and _adjust_thread_count() in concurrent/futures/
    thread.py with the version before, and the names _threads, _max_workers, _shutdown_lock and _work_queue.
    """

    def _adjust_thread_count(self) -> None:
        """Start a thread if one is needed; raises RuntimeError if there would be none at all."""
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                raise


class Threads(Pool):
    """A pool that can grow."""

    def __init__(self, size: int) -> None:
        super().__init__(size, "request")
        self._most = size + PLACES + SPARE_THREADS
        # When a thread last began to serve a request, by the monotonic clock. The threads set it.
        self.started_at = 0.0

    def has_waiting(self) -> bool:
        """Return whether connections wait for a thread."""
        return self._work_queue.qsize() > 0

    def wait_beside(self, wait: Callable[[Hashable], bool], owner: Hashable) -> bool:
        """Call a function that waits; meanwhile there may be one more thread."""
        self._change_limit(1)
        try:
            return wait(owner)
        finally:
            self._change_limit(-1)

    def grow_if_stuck(self) -> None:
        """Add a thread if connections wait for one and all are stuck."""
        stuck = time.monotonic() - self.started_at > STUCK_SECONDS
        if stuck and self.has_waiting() and self._max_workers < self._most:
            self._change_limit(1)

    def _change_limit(self, number: int) -> None:
        """Change the largest number of threads, and start one if it grew. A thread never ends."""
        with self._shutdown_lock:
            self._max_workers += number
            if number > 0:
                self._adjust_thread_count()
