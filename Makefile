# Each target sets up all it needs in .venv; PYTHON and VENV may be given.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test faults check lint bench clean

demo: $(READY)  ## a first run: generated pictures, cached features, a table of eight methods
	@$(BIN)/python cli.py demo

test: $(READY)  ## all tests
	@$(BIN)/python -m pytest

faults: $(READY)  ## every fault at every point, half an hour; writes docs/reliability.md
	STACKCLIP_FAULTS=full $(BIN)/python -m pytest tests/faults

check: lint test  ## all that CI asks

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## speed, as ratios against peers in the same run
	$(BIN)/python -m pytest benchmarks/perf --benchmark-only -s

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stackclip needs Python 3.11 or newer: make PYTHON=python3.12")'
	@echo "setting up $(VENV) (torch is large: this takes some minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
