# `make demo` and `make test` set up everything they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= output
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo analyze doctor test bench check format lint types docs system clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/base.stamp: pyproject.toml constraints.txt | $(BIN)/pip
	$(PIP) --editable .
	touch $@

$(VENV)/full.stamp: pyproject.toml constraints.txt | $(BIN)/pip
	$(PIP) --editable '.[train,export,dev]'
	touch $(VENV)/base.stamp $@

demo: $(VENV)/base.stamp  ## analyze a synthetic chest CT and print the truth beside the result
	$(BIN)/groundglass demo --output $(OUT)/demo

analyze: $(VENV)/base.stamp  ## analyze a scan: make analyze SCAN=path
	@test -n "$(SCAN)" || { echo "usage: make analyze SCAN=path [OUT=folder]" >&2; exit 2; }
	$(BIN)/groundglass analyze "$(SCAN)" --output $(OUT)

doctor: $(VENV)/base.stamp  ## check a scan without analyzing it: make doctor SCAN=path
	@test -n "$(SCAN)" || { echo "usage: make doctor SCAN=path" >&2; exit 2; }
	$(BIN)/groundglass doctor "$(SCAN)"

test: $(VENV)/full.stamp system  ## run all tests
	$(BIN)/pytest --numprocesses 2 --dist loadfile

bench: $(VENV)/full.stamp  ## measure speed and memory
	mkdir -p $(OUT)
	$(BIN)/python benchmarks/speed.py --json $(OUT)/speed.json

check: format lint types test docs  ## everything that a change must pass

format: $(VENV)/full.stamp  ## format the code
	$(BIN)/ruff format .

lint: $(VENV)/full.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/full.stamp
	$(BIN)/mypy

docs: $(VENV)/full.stamp  ## write docs/commands.md, the JSON schema and the README's picture anew
	$(BIN)/python scripts/write_docs.py

system:  # packages outside Python that some tests use; without them those tests skip
	@scripts/install-system-packages

clean:
	rm -rf $(VENV) $(OUT) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
