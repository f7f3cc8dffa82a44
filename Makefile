# Two commands do everything: `make book` and `make test`. PYTHON=python3.13 picks an interpreter.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
READY_TO_BUILD := .venv/ready-build

# Hundreds of processes start here, and each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.NOTPARALLEL:
.PHONY: book test quick notebooks lab worksheets lint pins benchmarks search fuzz clean

book: $(READY_TO_BUILD)  ## build the HTML book, warnings as errors
	$(BIN)/jupyter-book build . --warningiserror --nitpick --keep-going
	@echo "Open _build/html/index.html in a browser."

test: $(READY)  ## everything that keeps the book true
	$(BIN)/python -m pytest

quick: $(READY)  ## the inner loop, about a minute: no page, no browser, no notebook, nothing slow
	$(BIN)/python -m pytest -m "not slow" --ignore=tests/book tests mixhier_lite

notebooks: $(READY)  ## execute the chapters whose source has changed
	$(BIN)/python book/_ext/notebooks.py

lab: $(READY)  ## read and run the chapters in JupyterLab
	$(BIN)/python book/_ext/lab.py

worksheets: $(READY)  ## write the exercises of each chapter as a notebook to hand out
	$(BIN)/python book/_ext/worksheets.py

lint: $(READY)  ## format, lint and check types
	$(BIN)/ruff format mixhier_lite tests book/_ext
	$(BIN)/ruff check mixhier_lite tests book/_ext
	$(BIN)/mypy

COMPILE := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes

pins:  ## write both requirement files, by uv; UPGRADE="--upgrade-package ruff" moves a version
	$(COMPILE) --extra test $(UPGRADE) --output-file requirements.txt \
	  --custom-compile-command "make pins    # everything: pages, notebooks, tests"
	$(COMPILE) --extra build --constraint requirements.txt --upgrade --output-file requirements-build.txt \
	  --custom-compile-command "make pins    # building the pages, and nothing else"

SIDE := .venv-benchmarks
ONE_THREAD := $(foreach name,OPENBLAS OMP MKL BLIS RAYON NUMBA,$(name)_NUM_THREADS=1)

benchmarks: $(SIDE)/ready  ## time the package beside its peers; ONLY="W1 cold --slow" picks some
	$(ONE_THREAD) $(SIDE)/bin/python tests/benchmarks/run.py $(ONLY)

$(SIDE)/ready: tests/benchmarks/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(SIDE)
	$(SIDE)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[frames,bayes]"
	@sed "s|#.*||; /^ *$$/d" tests/benchmarks/requirements.txt | while read peer; do \
	  $(SIDE)/bin/python -m pip install --quiet --disable-pip-version-check $$peer \
	  || echo "$$peer cannot be installed here; the table goes without it."; done
	@touch $(SIDE)/ready

search: $(READY)  ## two thousand random models against a search that shares nothing with the package
	OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/random_fits.py 2000

fuzz: $(READY)  ## call every public name with right and wrong arguments; CALLS=20000 SEED=0
	OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/fuzz.py $(or $(CALLS),20000) $(or $(SEED),0)

clean:  ## remove what was built
	rm -rf _build .venv .venv-benchmarks

# Where PYTHON was given and .venv is of another interpreter, .venv is made anew.
WHICH := import sys; print(*sys.version_info[:3], sys.base_prefix)
ifneq ($(origin PYTHON),file)
ifneq ($(shell $(PYTHON) -c "$(WHICH)"),$(shell $(BIN)/python -c "$(WHICH)" 2>&1))
ANEW := --clear
$(BIN)/python $(READY) $(READY_TO_BUILD): another-interpreter
endif
endif
.PHONY: another-interpreter

$(READY): requirements.txt pyproject.toml | $(BIN)/python
	$(call install,requirements.txt)
	@touch $(READY) $(READY_TO_BUILD)

# What building needs is a part of everything: `make test` after `make book` adds the rest.
$(READY_TO_BUILD): requirements-build.txt pyproject.toml | $(BIN)/python
	$(call install,requirements-build.txt)
	@touch $(READY_TO_BUILD)

# The project itself has no hash, so it is installed by a call of its own, with the pinned hatchling.
# The requirement files are complete, so pip need not look for more; Python compiles what it imports,
# which is less than all that is installed.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile
define install
	$(PIP_INSTALL) -r $(1)
	$(PIP_INSTALL) --no-build-isolation -e .
endef

$(BIN)/python:
	@$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 15) else 'This book needs Python 3.11 to 3.15; PYTHON=python3.12 make ... picks one. Found %d.%d.' % v)"
	$(PYTHON) -m venv $(ANEW) .venv
