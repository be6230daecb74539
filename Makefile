# Two commands: `make demo` shows what distil does, `make test` runs every check. Both set up .venv by themselves.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PEERS := .benchmarks/peers
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test fast lint bench clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[plot]"
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[dev]"
	touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/distil run examples/digits.json --output runs/demo

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n auto

fast: lint
	$(BIN)/python -m pytest -n auto -m "not slow"

# Some 20 minutes on two quiet cores, and 2 GB for the environment of the packages that distil is compared with.
bench: $(VENV)/.demo
	$(BIN)/python -m benchmarks.speed.environment $(PEERS)
	$(BIN)/python -m benchmarks speed --peers $(PEERS)

clean:
	rm -rf $(VENV) $(PEERS) build dist runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
