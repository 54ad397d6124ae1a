# SPDX-License-Identifier: Apache-2.0
# Everything works in .venv, which the targets make as they need it.

PYTHON ?= python3
VENV := .venv
RUNTIME := $(VENV)/.vnetkb-runtime
DEV := $(VENV)/.vnetkb-dev
NOX := $(VENV)/bin/nox --no-venv --no-stop-on-first-error -s
export PYTHON
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help venv demo test coverage lint format bench catalogue lab repeat sources docs docs-serve docs-catalogue wheel fuzz kills clean
.DEFAULT_GOAL := help

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

venv: $(DEV) ## make .venv with vnetkb and the tools of its developers

demo: $(RUNTIME) ## make a tap that really drops, collect, analyze, show the answer
	@$(VENV)/bin/python tools/demo.py

test: $(DEV) ## run every test; ARGS="-k name" goes to pytest
	@$(NOX) tests -- $(ARGS)

coverage: $(DEV) ## run every test in one process and tell which lines none reached
	@$(NOX) coverage -- $(ARGS)

lint: $(DEV) ## style, types, shell scripts, knowledge base
	@$(NOX) lint

format: $(DEV) ## rewrite the code as the formatters want it
	@$(NOX) format

bench: $(DEV) ## measure CPU time and memory against the budgets
	@$(NOX) bench

catalogue: $(DEV) ## collect what people read for its translation; tells what has none
	@$(VENV)/bin/python tools/catalogue.py $(ARGS)

repeat: $(DEV) ## play every real scenario ten times: right verdicts of all; ARGS="--times 3 --only healthy"
	@$(NOX) repeat -- $(ARGS)

lab: $(DEV) ## boot other kernels under QEMU and judge every scenario; KERNEL=6.1 SCENARIO='ring-*' ARGS=--record
	@$(NOX) lab -- $(KERNEL:%=--kernel %) $(if $(SCENARIO),--scenario '$(SCENARIO)') $(ARGS)

sources: ## fetch Debian's kernel sources 6.1 and 6.12, which the tests of `kb verify` then use
	@tools/kernel-sources

docs: $(DEV) ## build the docs, English and Chinese, into build/docs
	@$(VENV)/bin/python tools/publish.py build

docs-serve: docs ## build the docs and serve them on http://127.0.0.1:8000/
	@$(VENV)/bin/python tools/publish.py serve

docs-catalogue: $(DEV) ## collect the texts of the docs' own pages for their translation
	@$(VENV)/bin/python tools/publish.py catalogue

wheel: docs ## build the wheel, the docs in it, into dist
	@$(VENV)/bin/python -m hatchling build -t wheel

fuzz: $(DEV) ## an hour of coverage-guided fuzzing; ARGS="--seconds 600"
	@nice -n 19 $(VENV)/bin/python tools/fuzz.py --seconds 3600 $(ARGS)

kills: $(DEV) ## kill the collector outright at 200 random moments
	@VNETKB_KILLS=200 $(VENV)/bin/python -m pytest -q tests/collectors tests/delivery -k killed_outright

clean: ## remove .venv and everything that was built or cached
	rm -rf $(VENV) .nox dist build htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find analyzer tools tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): pyproject.toml constraints.txt tools/make-venv
	@tools/make-venv $(VENV)
	@touch $@

$(DEV): pyproject.toml constraints.txt tools/make-venv
	@tools/make-venv $(VENV) dev
	@touch $@ $(RUNTIME)
