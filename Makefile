# Every command makes the environment it needs: python3 (3.11 or newer) and make are all that has to be there.
#
#   make demo     start a grid and watch it work on real data      make demo ARGS="--seconds 20"
#   make test     every test                                       make test ARGS="tests/tools -x"
#   make fast     the tests that start no server, in under a minute
#   make check    lint, format, types, layers, generated code, pins: what needs no test run
#   make bench    measure cachegrid beside other clients
#   make chaos    hurt grids that are used, and judge what their users saw     make chaos ARGS="--only kill"
#   make colour   write the sync flow from the async one
#   make fix      let ruff put right what it can
#   make pin      resolve constraints.txt anew
#   make changelog VERSION=0.2.0   gather changelog.d into CHANGELOG.md
#   make clean    remove the environment and every cache

VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt

# xdist is to give out the files in the order that `tests/plugins/order.py` gives them.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

# Where this is set, every process that the tests start compiles all of ours anew: a quarter of what most of them take.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test fast check lint format types layers twins stray pins bench chaos colour fix pin changelog clean env
.DEFAULT_GOAL := test

demo: $(VENV)/demo.stamp
	@$(BIN)/cachegrid demo $(ARGS)

test: env
	@$(PYTEST) $(ARGS)

fast: env
	@$(PYTEST) --fast $(ARGS)

bench: env
	@$(BIN)/cachegrid bench $(ARGS)

chaos: env
	@$(BIN)/python -m tests.chaos $(ARGS)

check: lint format types layers twins stray pins

lint: env
	@echo "lint: ruff, all rules" && $(BIN)/ruff check --quiet

format: env
	@echo "format: ruff" && $(BIN)/ruff format --check --quiet

types: env
	@echo "types: mypy, strict" && $(BIN)/mypy --no-error-summary

layers: env
	@echo "layers: who may import whom" && \
	out=$$($(BIN)/lint-imports --no-logo) || { echo "$$out"; exit 1; }

twins: env
	@echo "twins: the sync flow is what the async one gives" && $(BIN)/python tools/colour.py --check

stray: env
	@echo "stray: words that have no place here" && $(BIN)/python tools/stray.py

pins: env
	@echo "pins: this environment is the pinned one" && $(BIN)/python tools/constraints.py --check

colour: env
	@$(BIN)/python tools/colour.py

fix: env
	@$(BIN)/ruff check --fix --quiet; $(BIN)/ruff format --quiet

pin: env
	@$(BIN)/python tools/constraints.py

changelog: env
	@$(BIN)/python tools/changelog.py $(VERSION)

env: $(VENV)/dev.stamp

$(BIN)/python:
	@python=$(PYTHON); python=$${python:-$$(sh tools/newest-python.sh)} && \
	echo "making $(VENV) with $$python" && "$$python" -m venv "$(VENV)"

# What builds packages is installed first and pinned, too: pip's isolated builds would fetch the newest of it.
$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing cachegrid and what the demo needs into $(VENV)"
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation --use-pep517 --editable ".[demo]"
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing cachegrid and what its developers need into $(VENV)"
	@$(PIP) hatchling editables setuptools
	@$(PIP) --no-build-isolation --use-pep517 --editable ".[dev]"
	@touch $(VENV)/demo.stamp $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
