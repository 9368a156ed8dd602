# One command per task. Start with `make run`.

# By default the first Python on PATH that is new enough; make run PYTHON=python3.12 chooses one.
PYTHON ?=
export PYTHON
VENV := .venv
BIN := $(VENV)/bin
# Runs Python before there is .venv.
ANY_PYTHON := sh bootstrap/python.sh
FRONTEND := examples/nextjs
FRONTEND_URL := http://localhost:3000

.PHONY: help install run frontend lint test test-citus proofs clients check bench bench-compare bench-statements bench-endurance bench-finding pins audit document format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## Create .venv with all packages; quick when nothing changed
	@$(ANY_PYTHON) -m bootstrap.packages requirements-dev.txt

# Environment variables override this file.
.env:
	@(umask 077 && $(ANY_PYTHON) -c 'import secrets; print("BETTER_AUTH_SECRET=" + secrets.token_urlsafe(48))' > .env.new)
	@echo "BETTER_AUTH_URL=$(FRONTEND_URL)" >> .env.new
	@mv .env.new .env
	@echo "Wrote .env, the settings, with a new secret."

# One process from the look at the port to the end of the service, so that Ctrl-C is a stop and no error.
run: .env ## Install what running needs, migrate and serve on PORT; prints a link and a curl command to try
	@test -r .env || { echo "Error: .env belongs to another user; clone into a folder that you own"; exit 1; }
	@exec $(ANY_PYTHON) -m bootstrap

frontend: .env ## Serve the example frontend next to make run; needs Node.js 20.19 or newer
	@node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major * 100 + +minor < 2019 ? 1 : 0)' 2>/dev/null \
		&& command -v npm >/dev/null || { echo "Error: Node.js 20.19 or newer, with npm, is needed: https://nodejs.org"; exit 1; }
	@$(ANY_PYTHON) -m bootstrap.packages requirements-run.txt
	@DATABASE_URL=$$($(BIN)/flask database-url) && export DATABASE_URL \
		&& exec node --env-file=.env $(FRONTEND)/scripts/beside-service.mjs

test: install ## Run the fast tests in two processes: about a minute
	$(BIN)/pytest -n 2 --dist worksteal

test-citus: install ## Run the fast tests on a Citus cluster; COORDINATOR=postgresql://… is the URL of a superuser
	TEST_CITUS=on TEST_DATABASE_URL=$(COORDINATOR) $(BIN)/pytest

PROOFS := tests/service tests/documents tests/proofs
proofs: install ## Run the slow tests with real servers; some need Node.js 20.19, Chromium and more
	$(BIN)/pytest $(PROOFS)

clients: install ## Generate clients with other people's tools and run them: about a minute
	@$(BIN)/python -m tests.clients

lint: install ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test proofs ## Run everything that must pass: lint, test and proofs

bench: install ## Measure CPU time and latency beside two other services: 6 minutes; ARGS=--quick takes two
	$(BIN)/python -m bench.serving $(ARGS)

bench-compare: install ## Measure the CPU time beside another checkout, BEFORE=../before: two minutes
	$(BIN)/python -m bench.compare $(BEFORE) $(ARGS)

bench-statements: install ## Measure the CPU time of a PostgreSQL backend for each statement: half a minute
	$(BIN)/python -m bench.statements $(ARGS)

bench-endurance: install ## Measure memory during a million requests: half an hour; ARGS=--quick for a trial
	$(BIN)/python -m bench.endurance $(ARGS)

bench-finding: install ## Measure lists and searches as a database grows: some minutes; ARGS=--quick for a trial
	$(BIN)/python -m bench.finding $(ARGS)

pins: install ## Update all pins to the newest versions that the .in files allow
	@for name in requirements requirements-run requirements-dev tests/clients/requirements; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --custom-compile-command 'make pins' \
			--annotation-style line $$name.in -o $$name.txt && echo "Wrote $$name.txt."; \
	done

audit: install ## Ask PyPI for known vulnerabilities of the production packages
	@$(BIN)/uv tool run --quiet pip-audit --require-hashes --disable-pip -r requirements.txt

document: install .env ## Write docs/openapi.json and the client's types, after a change to requests or responses
	@LIST_FORMAT= DELETE_FORMAT= $(BIN)/flask openapi > docs/openapi.json.new
	@mv docs/openapi.json.new docs/openapi.json
	@cd $(FRONTEND) && npm install --silent --no-fund --no-audit && npm run --silent types >/dev/null
	@echo "Wrote docs/openapi.json and, from it, $(FRONTEND)/lib/api-types.ts."

format: install ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the files that these commands created, except your data and .env
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis tests/better_auth/node_modules screenshots
	rm -rf tests/frontend/node_modules $(FRONTEND)/.guides tests/clients/node_modules tests/clients/.venv tests/clients/.generated
	rm -rf $(FRONTEND)/node_modules $(FRONTEND)/.next $(FRONTEND)/next-env.d.ts $(FRONTEND)/tsconfig.tsbuildinfo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
