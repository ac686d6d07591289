# The words of this house. Each sets up what it needs in .venv; `make demo` installs the runtime only.
#
#   make demo    a server where things happen, its credentials and curls for each dialect   (DEMO_ARGS="--port 9000")
#   make test    the whole test suite                                                         (TEST_ARGS="-k ledger")
#   make lint    formatting, lints, types, import contracts, gates
#   make bench   the benchmarks                                                               (BENCH_ARGS="…")
#   make docs    write the generated pages of docs/ again
#   make lock    resolve pyproject.toml anew into constraints*.txt

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Each test file stays on one worker, so that what a file shares (a server, a database) starts once.
TEST_ARGS ?=
TEST_WORKERS ?= auto

.PHONY: demo test lint bench docs lock clean

demo: $(VENV)/.runtime
	@$(BIN)/gesta demo $(DEMO_ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile $(TEST_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.gates

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

docs: $(VENV)/.dev
	$(BIN)/python -m scripts.docs

lock: $(VENV)/.python
	./scripts/lock.sh

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# A stamp is newer than what it was made from. `.dev` holds all of `.runtime`.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Gesta needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: constraints.txt pyproject.toml | $(VENV)/.python
	$(PIP) install --quiet --require-hashes -r constraints.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: constraints-dev.txt constraints.txt pyproject.toml | $(VENV)/.python
	$(PIP) install --quiet --require-hashes -r constraints-dev.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.runtime $@
