# make bench | test | test-peers | full | lint | docs | clean
# Every target makes its own environment in $(VENV) first, or re-uses it. Needed: Python >= 3.11, a
# C++17 compiler, make; cmake and ninja come from PyPI.
PYTHON ?= python3
VENV ?= .venv
BENCH_ARGS ?=
# tests/peers imports torch, which make test does not need; tests run in one process per core
PYTEST_ARGS ?= -n auto

environment = @$(PYTHON) tools/environment.py --venv $(VENV)
python = $(VENV)/bin/python
cpp_sources = $(shell find csrc tests -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh')

# targets share the environment
.NOTPARALLEL:
.PHONY: help bench test test-peers full lint docs clean

help:
	@echo "make bench       measure every network on real pictures (BENCH_ARGS='--quick --models resnet*')"
	@echo "make test        the quick tests; neither torch nor nvcc needed"
	@echo "make test-peers  compare with PyTorch, torchvision, timm, ONNX Runtime (installs them)"
	@echo "make full        everything: lint, all tests, peers, sanitizers, other machines, installations"
	@echo "make lint        formatters, linter, floors of the architecture"
	@echo "make docs        check links and run the examples of the documents"
	@echo "make clean       remove what the build made, and $(VENV)"

bench:
	$(environment)
	$(python) benchmarks/run.py $(BENCH_ARGS)

test:
	$(environment) test
	$(python) -m pytest --ignore tests/peers -m "not peers and not full" $(PYTEST_ARGS)

test-peers:
	$(environment) test peers
	$(python) -m pytest -m "peers and not full" $(PYTEST_ARGS)

# every linter runs, whatever the one before it found
lint:
	$(environment) lint
	@status=0; \
	set -x; \
	$(python) -m ruff check . || status=1; \
	$(python) -m ruff format --check . || status=1; \
	$(VENV)/bin/clang-format --dry-run -Werror $(cpp_sources) || status=1; \
	$(VENV)/bin/lint-imports --no-cache || status=1; \
	exit $$status

docs:
	$(environment)
	$(python) tools/check_docs.py

full: lint docs
	$(environment) test peers plot sass
	$(python) tools/full.py

clean:
	rm -rf build dist $(VENV) .pytest_cache .ruff_cache .hypothesis
	rm -f fastconv/_*.so
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
