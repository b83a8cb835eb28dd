# Stillhouse: `make help` lists what can be done. Needed: make, bash, Python 3.11 or newer with venv.
.DEFAULT_GOAL := help
.PHONY: help demo test up check format docs site bench results chaos mutants clean

VENV ?= .venv
export VENV
PYTHON_HERE := $(VENV)/bin/python
T ?= tests
ARGS ?=

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Install, start, distil a digit reader, prove it, use it (2 minutes after the install)
	@scripts/setup.sh demo
	@$(PYTHON_HERE) examples/demo.py $(ARGS)

test: ## Install and run all tests; T=tests/client picks some, ARGS="-x -k name" goes to pytest
	@scripts/setup.sh test
	@$(PYTHON_HERE) -m pytest -n auto --maxprocesses 4 --dist worksteal $(T) $(ARGS)

up: ## Start API, page and worker on this machine; Ctrl-C stops them
	@scripts/setup.sh demo
	@$(VENV)/bin/stillhouse up $(ARGS)

check: ## Lint, formatting, types, import contracts, compose file, Dockerfiles, scripts
	@scripts/setup.sh check
	@scripts/check.sh

format: ## Let ruff lay out the code, and make the client without asyncio out of the other
	@scripts/setup.sh check
	@PATH=$(VENV)/bin:$$PATH python scripts/unasync.py
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

docs: ## Write docs/methods and docs/http anew from what the code says of itself
	@scripts/setup.sh demo
	@$(PYTHON_HERE) -m scripts.docs

site: ## Build the documentation as a site in build/site, and check every link in it
	@scripts/setup.sh check
	@$(PYTHON_HERE) scripts/site.py

bench: ## Run the paired benchmarks
	@scripts/setup.sh test
	@set -e; for file in benchmarks/*.py; do $(PYTHON_HERE) "$$file"; done

results: ## Run every method on digits and write docs/results.md; started again, it goes on where it was
	@scripts/setup.sh demo
	@$(PYTHON_HERE) -m benchmarks.results $(ARGS)

chaos: ## Kill, freeze and cut everything while jobs run, and check what comes out; ARGS="--kills 200"
	@scripts/setup.sh test
	@PYTHONPATH=.:tests $(PYTHON_HERE) -m chaos $(ARGS)

mutants: ## Break the guards of the ledger one by one, and see that the tests notice
	@scripts/setup.sh test
	@PYTHONPATH=.:tests $(PYTHON_HERE) -m mutants $(ARGS)

clean: ## Remove caches and build products; the environment and all data stay
	@rm -rf build dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
