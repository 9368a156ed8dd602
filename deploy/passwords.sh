#!/bin/sh
# Give the roles of roles.sql their passwords: for compose.yaml, where the service is on another host than PostgreSQL.
# By variables that psql reads itself, so that they are in nobody's list of processes.
set -eu
psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv owner_password TODO_OWNER_PASSWORD
\getenv web_password TODO_WEB_PASSWORD
ALTER ROLE todo_owner PASSWORD :'owner_password';
ALTER ROLE todo_web PASSWORD :'web_password';
SQL
