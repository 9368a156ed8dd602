# One command per intent. `make run` is all a newcomer needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help install run test proofs check bench bench-endurance bench-finding format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with everything; quick when nothing changed

$(INSTALLED): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python's venv is missing: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	@echo "Installing into $(VENV): about half a minute, once."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# A setting of the environment wins over this file.
.env:
	@(umask 077 && $(PYTHON) -c 'import secrets; print("BETTER_AUTH_SECRET=" + secrets.token_urlsafe(48))' > .env.new)
	@mv .env.new .env
	@echo "Wrote .env with a new BETTER_AUTH_SECRET; give your Better Auth server the same one."

run: install .env ## Install, migrate, serve on PORT, and print a line to paste
	@test -r .env || { echo "Error: .env cannot be read; did another user run this here?"; exit 1; }
	$(BIN)/flask db upgrade
	@TRYING_OUT=1 exec $(BIN)/gunicorn wsgi:app

test: install ## Run the tests: about a minute
	$(BIN)/pytest

proofs: install ## Run the proofs that take long, with whole servers; some need Node.js 20
	$(BIN)/pytest tests/proofs

check: install ## Lint, check types, run the tests and the proofs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest
	$(BIN)/pytest tests/proofs

bench: install ## Measure this service beside two others: about 6 minutes; or bench ARGS=--quick
	$(BIN)/python -m bench.serving $(ARGS)

bench-endurance: install ## Measure whether memory stays flat under a million requests: half an hour; ARGS=--quick too
	$(BIN)/python -m bench.endurance $(ARGS)

bench-finding: install ## Measure how long finding takes as a database grows: some minutes; ARGS=--quick too
	$(BIN)/python -m bench.finding $(ARGS)

format: install ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what install, run and the tests made, the embedded PostgreSQL's data and .env excepted
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis tests/better_auth/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
