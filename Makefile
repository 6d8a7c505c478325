# Everything runs in .venv, which the first command creates.
PYTHON ?= python3
VENV   ?= .venv
DATA   ?=
ARGS   ?=
# Number of tests at the same time; slow tests wait for other processes half of their time.
WORKERS ?= 2
SLOW_WORKERS ?= 4
BIN    := $(VENV)/bin
SUDO   ?= $(if $(filter 0,$(shell id -u)),,sudo)

# No telemetry from any tool.
export RAY_USAGE_STATS_ENABLED ?= 0
export MLFLOW_DISABLE_TELEMETRY ?= true
export DO_NOT_TRACK ?= 1
ifneq ($(wildcard $(DATA)/gt_faces),)
export CHROMATUNE_REAL_DATA ?= $(abspath $(DATA))
endif

.PHONY: install run test test-fast test-cluster soak fuzz browser lint audit docs champions bench bench-search ui clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Chromatune needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

## Run everything on synthetic images, or on DATA/gt_faces and DATA/ncd: make run DATA=DIR
run: install
	$(BIN)/chromatune reproduce --preset quick $(if $(DATA),--data "$(DATA)") $(ARGS)

## Lint and all tests; DATA=DIR adds those on the real images
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(ARGS)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(SLOW_WORKERS) --dist loadscope -m "slow and not soak and not cluster" $(ARGS)

test-fast: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(ARGS)

## Several nodes, outages, full disks, a bucket. As root, each node has its own network and processes.
test-cluster: install
	ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1 && command -v ip >/dev/null && command -v chattr >/dev/null || { $(SUDO) apt-get update && $(SUDO) apt-get install --yes --no-install-recommends postgresql iproute2 e2fsprogs; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,cluster-test]'
	$(BIN)/python -m pytest -m cluster $(ARGS)

## Ten launches with kill -9 at random moments, some minutes
soak: install
	$(BIN)/python -m pytest -m soak $(ARGS)

## Fuzz every reader for MINUTES each
fuzz: install
	CHROMATUNE_FUZZ_MINUTES=$(or $(MINUTES),5) $(BIN)/python -m pytest -n $(WORKERS) tests/security/test_fuzz.py --timeout=3600

## Debian's Chromium and zsh, for the tests of the web page and of completion. Without them they are skipped.
browser:
	$(SUDO) apt-get update
	$(SUDO) apt-get install --yes --no-install-recommends chromium chromium-driver zsh

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

## Known vulnerabilities of the installed packages, from PyPI
audit: install
	$(BIN)/pip-audit --local

## Write the measured figures into the pages of docs
docs: install
	$(BIN)/python -m docs.update

## Measure the models of configs/champion_*.yaml again, into docs/results/champions.json
champions: install
	$(BIN)/python -m docs.measure_champions $(ARGS)

## The benchmarks of docs/performance.md, an hour and a half: make bench DATA=DIR (with gt_faces/)
bench: install
	for copies in 1 10; do $(BIN)/chromatune prepare $(if $(DATA),faces --source "$(DATA)/gt_faces",synthetic-faces) --augment $$copies || exit; done
	for name in grid_time orchestration validation_share; do $(BIN)/python -m benchmarks.$$name $(if $(DATA),,--dataset synthetic-faces) $(ARGS) || exit; done
	for name in commands first_run scaling; do $(BIN)/python -m benchmarks.$$name || exit; done
	$(BIN)/python -m benchmarks.dataset_size

## The searches of docs/search.md, half an hour without Ax and Gaussian processes.
## Other libraries go into environments of their own.
bench-search:
	for name in peers peers-neps; do \
		$(PYTHON) -m venv $(VENV)-$$name && \
		$(VENV)-$$name/bin/python -m pip install --quiet --constraint constraints.txt --editable . && \
		$(VENV)-$$name/bin/python -m pip install --quiet --requirement benchmarks/search/$$name.txt || exit; \
	done
	OMP_NUM_THREADS=1 $(VENV)-peers/bin/python -m benchmarks.search $(ARGS)
	OMP_NUM_THREADS=1 $(VENV)-peers-neps/bin/python -m benchmarks.search --methods 'NePS*' $(ARGS)

ui: install
	$(BIN)/chromatune ui

clean:
	rm -rf $(VENV) $(VENV)-peers* .mypy_cache .ruff_cache .pytest_cache build dist
