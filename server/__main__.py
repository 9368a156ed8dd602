"""Starts gunicorn: ``python -m server`` takes the arguments of the command ``gunicorn``, such as ``wsgi:app``.

gunicorn converts WEB_CONCURRENCY as soon as it is imported, and prints a traceback if it is not a number.
"""

import os
import sys
from importlib import import_module


def main() -> None:
    """Run gunicorn. WEB_CONCURRENCY may also be empty, which counts as not set, or auto: one worker per core."""
    workers = os.environ.pop("WEB_CONCURRENCY", "").strip()
    if workers.lower() == "auto":
        workers = str(os.cpu_count() or 1)
    if workers and not workers.isdecimal():
        sys.exit(f"Error: WEB_CONCURRENCY is {workers!r}: it must be a whole number from 1 to 512, or auto")
    if workers:
        os.environ["WEB_CONCURRENCY"] = workers
    import_module("gunicorn.app.wsgiapp").run()


if __name__ == "__main__":
    main()
