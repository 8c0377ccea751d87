# Every target makes the virtual environment it needs; `make demo` and `make test` work on a fresh machine.
PYTHON ?= python3
VENV ?= .venv
LOWEST ?= .venv-lowest
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OUT ?= demo

.PHONY: help demo test test-slow test-lowest check docs install clean

help:
	@echo "make demo       install, then find boxes on drawn birds and write $(OUT)/report.html"
	@echo "make test       install, then all quick tests, doctests, ruff, mypy, layer rules, documentation"
	@echo "make test-slow  what takes longer"
	@echo "make test-lowest  the quick tests with the oldest versions that pyproject.toml allows"
	@echo "make docs       the documentation: site/index.html"

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $(STAMP)

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/rfga demo --out $(OUT) --overwrite

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# In three parts, or a process would grow beyond 1.5 GB. One thread of arithmetic for each: several of them on few
# cores would wait for each other. Two arenas (glibc): of many, each keeps what its threads once used.
ENGINE := tests/engine tests/cli src/rfga/engine src/rfga/cli
NETWORKS := tests/backbones tests/methods tests/nn src/rfga/backbones src/rfga/methods src/rfga/nn
PYTEST = MALLOC_ARENA_MAX=2 OMP_NUM_THREADS=1 $(1)/python -m pytest -n auto --dist loadfile
define quick_tests
	$(PYTEST) $(ENGINE)
	$(PYTEST) $(NETWORKS)
	$(PYTEST) $(addprefix --ignore=,$(ENGINE) $(NETWORKS))
endef

test: check docs
	$(call quick_tests,$(BIN))

# A warning ends it; --quiet would hide warnings from that, too. The notice that is switched off advertises another program.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

test-slow: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m slow

# uv chooses the lowest versions of what pyproject.toml names, which pip cannot.
test-lowest:
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST) --resolution lowest-direct --editable ".[dev]"
	$(call quick_tests,$(LOWEST)/bin)

clean:
	rm -rf $(VENV) $(LOWEST) $(OUT) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
