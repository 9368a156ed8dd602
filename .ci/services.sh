# shellcheck shell=bash disable=SC2034
# Functions of .ci/run that start and stop programs. Everything is under $work and ends with the script.

postgres=/usr/lib/postgresql/15/bin
work=$(mktemp -d)
chmod 755 "$work" # The steps run as several users.
mkdir "$work/services"
trap stop_everything EXIT

say() { printf '\n=== %s\n' "$*"; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Runs a command as nobody if this is root, because PostgreSQL and PgBouncer refuse to run as root.
as_server() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi
}

# start_until LINE COMMAND...: starts a command and waits at most 5 minutes for an output line that begins with LINE.
# Sets $output to the file with the output, and $service to the process id.
start_until() {
  local line=$1
  shift
  output=$(mktemp "$work/output.XXXXXX")
  # A session of its own makes the process id a group id, so signals reach all processes of the command.
  setsid "$@" >"$output" 2>&1 &
  service=$!
  # Steps run in subshells, whose variables stop_everything cannot see; so the ids are names of files.
  touch "$work/services/$service"
  for _ in $(seq 1500); do
    if grep -q "^$line" "$output"; then return; fi
    kill -0 "$service" 2>/dev/null || break
    sleep 0.2
  done
  cat "$output"
  return 1
}

# stop_services SERVICE...: does what Ctrl-C does.
stop_services() {
  local service
  for service; do
    kill -INT -- "-$service"
    wait "$service" || true
    rm "$work/services/$service"
  done
}

# start_postgres NAME: starts a PostgreSQL 15 in $work/NAME. Sets $port, and $database_url to its superuser's URL.
start_postgres() {
  port=$(free_port)
  database_url=postgresql://postgres:throwaway@127.0.0.1:$port/postgres
  mkdir "$work/$1"
  (umask 022 && printf throwaway >"$work/$1/password")
  if [ "$(id -u)" = 0 ]; then chown nobody "$work/$1"; fi
  (
    cd "$work/$1" || exit
    as_server "$postgres/initdb" -D data -U postgres --pwfile=password --auth=scram-sha-256 \
      --encoding=UTF8 --locale=C.UTF-8 >/dev/null
    as_server "$postgres/pg_ctl" -D data -w -l log \
      -o "-c listen_addresses=127.0.0.1 -c max_connections=300 -p $port -k $work/$1" start >/dev/null
  )
}

# start_pgbouncer NAME: starts a PgBouncer in transaction mode in front of the PostgreSQL NAME. Sets $database_url.
start_pgbouncer() {
  local pooler_port
  pooler_port=$(free_port)
  echo '"postgres" "throwaway"' >"$work/$1/users.txt"
  cat >"$work/$1/pgbouncer.ini" <<END
[databases]
* = host=127.0.0.1 port=$port
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $pooler_port
unix_socket_dir =
pool_mode = transaction
default_pool_size = 4
max_client_conn = 1000
auth_type = scram-sha-256
auth_file = $work/$1/users.txt
auth_user = postgres
auth_query = SELECT usename, passwd FROM pg_shadow WHERE usename = \$1
logfile = $work/$1/pgbouncer.log
pidfile = $work/$1/pgbouncer.pid
END
  as_server /usr/sbin/pgbouncer -q -d "$work/$1/pgbouncer.ini"
  database_url=postgresql://postgres:throwaway@127.0.0.1:$pooler_port/postgres
}

# shellcheck disable=SC2329 # The trap invokes it.
stop_everything() {
  local file
  for file in "$work"/services/*; do
    kill -TERM -- "-${file##*/}" 2>/dev/null || true
  done
  for file in "$work"/*/pgbouncer.pid; do
    if [ -s "$file" ]; then kill "$(cat "$file")" 2>/dev/null || true; fi
  done
  for file in "$work"/*/data; do
    as_server "$postgres/pg_ctl" -D "$file" -m immediate stop >/dev/null 2>&1 || true
  done
  rm -rf "$work"
}
