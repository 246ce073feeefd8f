# `make help` lists the targets.

PYTHON ?= python3
JOBS ?= 3
SOAK_SECONDS ?= 1800
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .envs/lowest
URL ?= http://127.0.0.1:8000
CLIENTS := tests/clients
ENVS := $(CLIENTS)/.envs
PYTHON_CLIENTS := $(basename $(notdir $(wildcard $(CLIENTS)/requirements/*.txt)))
NODE_CLIENTS := $(basename $(notdir $(wildcard $(CLIENTS)/requirements/*.json)))

# Twice quiet: pip still prints errors, but no warnings about the places where it looks.
PIP_INSTALL := pip install -qq --disable-pip-version-check
# What only tests need. uv links packages from its cache, in a tenth of pip's time or less.
UV_INSTALL := $(BIN)/uv pip install --quiet --python

.PHONY: help install install-all lint test test-all fuzz test-clis test-lowest test-portable test-clients bench soak docs screenshots lock run dev demo smoke

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/gateway ## make .venv with the gateway, its extras and a Claude Code

# The demo needs no extras. Claude Code is installed even if there is one in the PATH, which may be
# too old, and which the demo ignores.
$(VENV)/demo: pyproject.toml requirements.txt requirements-cli.txt
	@$(PYTHON) -m venv $(VENV)
	@echo "Installing the gateway and its packages into $(VENV) (120 MB) ..."
	@$(BIN)/$(PIP_INSTALL) -e .
	@echo "Installing Claude Code into $(VENV) (365 MB, a download of 160 MB) ..."
	@$(BIN)/$(PIP_INSTALL) -r requirements-cli.txt
	@touch $@

$(VENV)/gateway: $(VENV)/demo requirements-extras.txt
	@echo "Installing the packages for Redis, /metrics, /openapi.json and traces into $(VENV) (10 MB) ..."
	@$(BIN)/$(PIP_INSTALL) -r requirements-extras.txt
	@touch $@

$(VENV)/tools: $(VENV)/gateway requirements-dev.txt requirements-docs.txt
	@echo "Installing linters and test tools into $(VENV) ..."
	@$(BIN)/$(PIP_INSTALL) "$$(grep ^uv requirements-dev.txt)"
	@$(UV_INSTALL) $(BIN)/python -r requirements-dev.txt
	@touch $@

# What checks deploy/ is large, and only its tests need it.
$(VENV)/deploy: $(VENV)/tools requirements-deploy.txt
	@echo "Installing what checks deploy/ into $(VENV) ..."
	@$(UV_INSTALL) $(BIN)/python -r requirements-deploy.txt
	@touch $@

lint: $(VENV)/tools ## ruff, mypy and import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Several tests of the fuzzing have the same name, of which several processes would run only one.
FUZZED := tests/unit/fuzz/test_schemathesis.py
PYTEST := $(BIN)/python -m pytest
IN_PARALLEL := -n $(JOBS) --dist loadfile --no-loadscope-reorder --ignore $(FUZZED)

test: $(VENV)/deploy ## all unit tests, and live tests of each promise
	$(PYTEST) $(IN_PARALLEL) -m "not thorough"

test-all: fuzz $(VENV)/deploy ## all tests, on the real Claude Code and a scripted upstream
	$(PYTEST) $(IN_PARALLEL)

fuzz: $(VENV)/tools ## requests made from the OpenAPI document, in one process that counts them
	$(PYTEST) $(FUZZED)

# A version is its number, or one of these names. CLI_ARGUMENTS are pytest's.
CLI_VERSIONS ?= pinned newest oldest
CLI_ARGUMENTS ?= -n $(JOBS) --dist loadfile
test-clis: $(VENV)/tools ## tests marked `clis`, on each Claude Code in CLI_VERSIONS
	$(BIN)/python -m tests.support.cli_versions "$(CLI_VERSIONS)" $(CLI_ARGUMENTS)

# With HIDE_LINUX, tests run without what only Linux has (tests/support/hidden_linux.py).
PORTABLE := $(addprefix tests/unit/, test_host.py test_host_memory.py routes/test_connection.py server \
	services/test_resources.py services/background $(addprefix services/claude/, conversation isolation \
	login processes test_elsewhere.py test_preflight.py test_status.py))
test-portable: $(VENV)/tools ## types and unit tests as on a system that is not Linux
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin wrapper
	HIDE_LINUX=1 $(PYTEST) -n $(JOBS) --dist loadfile $(PORTABLE)

# Only files with such tests, as importing the others takes longer than these tests.
PACKAGES = $(shell grep -rl --include='test_*.py' pytest.mark.packages tests/unit)
test-lowest: $(VENV)/tools $(LOWEST)/installed ## tests marked `packages`, with the lowest versions that are allowed
	$(LOWEST)/bin/python -m pytest -n $(JOBS) --dist loadfile -m packages -k "not test_any" $(PACKAGES)

$(LOWEST)/installed: $(VENV)/tools requirements.txt requirements-dev.txt pyproject.toml tests/support/lowest.py
	@echo "Installing the lowest versions into $(@D) ..."
	@rm -rf $(@D)
	@$(PYTHON) -m venv --without-pip $(@D)
	@$(BIN)/python -m tests.support.lowest > $(@D)/requirements.txt
	@$(UV_INSTALL) $(@D)/bin/python -r $(@D)/requirements.txt
	@touch $@

# The clients' pins conflict, so each client has an environment of its own.
CLIENTS_INSTALLED := $(PYTHON_CLIENTS:%=$(ENVS)/%/installed) $(NODE_CLIENTS:%=$(ENVS)/%/installed)
test-clients: $(VENV)/tools $(CLIENTS_INSTALLED) ## real clients against a live gateway
	$(PYTEST) -n 2 --dist worksteal -rs -o verbosity_subtests=1 $(CLIENTS)

$(ENVS)/%/installed: $(CLIENTS)/requirements/%.txt | $(VENV)/tools
	@echo "Installing $< into $(@D) ..."
	@rm -rf $(@D)
	@$(PYTHON) -m venv --without-pip $(@D)
	@$(UV_INSTALL) $(@D)/bin/python $(UV_OPTIONS) -r $<
	@touch $@

# The dependencies that it declares are several gigabytes, for models that it does not run here.
$(ENVS)/open-webui/installed: UV_OPTIONS := --no-deps

$(ENVS)/%/installed: $(CLIENTS)/requirements/%.json
	@echo "Installing $< into $(@D) ..."
	@rm -rf $(@D)
	@mkdir -p $(@D)
	@cp $< $(@D)/package.json
	@npm install --prefix $(@D) --no-audit --no-fund --no-package-lock --loglevel=error
	@touch $@

bench: $(VENV)/tools ## the gateway's times beside those of `claude -p` and of a bare process
	@$(BIN)/$(PIP_INSTALL) -r requirements-bench.txt
	$(BIN)/python -m bench
	$(BIN)/python -m bench.hostile
	$(BIN)/python -m bench.console

install-all: $(VENV)/deploy $(LOWEST)/installed $(CLIENTS_INSTALLED) ## what all targets of tests need

soak: $(VENV)/tools ## mixed traffic with faults for half an hour, or SOAK_SECONDS; nothing may be lost or grow
	$(BIN)/python -m bench.soak $(SOAK_SECONDS)

docs: $(VENV)/tools ## write the generated tables, and build the site of the documentation into build/site
	$(BIN)/python -c "from pathlib import Path; from wrapper import docgen; docgen.write(Path())"
	$(BIN)/mkdocs build --strict  # with --quiet, warnings would pass

screenshots: $(VENV)/tools ## pictures of the console's pages into build/screenshots, and three into docs/
	$(BIN)/python -m bench.console_pictures

# For the Python that deploy/Dockerfile names, on Linux.
IMAGE_PYTHON = $(shell sed -n '/^FROM python:/{s/FROM python:\([0-9.]*\).*/\1/p;q}' deploy/Dockerfile)
LOCK = $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-annotate \
	--python-version $(IMAGE_PYTHON) --python-platform linux --custom-compile-command "make lock"

lock: $(VENV)/tools ## renew the exact versions and hashes of the packages in the container
	$(LOCK) -o deploy/runtime.lock requirements.txt requirements-extras.txt requirements-cli.txt
	grep ^setuptools requirements-dev.txt | $(LOCK) -o deploy/build.lock -

run: install ## serve on HOST and PORT with your own login
	$(BIN)/claude-code-gateway

dev: install ## the same, restarted when the code changes
	$(BIN)/claude-code-gateway --reload

demo: $(VENV)/demo ## serve a scripted model, without account and network, and print what to try
	@$(BIN)/claude-code-gateway demo

smoke: install ## check a running server: make smoke URL=http://127.0.0.1:8000
	@$(BIN)/claude-code-gateway smoke $(URL)
