# Each target sets up all it needs in .venv; PYTHON and VENV may be given.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
EXTRAS ?= dev
LOWEST_PYTHON ?= python3.11
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test faults towers docs docs-test parts worth check lint bench bench-diff scale lowest newest constraints clean

demo: $(READY)  ## a first run: generated pictures, cached features, a table of eight methods
	@$(BIN)/python cli.py demo

test: $(READY)  ## all tests, as many at once as there are cores
	@$(BIN)/python -m pytest --numprocesses auto --dist worksteal

faults: $(READY)  ## every fault at every point, an hour; writes docs/reliability.md and the table of docs/weights.md
	STACKCLIP_FAULTS=full $(BIN)/python -m pytest tests/faults tests/hub

docs: $(READY)  ## the documentation site in build/site, strictly and without a network
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --clean

docs-test: $(READY)  ## what pages print is run, what takes long too; some minutes
	$(BIN)/python -m pytest tests/docs -m "long or not long"

towers: $(READY)  ## every tower that can be named, made small, and all methods over each family; writes docs/towers.md
	STACKCLIP_TOWERS=full $(BIN)/python -m pytest tests/clip/test_makes.py tests/clip/test_towers.py

parts: $(READY)  ## what the parts of methods are worth on the small sets, for their cards; an hour or two
	$(BIN)/python scripts/parts.py

worth: $(READY)  ## the study of what stackclip is worth, and its page; a quarter of an hour
	$(BIN)/python cli.py study studies/what-is-stackclip-worth.toml \
	    --data-root $(or $(STACKCLIP_SHARED),../shared)/data -o build/worth
	mkdir -p docs/worth && cp build/worth/index.md build/worth/*.png docs/worth

check: lint test  ## all that CI asks

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) docs

scale: $(READY)  ## how opening, planning and reading grow with a store, to a million pictures; 20 minutes, 5 GB
	$(BIN)/python benchmarks/scale/growth.py

bench: $(READY)  ## speed, as ratios against peers in the same run
	$(BIN)/python -m pytest benchmarks/perf --benchmark-only -s

bench-diff: $(READY)  ## what the last run of the benchmarks found otherwise than the one before
	@$(BIN)/python benchmarks/compare.py

lowest: scripts/versions.py  ## the tests with the lowest versions that pyproject.toml promises, in .venv-lowest
	@rm -rf .venv-lowest
	@$(LOWEST_PYTHON) scripts/versions.py lowest >.venv-lowest.txt
	@$(MAKE) test PYTHON=$(LOWEST_PYTHON) VENV=.venv-lowest CONSTRAINTS=.venv-lowest.txt EXTRAS=dev,faiss

newest:  ## the tests with the newest versions there are, in .venv-newest
	@rm -rf .venv-newest
	@touch .venv-newest.txt
	@$(MAKE) test VENV=.venv-newest CONSTRAINTS=.venv-newest.txt EXTRAS=dev,faiss

constraints: newest  ## what `make newest` passed with becomes constraints.txt
	@.venv-newest/bin/python -m pip freeze --all --exclude-editable >.venv-newest/frozen.txt
	@.venv-newest/bin/python scripts/versions.py frozen <.venv-newest/frozen.txt >.venv-newest/constraints.txt
	@cp .venv-newest/constraints.txt constraints.txt

$(READY): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stackclip needs Python 3.11 or newer: make PYTHON=python3.12")'
	@echo "setting up $(VENV) (torch is large: this takes some minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade --constraint $(CONSTRAINTS) pip
	@$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --build-constraint $(CONSTRAINTS) --editable '.[$(EXTRAS)]'
	@touch $@

clean:
	rm -rf $(VENV) .venv-lowest* .venv-newest* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
