# Each target sets up what it needs in a virtual environment of its own, .venv, and can be the first one that is called.
SHELL := /bin/bash
export NO_MKDOCS_2_WARNING := 1
PYTHON ?= python3
VENV ?= .venv
LABEL_VENV ?= .venv-label
LABEL_PYTHON ?= python3.11
# Where torch comes from; empty: the default index. For the build without CUDA, on Linux a tenth of the download:
#   make demo TORCH_INDEX="--index-url https://download.pytorch.org/whl/cpu"
TORCH_INDEX ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
LABEL_PIP := $(LABEL_VENV)/bin/python -m pip --disable-pip-version-check install --quiet
BUNDLES := $(patsubst bundles/%/configs/train.json,%,$(wildcard bundles/*/configs/train.json))
# Processes that share the tests, with one thread each, so that they do not wait for each other.
TEST_PROCESSES ?= 2
PARALLEL = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile
BENCHMARKS = $(shell grep -l __main__ tests/benchmarks/*.py)

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-label check bench configs bundles docs clean
.DELETE_ON_ERROR:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/runtime.stamp ## Train the bundle mcsc on a synthetic cohort, score it and draw the result
	$(BIN)/python -m monai.bundle run --config_file bundles/mcsc/configs/train.json

test: $(VENV)/dev.stamp ## Run the tests, without the slow ones
	$(PARALLEL) -m "not slow"

test-slow: $(VENV)/dev.stamp ## Run the slow tests: whole trainings, commands of the documentation, MONAI Label
	$(BIN)/python -m pytest -m slow
	$(MAKE) test-label

test-label: $(LABEL_VENV)/label.stamp ## Run the tests of the MONAI Label apps, in an environment of their own, .venv-label
	PYTHONPATH=shared $(LABEL_VENV)/bin/python -m pytest tests/label

check: $(VENV)/dev.stamp ## Lint, check the format, the types, the imports between subpackages, the configs and the documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/fewlabel configs --check
	$(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/dev.stamp ## Measure speed and memory; each program prints a table
	@for program in $(BENCHMARKS); do echo "== $$program"; $(BIN)/python $$program || exit 1; done

configs: $(VENV)/runtime.stamp ## Write the configs and READMEs of all bundles from their recipes
	$(BIN)/fewlabel configs

bundles: $(VENV)/runtime.stamp ## Pack each bundle into dist/<name>_v<version>.zip, with the package inside
	@for bundle in $(BUNDLES); do $(BIN)/fewlabel pack $$bundle --out dist || exit 1; done

docs: $(VENV)/dev.stamp ## Build the documentation into site/, links checked
	$(BIN)/mkdocs build --strict

clean: ## Remove what the targets above build; trained weights and results in bundles/ stay
	rm -rf $(VENV) $(LABEL_VENV) build dist site shared/*.egg-info .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find bundles shared tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps: the demo needs neither mlflow nor mkdocs. A stamp is written last, so that an interrupted set-up is
# taken up again, and is older than the files that say what to install when these change.
$(VENV)/runtime.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; fits = (3, 10) <= sys.version_info[:2] <= (3, 12); \
	sys.exit(None if fits else 'fewlabel needs Python 3.10, 3.11 or 3.12, but $(PYTHON) is %d.%d: name another one, for instance make demo PYTHON=python3.11' % sys.version_info[:2])"
	@echo "setting up $(VENV); the first time this takes some minutes"
	$(PYTHON) -m venv $(VENV)
	$(PIP) setuptools
	$(PIP) $(TORCH_INDEX) --no-deps torch
	$(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/runtime.stamp
	$(PIP) --no-build-isolation --editable ".[dev]"
	@touch $@

# MONAI Label runs beside older versions than ours. Its own requirements also lead to versions beside which it does not
# start, so they are left aside for a list of those beside which it does; pandas in it needs Python 3.11.
$(LABEL_VENV)/label.stamp: tests/label/requirements.txt
	@$(LABEL_PYTHON) -c "import sys; \
	sys.exit(None if sys.version_info[:2] == (3, 11) else 'the tests of MONAI Label need Python 3.11, but $(LABEL_PYTHON) is %d.%d: name another one with LABEL_PYTHON=' % sys.version_info[:2])"
	@echo "setting up $(LABEL_VENV); the first time this takes some minutes and 4 GB"
	$(LABEL_PYTHON) -m venv $(LABEL_VENV)
	$(LABEL_PIP) $(TORCH_INDEX) torch==2.13.0
	$(LABEL_PIP) --requirement tests/label/requirements.txt
	$(LABEL_PIP) --no-deps monailabel==0.8.5
	@touch $@
