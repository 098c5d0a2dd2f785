# make study | make study PROFILE=paper | make test | make test-all | make bench
# Everything is installed into .venv, once; nothing else on the machine is changed.

# The first of these that runs and can make an environment: a shim that is there but fails is not one.
runs = $(shell IFS=:; for d in $$PATH; do "$$d/python$(1)" -c 'import ensurepip' > /dev/null 2>&1 && echo "$$d/python$(1)" && break; done)
ifndef PYTHON
PYTHON := $(or $(call runs,3.11),$(call runs,3.13),$(call runs,3.12))
endif
PROFILE ?= quick
# Where pip finds torch's CPU build if your package registry offers only the one with CUDA, for example
# make study TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
TORCH   := $(shell grep -x 'torch==.*' constraints.txt)

VENV := .venv
BIN  := $(VENV)/bin
STEPS := $(if $(filter test% portable $(VENV)/test,$(MAKECMDGOALS)),3,2)
PIP  := $(BIN)/python install.py

# Settings of the caller's shell that would lead pip or python out of .venv, or change what is installed.
unexport PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_ROOT PIP_CONSTRAINT PIP_REQUIREMENT PIP_PRE PIP_NO_DEPS
export PIP_USER := 0
export PIP_REQUIRE_VIRTUALENV := 0
export PYTHONNOUSERSITE := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: study test test-all portable lint bench clean
.DELETE_ON_ERROR:

study: $(VENV)/study
	zcp study --profile $(PROFILE)

test: lint
	pytest -n 2 --dist worksteal -m "not slow"

test-all: lint
	pytest -n 2 --dist worksteal

lint: $(VENV)/test
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache --no-logo

# What rounding decides; `zcp portable --write` measures the spreads of all tolerances anew.
portable: $(VENV)/test
	zcp portable

# What GreenFactory's scores cost, against what was asked; `python -m bench` runs all benchmarks.
bench: $(VENV)/study
	python -m bench greenfactory

$(VENV)/torch: constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 runs here (with venv); install one, or: make PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit((3, 11) > sys.version_info or sys.version_info >= (3, 14))' || { echo "$(PYTHON) is not a Python 3.11, 3.12 or 3.13 that runs; give one: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Setting up $(VENV) with $(PYTHON), once, in $(STEPS) steps"
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(PIP) "[1/$(STEPS)] $(TORCH)" $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	@touch $@

# torch comes first, on its own: another package's open range would take the newest build, with CUDA.
$(VENV)/study: $(VENV)/torch pyproject.toml
	@$(PIP) "[2/$(STEPS)] the study" --constraint constraints.txt --editable '.[study]'
	@touch $@

$(VENV)/test: $(VENV)/study
	@$(PIP) "[3/$(STEPS)] the tests" --constraint constraints.txt --editable '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) book/_build book/generated book/notebooks
