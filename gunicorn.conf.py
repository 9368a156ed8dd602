"""gunicorn's settings and hooks. gunicorn reads this file when it starts in this folder, and again on a reload.

In another folder, it needs the option --config with the path of this file.
"""

import signal
import sys
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).resolve().parent)
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from server import stopping  # noqa: E402
from server.reload import load_release  # noqa: E402

# Only at the start, since a reload must keep gunicorn's handler.
if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
    stopping.stop_while_loading()

settings = load_release()

# Imported here, because load_release() replaces the code on a reload.
from server import hooks  # noqa: E402
from server.clients import MAX_HEAD_BYTES  # noqa: E402
from server.limits import find_heartbeat_folder, limit_connections  # noqa: E402


def on_starting(server: Any) -> None:
    """Prepare the master process, once."""
    stopping.keep_signals_of_new_workers()
    hooks.on_starting(server)


when_ready = hooks.when_ready
pre_fork = hooks.pre_fork
post_worker_init = hooks.post_worker_init
child_exit = hooks.child_exit
on_exit = hooks.on_exit

bind = hooks.find_address()
workers = settings.web_concurrency
worker_class = "server.worker.Worker"
# Each thread has a database connection. Unlike gunicorn's sync worker, threads keep client connections open.
threads = settings.threads
# Longer than proxies keep an idle connection (nginx: 60 s). If we closed it first, a request could be on its way.
keepalive = 75
# Per worker.
worker_connections = limit_connections(workers, threads)
worker_tmp_dir = find_heartbeat_folder()
# A worker whose main loop hangs for this long is replaced.
timeout = settings.worker_seconds
# When a worker stops, its requests have WORKER_SECONDS to finish. The worker stops waiting a second before gunicorn
# kills it, and logs the requests that it cuts off (server/worker.py).
graceful_timeout = settings.worker_seconds + 1
logger_class = "server.logger.Logger"
# By default, a client on this machine may set the path prefix (SCRIPT_NAME) by a header.
forwarder_headers = ""
# Of two such headers, a proxy may send both. gunicorn would refuse the request if they differ, or if it does not know a
# value of one. The application reads X-Forwarded-Proto only (todo/web/application.py).
secure_scheme_headers: dict[str, str] = {}
# Cookies of other services on the same host are not read, but browsers send them all in one header. Only the size of
# all headers is limited (server/clients.py).
limit_request_field_size = MAX_HEAD_BYTES
# Lets a method in lower case reach the application. Its 405 has the headers that let a page read it.
permit_unconventional_http_method = True
# sendfile() would wait for a slow client without a limit; other writes have a timeout (server/worker.py).
sendfile = False
# Not needed: a socket in the home directory through which any process of the same user could control gunicorn.
control_socket_disable = True
