# Everything starts here, with no more than Python 3.11 and make.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
CODE := .

.NOTPARALLEL:
.PHONY: help demo smoke test test-export coverage lint types docs lock model clean

help: ## this list
	@awk -F ': .*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: model ## a broker, a worker and sample documents, with pages to look at; Ctrl-C ends it
	$(RUN)/python -m tickertape.demo

smoke: model ## the same in a minute and by itself: fails where anything does not work
	$(RUN)/python -m tickertape.demo --smoke

test: lint types model ## all checks and tests, as CI runs them
	$(RUN)/python -m pytest

test-export: $(VENV)/.dev ## the tests that need torch (5 GB, in an environment of its own)
	$(RUN)/python -m pytest -m export

coverage: $(VENV)/.dev ## which lines the unit tests do not reach; the least covered file first
	$(RUN)/coverage run -m pytest tests/unit -q
	$(RUN)/coverage report

lint: $(VENV)/.dev ## ruff: rules and format
	$(RUN)/ruff check $(CODE)
	$(RUN)/ruff format --check $(CODE)

types: $(VENV)/.dev ## mypy --strict
	$(RUN)/mypy

docs: $(VENV)/.dev ## write the tables of docs/reference.md anew from the program
	$(RUN)/python -m docs.tables

model: $(VENV)/.base ## the embedding model, where the cache has none
	$(RUN)/faust -A app export-model --if-missing

lock: $(VENV)/.dev ## write requirements*.txt anew from setup.cfg's ranges
	$(RUN)/python -m pip install --quiet uv
	$(RUN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --custom-compile-command "make lock" \
		--output-file requirements.txt setup.cfg
	$(RUN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --custom-compile-command "make lock" \
		--extra test --constraint requirements.txt --output-file requirements-dev.txt setup.cfg

clean: ## remove the environment and caches; the data folder (.tickertape) stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Tickertape needs Python 3.11 or later and $(PYTHON) is not: make PYTHON=python3.11" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: requirements.txt setup.cfg pyproject.toml | $(VENV)/bin/python
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.base
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
