# make setup | demo | test | check | docs | docs-site | test-whole | test-faults | test-scale | test-browser | test-docs | test-install | audit | soak | bench.
# WHEELS=DIR installs from a folder of wheels, without a network.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
WHEEL_OPTIONS := $(if $(WHEELS),--no-index --find-links $(abspath $(WHEELS)))

.PHONY: setup setup-test demo test test-whole test-faults test-scale test-browser test-docs test-install audit soak bench check docs docs-site lock clean

setup: $(VENV)/.installed
setup-test: $(VENV)/.installed-test

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "release-archiver needs Python 3.11 or newer; name one with make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes $(WHEEL_OPTIONS) -r requirements.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --no-index -e .
	@$(BIN)/python -m compileall -q archiver reports migrations  # once, also where Python may not keep what it compiles
	@touch $@

$(VENV)/.installed-test: requirements-test.txt $(VENV)/.installed
	$(PIP) install --quiet --require-hashes $(WHEEL_OPTIONS) -r requirements-test.txt
	@touch $@

# Needs uv: writes the locked, hashed requirements again from pyproject.toml.
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
  --no-annotate --custom-compile-command "make lock" --quiet
LOCK_OURS := $(LOCK) pyproject.toml --extra build --extra notify --extra page
lock:
	$(LOCK_OURS) --output-file requirements.txt
	$(LOCK_OURS) --extra audit --extra browser --extra dask --extra docs --extra parquet --extra test --output-file requirements-test.txt
	$(LOCK) benchmarks/requirements.in --output-file benchmarks/requirements.txt

# 8 weeks of simulated nights into demo/, and the weekly report over them; needs no account.
demo: setup
	$(BIN)/archiver demo

# The core suite. COVERAGE=1 measures it with the whole programs, and holds its floor, which takes twice as long.
# PostgreSQL tests need a server (see README, "Tests").
test: setup-test
	@rm -f .coverage .coverage.*
	$(BIN)/python $(if $(COVERAGE),-m coverage run) -m pytest -n 2 --dist worksteal $(if $(COVERAGE),,--ignore tests/whole) --ignore tests/faults --ignore tests/scale --ignore tests/browser --ignore tests/install --ignore tests/docs tests
	@$(if $(COVERAGE),$(BIN)/python -m coverage combine --quiet && $(BIN)/python -m coverage report)

# Whole programs: the site, reports issued and sent, roles, files and credentials as outsiders see them.
test-whole: setup-test
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/whole

# The fault battery: kills, full disks, restarts, an API that fails; an independent checker after every case.
test-faults: setup-test
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/faults

# Long stretches of time: 400 nights in each of six zones, with random stops.
test-scale: setup-test
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/scale

# The weekly page in Chromium: opened from disk, sorted, filtered, printed, and checked for accessibility.
test-browser: setup-test
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/browser

# Every command and every SQL statement of README and docs/, and the cookbook's answers, on both databases.
test-docs: setup-test
	$(BIN)/python -m pytest tests/docs

# The long run of it: SOAK_MINUTES (20) of kills and random faults, and a table of rounds, kills and losses.
soak: setup-test
	$(BIN)/python tests/faults/soak.py

# The wheel in an empty environment, and the upgrade of the first schema. ARCHIVER_TEST_INSTALL=whole downloads all that
# the lock names and installs it without a network; otherwise the tests' own dependencies are borrowed.
test-install: setup-test
	$(BIN)/python -m pytest tests/install

# Known vulnerabilities of what the lock names. Says loudly what the index could not tell; AUDIT=strict makes that fail.
audit: setup-test
	$(BIN)/python .ci/audit.py $(AUDIT)

# The parts of docs/ that the program writes itself.
docs: setup-test
	$(BIN)/python docs/commands.py > docs/commands.md
	$(BIN)/python docs/settings_reference.py > docs/settings.md
	$(BIN)/archiver database dictionary > docs/schema.md
	$(BIN)/archiver database dictionary --export > docs/export.md
	$(BIN)/reports dictionary --output docs/metrics.md
	$(BIN)/python tests/docs/cookbook.py
	$(BIN)/python tests/docs/datasette_metadata.py
	$(BIN)/python tests/docs/grafana_dashboard.py

# The documents as a site, in site/: it needs no server and no network. A warning fails it.
docs-site: setup-test
	$(BIN)/mkdocs build --strict
	@echo "open site/index.html"

# Other ways to do a run's job, and the sampler of profiles, have an environment of their own.
BENCH := benchmarks/.venv
$(BENCH)/.installed: benchmarks/requirements.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes $(WHEEL_OPTIONS) -r benchmarks/requirements.txt
	@touch $@

# Runs and tables beside the least that could do the same, and beside other ways (benchmarks/README.md).
bench: setup-test $(BENCH)/.installed
	$(BIN)/python benchmarks/runs.py
	$(BIN)/python benchmarks/tables.py
	$(BIN)/python benchmarks/messages.py

# Everything that can be told without running the program.
check: setup-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@scratch=$$(mktemp -d) && export ARCHIVER_DATABASE_URL="sqlite:///$$scratch/archive.db" && \
	  $(BIN)/archiver database upgrade && $(BIN)/alembic check && rm -r "$$scratch"
	@$(BIN)/archiver database dictionary | cmp - docs/schema.md || { echo "docs/schema.md is stale: run make docs"; exit 1; }
	@$(BIN)/reports dictionary | cmp - docs/metrics.md || { echo "docs/metrics.md is stale: run make docs"; exit 1; }

clean:
	rm -rf $(VENV) demo site .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
