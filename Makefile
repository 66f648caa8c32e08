# Two commands do everything: `make demo` and `make test`. Both install into .venv first.
PYTHON ?= python3
BIN := .venv/bin
LABEL := .venv-label/bin

.PHONY: demo check-demo test tests test-fast lint docs release label-server test-label studies-given rivals clean

demo: .venv/demo
	$(BIN)/qfae demo --output demo

check-demo: demo/summary.json
	$(BIN)/python tests/check_demo.py demo/summary.json

# One process per core, four at most, each with one thread; the tests of a file stay together and share its fixtures.
# Files in the order of their names: the longest are those of tests/bundles, and no core is left waiting for one at the end.
# mypy takes a minute of one core where it has no cache: it runs beside the tests.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: .venv/dev
	$(MAKE) --jobs=2 lint tests

tests: .venv/dev
	$(PYTEST) -m "not tutorial"

test-fast: .venv/dev
	$(PYTEST) -q -m "not slow and not tutorial and not realdata and not browser"

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# The site in build/site, with the tutorials as they come out; they are executed when one of them changed
docs: build/tutorials/executed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

build/tutorials/executed: .venv/dev $(wildcard docs/tutorials/*.ipynb)
	QFAE_TUTORIALS=build/tutorials $(BIN)/python -m pytest -q -m tutorial tests/docs
	touch $@

# Compares tag, CHANGELOG.md, CITATION.cff, metadata.json and a wheel with setup.cfg, and says what to type next
release: .venv/dev
	$(BIN)/python .ci/release.py

# MONAI Label needs older packages than the rest, so it has an environment of its own: docs/monai-label.md
MODEL ?= demo/model
PORT ?= 8000

label-server: studies-given .venv-label/ready
	@exec $(LABEL)/python deploy/monailabel/serve.py --studies "$(STUDIES)" --model "$(MODEL)" --port "$(PORT)" $(OPTIONS)

studies-given:
	@test -n "$(STUDIES)" || { echo "usage: make label-server STUDIES=DIR [MODEL=demo/model] [PORT=8000] [OPTIONS=--allow-upload]"; exit 2; }

test-label: .venv-label/ready
	$(LABEL)/python -m pip install --quiet "pytest>=8.2"
	$(LABEL)/python -m pytest tests/deploy

.venv-label/ready: deploy/monailabel/requirements.txt setup.cfg
	test -x $(LABEL)/python || $(PYTHON) -m venv .venv-label
	$(LABEL)/python -m pip install --quiet --requirement deploy/monailabel/requirements.txt --editable .
	touch $@

# Other methods on the same scans, through anomalib, whose packages fit beside the rest: docs/rivals.md
rivals: .venv/rivals
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/experiments/rivals

.venv/rivals: .venv/dev
	$(BIN)/python -m pip install --quiet --editable ".[rivals]"
	touch $@

.venv/demo: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/dev: .venv/demo
	$(BIN)/python -m pip install --quiet --editable ".[dev,export]"
	touch $@

clean:
	rm -rf .venv .venv-label demo build
