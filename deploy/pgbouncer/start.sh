#!/bin/sh
# PgBouncer reads passwords from a file only. The file is in /tmp, the only writable folder, which ends with the
# container.
set -eu
umask 077
printf '"todo_web" "%s"\n' "$TODO_WEB_PASSWORD" > /tmp/users.txt
exec pgbouncer /opt/pgbouncer/pgbouncer.ini
