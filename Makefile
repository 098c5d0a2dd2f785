# make study | make study PROFILE=paper | make test | make bench
# Everything is installed into .venv, once; nothing else on the machine is changed.

PYTHON  ?= python3.11
PROFILE ?= quick
# Where pip finds torch's CPU build if your package registry offers only the one with CUDA, for example
# make study TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
TORCH   := $(shell grep -x 'torch==.*' constraints.txt)

VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-input

# Settings of the caller's shell that would lead pip or python out of .venv, or change what is installed.
unexport PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_ROOT PIP_CONSTRAINT PIP_REQUIREMENT PIP_PRE PIP_NO_DEPS
export PIP_USER := 0
export PIP_REQUIRE_VIRTUALENV := 0
export PYTHONNOUSERSITE := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: study test portable bench clean
.DELETE_ON_ERROR:

study: $(VENV)/study
	zcp study --profile $(PROFILE)

test: $(VENV)/test
	ruff check .
	ruff format --check .
	mypy
	pytest -n 2 --dist loadfile

# What rounding decides; `zcp portable --write` measures the spreads of all tolerances anew.
portable: $(VENV)/test
	zcp portable

bench: $(VENV)/study
	python -m bench

$(VENV)/torch: constraints.txt
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) is missing; install it, or: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up $(VENV): $(TORCH)"
	@$(PYTHON) -c 'import sys; assert sys.version_info[:2] == (3, 11), f"Python 3.11 is needed, not {sys.version}"'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	@touch $@

# torch comes first, on its own: another package's open range would take the newest build, with CUDA.
$(VENV)/study: $(VENV)/torch pyproject.toml
	@echo "Setting up $(VENV): the study (some minutes, once)"
	@$(PIP) --constraint constraints.txt --editable '.[study]'
	@touch $@

$(VENV)/test: $(VENV)/study
	@echo "Setting up $(VENV): the tests"
	@$(PIP) --constraint constraints.txt --editable '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) book/_build book/generated book/notebooks
