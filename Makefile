# Streaming Monitoring: every command of the project. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
CACHE := $(or $(STREAMING_MONITORING_CACHE),$(HOME)/.cache/streaming-monitoring)
BIN := .venv/bin
TESTS ?= tests
export PYTHONPATH := tests

.PHONY: help
help: ## Show the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/.installed ## Make .venv with the packages and the test tools

.venv/.installed: operator/remediator/requirements.txt operator/remediator/pyproject.toml requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --require-hashes -r operator/remediator/requirements.txt -r requirements-dev.txt
	$(BIN)/pip install -q --no-deps --no-build-isolation -e operator/remediator
	touch $@

.PHONY: generate
generate: setup ## Write the generated files: CRDs, the chart's copies of rules and dashboards
	$(BIN)/remediator crds > charts/streaming-monitoring/crds/remediation.yaml

.PHONY: lint
lint: setup ## Format, types and architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy operator/remediator/src
	$(BIN)/lint-imports

.PHONY: test
test: lint ## Set up and run every test this machine can run
	$(BIN)/pytest $(TESTS)

.PHONY: clean
clean: ## Remove what was built here (the cache outside stays)
	rm -rf .venv .tools build
