#!/bin/sh
# PgBouncer takes passwords from a file only: it is written where the container may write, and gone with it.
set -eu
umask 077
printf '"todo_web" "%s"\n' "$TODO_WEB_PASSWORD" > /tmp/users.txt
exec pgbouncer /opt/pgbouncer/pgbouncer.ini
