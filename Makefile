# From nothing (Python >= 3.11 with venv, a C compiler, make) to solved problems and tested code.
# Every target sets up what it needs: `make demo` and `make test` work in a fresh clone.

PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.setup-done
LOCK := constraints.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check
JOBS ?= 2
PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?=

# Nothing of the caller's Python may leak into the environment of the project.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV

.DEFAULT_GOAL := help
.PHONY: help setup demo test sweep bench lint types layers format docs lock clean

help: ## say what there is to make
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

setup: $(SETUP) ## make .venv with everything in it, IPOPT included

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "error: no Python >= 3.11 found; install one or say: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is not a Python 3.11 or newer; say: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "== making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
		echo "error: $(PYTHON) has no working venv module (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }

$(SETUP): $(VENV)/bin/python pyproject.toml $(LOCK)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade
	@echo "== installing the packages pinned in $(LOCK)"
	@$(PIP) install --quiet --constraint $(LOCK) --upgrade pip setuptools wheel
	@PYTHONWARNINGS=ignore $(PIP) install --quiet --constraint $(LOCK) --no-build-isolation --editable '.[dev]'
	@echo "== IPOPT"
	@$(BIN)/python -m sct_opt install-ipopt --constraint $(LOCK)
	@touch $@

demo: $(SETUP) ## solve the demo problems, write figures to demo-output/
	$(BIN)/python -m sct_opt demo $(DEMO_ARGS)

test: $(SETUP) ## run all tests and doctests
	$(BIN)/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

sweep: $(SETUP) ## compare ten thousand random programs with their numeric derivatives
	$(BIN)/python -m pytest -n $(JOBS) -m sweep tests/properties $(PYTEST_ARGS)

bench: $(SETUP) ## run the side-by-side benchmarks
	@PYTHONWARNINGS=ignore $(PIP) install --quiet --constraint $(LOCK) --no-build-isolation --editable '.[bench]'
	$(BIN)/python -m sct_opt bench $(BENCH_ARGS)

lint: $(SETUP) ## check style
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: $(SETUP) ## check types
	$(BIN)/python -m mypy

layers: $(SETUP) ## check that imports go one way
	$(BIN)/lint-imports

format: $(SETUP) ## mend style where that is mechanical
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

docs: $(SETUP) ## build the documentation into site/
	@PYTHONWARNINGS=ignore $(PIP) install --quiet --constraint $(LOCK) --no-build-isolation --editable '.[docs]'
	$(BIN)/python -m sphinx --fail-on-warning --builder html docs site

lock: ## renew the pinned versions: newest that fit pyproject.toml, in an environment of their own
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --upgrade pip setuptools wheel
	build/lock/bin/python -m pip install --quiet --no-build-isolation --editable '.[dev,docs,bench]'
	build/lock/bin/python -m sct_opt install-ipopt
	@{ sed -n '/^#/p' $(LOCK); build/lock/bin/python -m pip freeze --all --exclude-editable | sort -f; } > build/lock.txt
	mv build/lock.txt $(LOCK)
	rm -rf build/lock

clean: ## remove the environment and everything made
	rm -rf $(VENV) build dist site demo-output *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
