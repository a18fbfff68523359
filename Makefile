# Two commands do everything: `make demo` and `make test`. Each sets up .venv by itself when it is missing.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types layers doctest oracles check format bench clean

help:  ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "spikebridge needs Python >= 3.10; got $$($(PYTHON) --version). Set PYTHON=/path/to/python3."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

setup: $(READY)  ## make .venv and install everything into it

demo: $(READY)  ## train two networks on real digits and turn them into spiking ones
	$(BIN)/spikebridge demo $(ARGS)

test: $(READY)  ## run the test suite, on all cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

lint: $(READY)  ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## static types
	$(BIN)/mypy

layers: $(READY)  ## imports go one way
	$(BIN)/lint-imports

doctest: $(READY)  ## the examples in docstrings and pages
	$(BIN)/python -m pytest src --doctest-modules
	$(BIN)/python -m pytest README.md docs

oracles: $(READY)  ## compare with SpikingJelly and snnTorch, which this installs
	$(BIN)/python -m pip install --quiet --editable '.[dev,oracles]'
	$(BIN)/python -m pytest tests/oracles

check: lint types layers doctest test  ## everything CI runs

format: $(READY)  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench:  ## measure every claim about cost against its peers, in .venv-benchmarks; one table of ratios
	test -d .venv-benchmarks || $(PYTHON) -m venv .venv-benchmarks
	.venv-benchmarks/bin/pip install --quiet --editable . --requirement benchmarks/requirements.txt
	.venv-benchmarks/bin/python benchmarks/bench.py $(ARGS)

clean:  ## remove what was built
	rm -rf $(VENV) runs build dist
