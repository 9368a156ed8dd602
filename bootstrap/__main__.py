"""``make run``: looks at the port, installs what running needs, and starts the service in this process's place."""

import os

from bootstrap.packages import LISTS, PYTHON, install
from bootstrap.port import check_port, read_port
from bootstrap.progress import ignore_signals, say_stopped, stop_in_order


def main() -> None:
    """Prepare and start the service."""
    stop_in_order(0)
    try:
        check_port(read_port())
        install(LISTS[0])
        os.execv(PYTHON, [str(PYTHON), "-m", "server.trial", "wsgi:app"])  # noqa: S606 - no shell is needed
    except SystemExit as end:
        if end.code == 0:
            ignore_signals()
            say_stopped("Stopped. Run make run again, and it goes on where it stopped.")
        raise


if __name__ == "__main__":
    main()
