# Every target does its own set-up; `make help` lists them. Needs Python 3.11, Node.js 20 and make.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(or $(shell command -v python3.11 || command -v python3),python3.11)
NODE ?= ganache
RUN := .venv/bin/python
VENV := .venv/.installed
MODULES := node_modules/.installed
SETUP := $(VENV) $(MODULES)

# chain-free layers: neither Brownie's nor titanoboa's pytest plugin, which cost start-up and nodes
PYTEST := $(RUN) -m pytest -p no:pytest-brownie -p no:boa_test
WALK_ACTS_DEEP := 2000000

export NODE

.PHONY: help setup demo devnet test test-fast test-deep bench mutants lint fmt abi lock clean distclean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: $(SETUP) ## the story on a chain of its own (NODE=ganache or anvil, PRICES=path.csv)
	@$(RUN) -m scripts.demo $(ARGS)

devnet: $(SETUP) ## a chain that keeps running, with a funded wallet
	@$(RUN) -m scripts.devnet $(ARGS)

test: test-fast ## every test: without a chain, then on both nodes
	@echo "== integration: contracts and keeper on real nodes"
	@$(RUN) -m scripts.integration

test-fast: $(SETUP) ## the tests that need no Brownie
	@echo "== unit, property, stateful and keeper tests"
	@$(PYTEST) -n 2 --dist worksteal tests --ignore tests/integration

test-deep: $(SETUP) ## the stateful walk, far longer
	@echo "== stateful walk of $(WALK_ACTS_DEEP) acts"
	@BALLAST_WALK_ACTS=$(WALK_ACTS_DEEP) $(PYTEST) tests/stateful

bench: $(SETUP) ## gas of every act, into build/bench.json
	@$(RUN) -m scripts.bench $(ARGS)

mutants: $(SETUP) ## change the contracts a little, see whether the tests notice (an hour; goes on)
	@$(RUN) -m scripts.mutants $(ARGS)

lint: $(SETUP) ## format, types, contract sizes, ABI and gas files
	@echo "== ruff"
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@echo "== mypy"
	@.venv/bin/mypy
	@echo "== contract sizes"
	@$(RUN) -m scripts.report_size
	@echo "== rules of a Vyper reviewer"
	@$(RUN) -m scripts.vyper_rules
	@echo "== ABI files"
	@$(RUN) -m scripts.abi --check
	@if [[ -f scripts/gas_check.py ]]; then echo "== gas file"; $(RUN) -m scripts.gas_check; fi

fmt: $(SETUP) ## put the Python files into form
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

abi: $(SETUP) ## write interfaces/ from the contracts
	@$(RUN) -m scripts.abi

setup: $(SETUP) ## the Python environment and the node packages

$(VENV): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
	  || { echo "Python 3.11 is needed: install it, or name it with make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "Python's venv module is missing: install it (Debian: apt install python3.11-venv)" >&2; exit 1; }
	@echo "== Python environment .venv (a minute, once)"
	@[[ -x $(RUN) ]] || $(PYTHON) -m venv .venv
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(RUN) -m pip check >/dev/null || { $(RUN) -m pip check >&2; exit 1; }
	@touch $@

$(MODULES): package.json package-lock.json .npmrc
	@command -v node >/dev/null \
	  || { echo "Node.js is not installed: install version 20 or later (Debian: apt install nodejs npm)" >&2; exit 1; }
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' \
	  || { echo "Node.js $$(node --version) is too old: install version 20 or later" >&2; exit 1; }
	@command -v npm >/dev/null \
	  || { echo "npm is not installed: it comes with Node.js, or as a package of its own (Debian: apt install npm)" >&2; exit 1; }
	@echo "== node packages: ganache, anvil, solc, OpenZeppelin"
	@# `npm ci` asks for an entry for every platform; this takes the locked versions all the same
	@npm install --no-save --silent
	@touch $@

# Both lock files anew from what pyproject.toml, requirements.in and package.json ask for. They
# name versions and checksums but no addresses.
lock: ## resolve the lock files again
	@[[ -x build/uv/bin/uv ]] || { $(PYTHON) -m venv build/uv && build/uv/bin/pip install --quiet uv; }
	@build/uv/bin/uv pip compile --quiet --python-version 3.11 --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links pyproject.toml requirements.in -o requirements.lock >/dev/null
	@npm install --package-lock-only --silent

clean: ## everything that a command made, but the environments
	@rm -rf build dist reports .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	@find . -name __pycache__ -not -path './.venv/*' -not -path './node_modules/*' -prune -exec rm -rf {} +

distclean: clean ## the environments too
	@rm -rf .venv node_modules
