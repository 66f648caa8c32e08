# Two commands do everything: `make demo` and `make test`. Both install into .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo check-demo test lint clean

demo: .venv/demo
	$(BIN)/qfae demo --output demo

check-demo: demo/summary.json
	$(BIN)/python tests/check_demo.py demo/summary.json

test: .venv/dev lint
	$(BIN)/python -m pytest

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

.venv/demo: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/dev: .venv/demo
	$(BIN)/python -m pip install --quiet --editable ".[dev,export]"
	touch $@

clean:
	rm -rf .venv demo
