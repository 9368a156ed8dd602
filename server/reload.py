"""Loads the code and the settings, at the start and on each reload (SIGHUP).

On a reload, gunicorn runs gunicorn.conf.py again in its master process, and then replaces the workers, which are copies
of the master. The master has imported the application already, so a reload would bring no new code. And gunicorn ends
the service if its configuration file fails. Both are solved here, before that file defines anything. hooks.py handles
mistakes in the file itself.
"""

import logging
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from click import ClickException

if TYPE_CHECKING:  # At run time, load_release() decides when this is imported.
    from config import Settings

log = logging.getLogger(__name__)

# Installed packages stay as they are until a restart.
OUR_PACKAGES = {"config", "config_database_url", "config_readers", "embedded", "server", "todo"}
# What gunicorn loads before it starts workers. These import most of the rest.
MODULES = ("server.hooks", "server.logger", "server.worker")
NOT_RELOADED = "Not reloaded; code and settings stay as before"


def load_release() -> "Settings":
    """Import the code as it is on disk now, and return its settings.

    If that fails at the start, the process ends with one line. If it fails on a reload, the line goes to the log, and
    the previous code and settings stay in use: the workers that gunicorn starts next are like those they replace.
    """
    previous = unload_release()
    try:
        settings: Settings = import_module("config").read_settings()
        for name in MODULES:
            import_module(name)
    except Exception as error:
        if "config" not in previous:
            if isinstance(error, ClickException):
                # Here and not in a worker: gunicorn would start workers again and again.
                sys.exit(f"Error: {error}")
            raise
        unload_release()
        sys.modules.update(previous)
        settings = import_module("config").read_settings()
        if isinstance(error, ClickException):
            log.error("%s: Error: %s", NOT_RELOADED, error)  # noqa: TRY400 - the message says all
        else:
            log.exception(NOT_RELOADED)
    return settings


def find_release() -> dict[str, ModuleType]:
    """Return our modules among those that Python has loaded, by name."""
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in OUR_PACKAGES}


def unload_release() -> dict[str, ModuleType]:
    """Remove our modules from those that Python has loaded, and return them by name."""
    return {name: sys.modules.pop(name) for name in find_release()}
