#!/bin/sh
# Sets the passwords of the roles in roles.sql. compose.yaml needs them: the service and PostgreSQL are on different
# hosts there.
# psql reads them from environment variables itself, so they do not appear in the process list.
set -eu
psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv owner_password TODO_OWNER_PASSWORD
\getenv web_password TODO_WEB_PASSWORD
ALTER ROLE todo_owner PASSWORD :'owner_password';
ALTER ROLE todo_web PASSWORD :'web_password';
SQL
