# Runs Python 3.11 or newer with the arguments: PYTHON, or else the one in .venv, or else the first on PATH.
# shellcheck shell=sh

is_new() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# Python must exist to be too old: a version manager has commands for versions that are not installed.
is_python() { "$1" -c '' 2>/dev/null; }

if [ -z "$PYTHON" ] && [ -e .venv/.packages ] && is_new .venv/bin/python; then exec .venv/bin/python "$@"; fi
if [ -n "$PYTHON" ] && is_new "$PYTHON"; then exec "$PYTHON" "$@"; fi

for found in python3 python3.15 python3.14 python3.13 python3.12 python3.11 ""; do
  if [ -z "$found" ] || is_new "$found"; then break; fi
done
if [ -z "$PYTHON" ] && [ -n "$found" ]; then exec "$found" "$@"; fi

if [ -z "$PYTHON" ]; then
  problem="Python 3.11 or newer was not found"
elif is_python "$PYTHON"; then
  problem="$PYTHON is $("$PYTHON" --version 2>&1), and 3.11 or newer is needed"
else
  problem="$PYTHON was not found"
fi
if [ -n "$found" ]; then
  echo "Error: $problem; leave PYTHON out, and $found is used" >&2
else
  echo "Error: $problem; install one: https://www.python.org/downloads/ (on Debian 12, Ubuntu 24.04 or newer: apt install python3-venv)" >&2
fi
exit 1
