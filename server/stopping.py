"""Ends the process on SIGTERM or SIGINT before gunicorn handles them, also as the first process of a container.

For the first process of a container, the kernel discards a signal that the process does not handle. gunicorn handles
SIGTERM only after loading, so a stop would be ignored until then.
"""

import os
import signal
import sys

STOPPING = (signal.SIGTERM, signal.SIGINT)


def stop_while_loading(status: int = 0) -> None:
    """Exit with ``status`` on a signal, until gunicorn sets its own handlers; 0 is also gunicorn's own status."""
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # A shell ignores SIGINT for a command in the background.
            signal.signal(number, lambda *_: sys.exit(status))
    release_signals()


def keep_signals_of_new_workers() -> None:
    """Let a worker end on a signal from its first moment; call this once per process.

    A new worker has the handlers of gunicorn's master, which lose the signal, until it sets its own. The master would
    then wait for the worker until WORKER_SECONDS are over.
    """
    os.register_at_fork(before=hold_signals, after_in_parent=release_signals, after_in_child=reset_signals)


def hold_signals() -> None:
    """Let signals wait until release_signals()."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)


def release_signals() -> None:
    """Deliver the signals that wait."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def reset_signals() -> None:
    """End the process on a signal, without any handler."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)
    release_signals()
