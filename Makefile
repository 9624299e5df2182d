# `make run`: a browsable wiki from nothing. `make operator`: an account that adds models to it.
# `make test`: every test. `make check`: linters, types, layers.
# `make replicate`: published results of causal scrubbing on models that come with Loupe, from nothing, in some minutes.
# `make bench`: how fast it is, against the limits it set itself; docs/performance.md is made by it.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# tests in two processes, each file in one
IN_TWO := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: run operator test check shots replicate bench
.DELETE_ON_ERROR:

run: $(VENV)/requirements.txt
	@$(BIN)/python -m wiki.launch

operator: $(VENV)/requirements.txt
	@$(BIN)/python -m wiki.launch operator

test: $(VENV)/requirements-test.txt
	@$(BIN)/python -m tests.needs
	$(BIN)/pytest $(IN_TWO) -m "not gpu and not postgresql"
	$(BIN)/python -m tests.postgres $(BIN)/pytest $(IN_TWO) -m "both_databases or postgresql"

check: $(VENV)/requirements-test.txt
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/djlint --check --lint --quiet wiki
	$(BIN)/mypy
	$(BIN)/lint-imports
	LOUPE_SECRET_KEY=check LOUPE_WORKER_SECRET=check LOUPE_DATABASE_URL=sqlite://:memory: $(BIN)/python manage.py makemigrations --check --dry-run

shots: $(VENV)/requirements-test.txt
	@$(BIN)/python -m tests.shots

replicate: $(VENV)/requirements.txt
	@$(BIN)/python -m analysis replicate

bench: $(VENV)/requirements-test.txt
	@$(BIN)/python -m tests.benchmarks

# A virtual environment remembers by a copy which requirements it has.
$(VENV)/%.txt: %.txt requirements.txt requirements-postgres.txt requirements-s3.txt | $(BIN)/pip
	@echo "Loupe: installing $* (a few minutes the first time)"
	@$(BIN)/pip install --disable-pip-version-check --requirement $<
	@cp $< $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Loupe needs Python 3.11 or newer; PYTHON=... names another.")'
	@echo "Loupe: making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
