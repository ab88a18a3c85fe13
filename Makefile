# `make test` on a bare machine makes .venv, starts the local stack, runs every test, stops the stack.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# The demo needs neither torch nor the tools of developers; where all of it is installed, there is nothing to add.
DEMO_STAMP := $(if $(wildcard $(STAMP)),$(STAMP),.venv/.installed-demo)
STACK ?= embedded
ARGS ?=

.PHONY: demo install test unit model-test memory-test chaos lint types contracts format schemas metrics dashboards screenshots constraints tools clean
.DEFAULT_GOAL := test

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(call install,all$(comma)dev)

.venv/.installed-demo: pyproject.toml constraints.txt
	@echo "installing what the demo needs into .venv"
	$(call install,worker$(comma)search)

comma := ,
define install
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Python 3.11 to 3.13 is needed, this is {v.major}.{v.minor}: make PYTHON=python3.12 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "python3-venv is needed: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(1)]'
	@touch $@
endef

# A small shop on an embedded broker and index: Python and make are enough. STACK=local is real Kafka and Qdrant;
# ARGS=--exit ends after the story, ARGS='--catalog FOLDER' takes your own photos.
demo: $(DEMO_STAMP)
	@$(BIN)/freshline demo --stack $(STACK) $(ARGS)

tools:
	@for tool in java mvn npm; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	  test -z "$$missing" || { echo "missing:$$missing (apt-get install openjdk-17-jre-headless maven npm)"; exit 1; }

# Two at a time, each with a local stack of its own: these wait more than they compute.
test: tools unit
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile --ignore tests/unit

# On every core, with one thread of torch's on each: more would wait for each other. A file's tests stay together, since
# what they share is made once.
unit: install
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses logical --dist loadfile tests/unit

# The write protocol over 200,000 operations: the real code in Qdrant's local mode, minutes long.
model-test: install
	FRESHLINE_MODEL_OPERATIONS=200000 $(BIN)/pytest -s tests/unit/test_protocol.py

# The fault tests in full: 100 killed workers and what else docs/faults.md tells, some 30 minutes. A table at the end.
chaos: install tools
	FRESHLINE_CHAOS=full $(BIN)/pytest tests/faults $(ARGS)

# Memory over 200,000 encoded pictures: minutes long.
memory-test: install
	FRESHLINE_MEMORY_PICTURES=200000 $(BIN)/pytest -s tests/benchmarks/test_encoder_memory.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

contracts: install
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: install
	$(BIN)/python -m schemas.export

metrics: install
	$(BIN)/python -m freshline.metrics_doc > docs/metrics.md

dashboards: install
	$(BIN)/python -m infra.grafana.export

screenshots: install
	FRESHLINE_SCREENSHOTS=1 $(BIN)/pytest tests/integration/test_page.py tests/integration/test_ops_page.py

clean:
	rm -rf .venv .stack .mypy_cache .ruff_cache .pytest_cache .hypothesis

constraints:
	{ head -n 1 constraints.txt; $(BIN)/pip freeze --exclude-editable --exclude pip --exclude setuptools; } > constraints.new
	mv constraints.new constraints.txt
