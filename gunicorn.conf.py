"""gunicorn's settings and hooks. gunicorn reads this file when it starts in this folder, and again on a reload."""

from server.reload import load_release

settings = load_release()

# Imported here, because load_release() replaces the code on a reload.
from server import hooks  # noqa: E402

on_starting = hooks.on_starting
when_ready = hooks.when_ready
pre_fork = hooks.pre_fork
post_worker_init = hooks.post_worker_init
child_exit = hooks.child_exit
on_exit = hooks.on_exit

bind = f"{'127.0.0.1' if hooks.trying_out else '0.0.0.0'}:{settings.port}"  # noqa: S104 - for other machines
workers = settings.web_concurrency
worker_class = "server.worker.Worker"
# Each thread has a database connection. Unlike gunicorn's sync worker, threads keep client connections open.
threads = settings.threads
# Longer than proxies keep an idle connection (nginx: 60 s). If we closed it first, a request could be on its way.
keepalive = 75
# Per worker. With its other files it stays below 1024, the usual limit of open files per process.
worker_connections = 900
# A worker whose main loop hangs for this long is replaced.
timeout = settings.worker_seconds
# When a worker stops, its requests have WORKER_SECONDS to finish. The worker stops waiting a second before gunicorn
# kills it, and logs the requests that it cuts off (server/worker.py).
graceful_timeout = settings.worker_seconds + 1
logger_class = "server.logger.Logger"
# By default, a client on this machine may set the path prefix (SCRIPT_NAME) by a header.
forwarder_headers = ""
# gunicorn's maximum: URLs with filters, search and cursor are long.
limit_request_line = 8190
# sendfile() would wait for a slow client without a limit; other writes have a timeout (server/worker.py).
sendfile = False
# Not needed: a socket in the home directory through which any process of the same user could control gunicorn.
control_socket_disable = True
