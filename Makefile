# make setup | demo | test | check. WHEELS=DIR installs from a folder of wheels, without a network.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
WHEEL_OPTIONS := $(if $(WHEELS),--no-index --find-links $(abspath $(WHEELS)))

.PHONY: setup setup-test demo test check lock clean

setup: $(VENV)/.installed
setup-test: $(VENV)/.installed-test

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "release-archiver needs Python 3.11 or newer; name one with make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes $(WHEEL_OPTIONS) -r requirements.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/.installed-test: requirements-test.txt $(VENV)/.installed
	$(PIP) install --quiet --require-hashes $(WHEEL_OPTIONS) -r requirements-test.txt
	@touch $@

# Needs uv: writes the locked, hashed requirements again from pyproject.toml.
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --no-annotate --custom-compile-command "make lock" --quiet --extra build
lock:
	$(LOCK) --output-file requirements.txt
	$(LOCK) --extra parquet --extra test --output-file requirements-test.txt
