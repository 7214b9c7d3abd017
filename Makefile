# Streaming Monitoring: every command of the project. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
CLUSTER ?=
SCENARIO ?=
DRY_RUN ?=
VERSION ?=
REPOSITORY ?=
DIGESTS ?= build/digests
PROVIDER = $(if $(CLUSTER),--provider=$(CLUSTER))
TESTS ?= tests/unit tests/services tests/chaos tests/kafka tests/rules tests/dashboards tests/chart tests/apiserver tests/e2e
ON_CLUSTER = $(filter tests/e2e%,$(TESTS))
WITHOUT_CLUSTER = $(filter-out $(ON_CLUSTER),$(TESTS))
COVERED := tests/unit/remediator tests/services
REST = $(filter-out $(COVERED),$(WITHOUT_CLUSTER))
# What hangs fails, and shows where; the longest test takes four minutes on a quiet machine.
# The cluster beside them has precedence: its incidents play in real time.
IN_PROCESSES := nice -n 5 $(BIN)/pytest --numprocesses=3 --dist=loadfile --timeout=1200
OUT ?= build/render
VALUES ?=
export CLUSTER
export PYTHONPATH := tests:scripts:.
# Where bytecode may not be kept, each of the many processes that the tests start compiles all of it anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help
help: ## Show the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: .venv/.installed ## From nothing to an alert that heals a real Flink job (CLUSTER=kind|existing, SCENARIO=scale|restore)
	$(BIN)/python -m demo $(if $(CLUSTER),--cluster=$(CLUSTER)) $(if $(SCENARIO),--scenario=$(SCENARIO))

.PHONY: test
test: tools ## Set up and run every test this machine can run
	@# Side by side, because those on a cluster or an API server mostly wait; each failure shows as it comes. The longer
	@# one first: make hands its two jobs out in this order, to prerequisites too.
	$(MAKE) --no-print-directory --jobs=2 --keep-going $(if $(ON_CLUSTER),on-cluster) $(if $(WITHOUT_CLUSTER),without-cluster)

.PHONY: without-cluster
without-cluster: .venv/.report-installed lint coverage
	@mkdir -p build
	@# What coverage has run is not run again.
	$(if $(REST),$(IN_PROCESSES) $(COVERED:%=--ignore=%) $(REST) > build/without-cluster.log || (cat build/without-cluster.log; exit 1))
	@$(if $(REST),tail -n 1 build/without-cluster.log)

.PHONY: on-cluster
on-cluster:
	$(BIN)/pytest --durations=10 $(ON_CLUSTER)

.PHONY: chaos
chaos: tools ## Kill at random: the data monitor 100 times during a replay; Alertmanagers and receivers during 1,000 incidents
	KILLS=100 HISTORIES=10000 $(BIN)/pytest tests/chaos
	INCIDENTS=1000 $(BIN)/pytest -s tests/apiserver/test_replicas.py

.PHONY: bench
bench: tools ## Measure, and write build/bench.json (BENCH=NAME for one of tests/bench)
	$(BIN)/python -m bench $(BENCH)

.PHONY: test-long
test-long: setup ## Tests of incidents that take many minutes each, on a cluster
	$(BIN)/pytest -m long $(TESTS)

.PHONY: lint
lint: .venv/.installed ## Format, types, architecture and workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy operator/remediator/src
	$(BIN)/mypy operator/data_monitor/src
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -c "from cluster import tools; tools.link(['actionlint'])"
	.tools/bin/actionlint

.PHONY: coverage
coverage: .venv/.installed ## The remediator's decisions: at least 95 % of their branches are tested
	$(IN_PROCESSES) $(COVERED) --cov=remediator.core --cov-branch --cov-report=term:skip-covered --cov-fail-under=95

.PHONY: setup
setup: .venv/.report-installed tools ## Make .venv (packages) and .tools/bin (helm, kubectl, promtool, amtool, kubeconform)

.PHONY: tools
tools: .venv/.installed
	$(BIN)/python -m cluster tools

LOCKS := operator/remediator/requirements.txt operator/data_monitor/requirements.txt requirements-dev.txt
.venv/.installed: $(LOCKS) operator/remediator/pyproject.toml operator/data_monitor/pyproject.toml
	$(PYTHON) -m venv .venv
	@# The lock files are complete: without --no-deps, older pips look at newer versions than the locked ones, and fail.
	@# --no-compile: what is imported is compiled then; to compile all of it takes as long as to install it.
	$(BIN)/pip install -q --no-compile --no-deps --require-hashes $(addprefix -r ,$(LOCKS))
	$(BIN)/pip install -q --no-deps --no-build-isolation -e operator/remediator -e operator/data_monitor
	$(BIN)/pip check
	touch $@

# Evidently, a gigabyte: for `data-monitor report` and its tests. The cluster and the demo do without.
.venv/.report-installed: .venv/.installed operator/data_monitor/requirements-report.txt
	$(BIN)/pip install -q --no-compile --no-deps --require-hashes -r operator/data_monitor/requirements-report.txt
	$(BIN)/pip check
	touch $@

.PHONY: mutate
mutate: setup ## Change each rule, one thing at a time, and count what the rules' tests notice (FILES="rules/ml.yaml ...")
	nice $(BIN)/python tests/rules/mutate.py $(FILES)

.PHONY: generate
generate: .venv/.installed ## Write the generated files: CRDs, dashboards, the chart's copies of rules and dashboards, its README
	$(BIN)/remediator crds > charts/streaming-monitoring/crds/remediation.yaml
	$(BIN)/python -m dashboards
	$(BIN)/python scripts/sync_chart_files.py
	$(BIN)/python scripts/pipeline_reference.py
	$(BIN)/python scripts/values_docs.py

.PHONY: golden
golden: setup ## Write what the chart renders to tests/chart/golden, and show what changed
	$(BIN)/python scripts/golden.py

.PHONY: pictures
pictures: .venv/.installed ## Draw the README's pictures from the Prometheus of a cluster that a demo has left
	$(BIN)/python scripts/pictures.py

.PHONY: render
render: setup ## Write the rendered chart to OUT, with VALUES=FILE if given
	$(BIN)/python scripts/render.py --out $(OUT) $(if $(VALUES),--values $(VALUES))

.PHONY: release-notes
release-notes: .venv/.installed ## Cut the notes of VERSION from CHANGELOG.md to build/release/notes.md
	@mkdir -p build/release
	$(BIN)/python scripts/release.py notes $(VERSION) > build/release/notes.md

.PHONY: release-chart
release-chart: .venv/.installed ## Package the chart of VERSION for REPOSITORY (OWNER/NAME), with the digests of its images (DIGESTS=FOLDER)
	$(BIN)/python -c "from cluster import tools; tools.link(['helm'])"
	$(BIN)/python scripts/release.py chart $(VERSION) --repository=$(REPOSITORY) --digests=$(DIGESTS)
	.tools/bin/helm dependency update build/release/streaming-monitoring
	.tools/bin/helm package build/release/streaming-monitoring --destination build/release

.PHONY: cluster-up
cluster-up: .venv/.installed ## Bring up a cluster (CLUSTER=kind|existing; DRY_RUN=1 with kind prints the steps)
	$(BIN)/python -m cluster up $(PROVIDER) $(if $(DRY_RUN),--dry-run)

.PHONY: cluster-down
cluster-down: .venv/.installed ## Take it down, whatever state it is in
	$(BIN)/python -m cluster down $(PROVIDER)

.PHONY: cluster-status
cluster-status: .venv/.installed ## Say what of it runs
	$(BIN)/python -m cluster status $(PROVIDER)

.PHONY: clean
clean: ## Remove what was built here (the cache outside stays)
	rm -rf .venv .tools build
