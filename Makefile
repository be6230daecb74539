# Two commands: `make demo` shows what distil does, `make test` runs every ordinary check. Both set up .venv by themselves.
# Tests have three tiers. `make fast`, before a commit: at most 90 s. `make test`, before a push: at most 5 minutes on two
# cores. `make slow`, what is marked slow (kills, fuzzing, browsers, real data at length): at most 15 minutes.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PEERS := .benchmarks/peers
# Without bytecode: compiling all that is installed takes a minute, and most of it is never imported.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
# With bytecode of what is imported: the tests start many processes, and each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

# The script of the report as a browser runs it: one strict function made of two files.
PAGE := src/distil/experiment/page
SCRIPT := (echo '"use strict"; (() => {'; cat $(PAGE)/figures.js $(PAGE)/sections.js; echo '})();')

# The modules of the labeling page.
MODULES := src/distil/labeling/page

.PHONY: demo test fast pytest slow label-studio fuzz lint lint-js coverage docs release-check bench clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[plot]"
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[dev]"
	touch $@ $(VENV)/.demo

# Some 300 MB, for the tests of the executor ray alone; they skip, and say so, where it cannot be installed.
$(VENV)/.ray: $(VENV)/.dev
	if $(PIP) -e ".[ray]"; then touch $@; else echo "ray could not be installed" >&2; fi

demo: $(VENV)/.demo
	$(BIN)/distil run examples/digits.json --output runs/demo

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python scripts/prose.py
	if command -v node > /dev/null; then $(SCRIPT) | node --check -; fi
	if command -v node > /dev/null; then for file in $(MODULES)/*.js; do node --input-type=module --check < $$file || exit 1; done; fi

# Needs Node.js; npx downloads eslint.
lint-js:
	$(SCRIPT) | npx --yes eslint@9 --config eslint.config.mjs --stdin
	npx --yes eslint@9 --config eslint.config.mjs $(MODULES)

# Style and types are checked while the tests run: mypy needs one of two cores for 40 s.
fast: TESTS := tests/functional tests/strategies tests/selection tests/contract
test fast: $(VENV)/.dev
	$(MAKE) --no-print-directory -j 2 lint pytest TESTS="$(TESTS)"

pytest: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto -m "not slow" $(TESTS)

slow: $(VENV)/.ray
	$(BIN)/python -m pytest -n auto -m slow

# Ten minutes. The inputs follow the coverage of the code where atheris can be installed, and are random changes elsewhere.
fuzz: $(VENV)/.dev
	$(PIP) atheris || echo "atheris could not be installed" >&2
	$(BIN)/python -m benchmarks fuzz

# Some 1 GB, for the slow test of Label Studio alone, which skips, and says so, without it.
label-studio: .benchmarks/label-studio/complete

.benchmarks/label-studio/complete:
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check "label-studio>=1.23,<2"
	touch $@

# Lines and branches that the ordinary tests do not reach, on the terminal and in htmlcov/. A report, not a gate.
coverage: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto -m "not slow" --cov --cov-report=term --cov-report=html

# The site, in build/site, built and then opened in a browser. Warnings are errors.
docs: $(VENV)/.dev $(VENV)/.docs
	$(BIN)/python -m pytest -n 0 -m slow tests/test_site.py

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[docs]"
	touch $@

# Before a release: two equal builds, in dist/; the licenses of all dependencies; and the wheel in fresh environments, with each
# extra. Downloads some 500 MB.
release-check: $(VENV)/.dev
	$(BIN)/python scripts/reproducible.py
	$(BIN)/python scripts/licenses.py
	$(BIN)/python scripts/try_wheel.py

# Some 20 minutes on two quiet cores, and 2 GB for the environment of the packages that distil is compared with.
bench: $(VENV)/.demo
	$(BIN)/python -m benchmarks.speed.environment $(PEERS)
	$(BIN)/python -m benchmarks speed --peers $(PEERS)
	$(BIN)/python -m benchmarks strategies_speed

clean:
	rm -rf $(VENV) $(PEERS) build dist runs .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
