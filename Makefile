# The commands of the project. Each sets up what it needs; `make setup` alone only does that.
#   make search ARGS="--dataset photos/ --trials 100"    passes options on

SHELL := /bin/bash
BIN := .venv/bin
STAMP := .venv/.stamp
ARGS ?=

# The first Python that fits, found when it is needed.
PYTHON ?= $(shell for python in python3.11 python3.12 python3 python; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null \
	&& echo $$python && break; done)
PYTEST := $(BIN)/pytest -q -n 2 --dist loadfile
# What `make test` leaves out and this machine can run; benchmarks judge nothing.
MARKS = $(shell nvidia-smi >/dev/null 2>&1 && echo "(slow or gpu) and not benchmark" \
	|| echo "slow and not gpu and not benchmark")

.PHONY: setup check test test-all bench search demo clean

setup: $(STAMP)

$(STAMP): setup.cfg pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed, and none was found" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { \
		echo "venv brought no pip: taking that of $(PYTHON)"; \
		$(PYTHON) -m venv --clear --without-pip .venv \
		&& $(PYTHON) -m pip --python $(BIN)/python install -q pip; }
	@nvidia-smi >/dev/null 2>&1 || $(BIN)/python -c 'import torch' 2>/dev/null \
		|| $(BIN)/pip install -q -c constraints.txt 'torch==2.13.0+cpu' 2>/dev/null \
		|| echo "no CPU-only wheel of torch 2.13.0 is offered: the usual one is taken"
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	@if test -z "$(CI)" && git rev-parse --git-dir >/dev/null 2>&1; then \
		$(BIN)/pre-commit install >/dev/null; fi
	@touch $(STAMP)

check: $(STAMP)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(STAMP)
	$(PYTEST) $(ARGS)

test-all: test
	$(PYTEST) -m "$(MARKS)" $(ARGS)

bench: $(STAMP)
	$(BIN)/pytest -q -s -m benchmark tests/benchmarks $(ARGS)

search: $(STAMP)
	$(BIN)/nasgtn search $(ARGS)

# The whole path on the smallest budget: a report to look at in well under a minute.
demo: $(STAMP)
	$(BIN)/nasgtn search --trials 8 --verify 2 --set gtn.meta_training.n_meta_steps=5 \
		--set training.epochs=3 $(ARGS)

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
