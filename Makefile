# What there is to do here; `make help` lists it.

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

.PHONY: help install lint test fuzz test-lowest test-clients bench soak docs run dev demo smoke

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(VENV)/installed ## make the environment, and install a Claude Code where there is none

# The wheel's dependencies are left out: of that package only the claude binary is used.
$(VENV)/installed: requirements.txt requirements-dev.txt requirements-cli.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -r requirements-dev.txt
	test -n "$$CLAUDE_CLI_PATH" || command -v claude > /dev/null || \
		$(BIN)/pip install --quiet --no-deps -r requirements-cli.txt
	touch $@

# What checks deploy/ is large, and nothing else needs it.
$(VENV)/deploy: $(VENV)/installed requirements-deploy.txt
	$(BIN)/pip install --quiet --no-compile -r requirements-deploy.txt
	touch $@

lint: install ## ruff, mypy and import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Some of these tests have one name, of which several processes would run only one. What fails beside
# others is tried once more by itself: a machine that is full keeps no deadline.
FUZZED := tests/unit/fuzz/test_schemathesis.py
FUZZ ?= fuzz
test: install $(VENV)/deploy $(FUZZ) ## all tests, on the real Claude Code and a scripted upstream
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --ignore $(FUZZED) || \
		$(BIN)/python -m pytest --last-failed --last-failed-no-failures none --ignore $(FUZZED)

# It counts its requests, which are to be made by one process.
fuzz: install
	$(BIN)/python -m pytest $(FUZZED)

test-lowest: install $(LOWEST)/installed ## tests marked `packages`, with the lowest versions that are allowed
	$(LOWEST)/bin/python -m pytest -n $(JOBS) --dist loadfile -m packages -k "not test_any" --ignore tests/unit/fuzz tests/unit

$(LOWEST)/installed: requirements.txt requirements-dev.txt pyproject.toml tests/support/lowest.py
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(BIN)/python -m tests.support.lowest > $(@D)/requirements.txt
	$(@D)/bin/pip install --quiet --no-compile -r $(@D)/requirements.txt
	touch $@

# The clients' pins conflict, so that each has an environment of its own.
test-clients: install $(PYTHON_CLIENTS:%=$(ENVS)/%/installed) $(ENVS)/node/installed ## real clients against a live gateway
	$(BIN)/python -m pytest -rs -o verbosity_subtests=1 $(CLIENTS)

$(ENVS)/%/installed: $(CLIENTS)/requirements/%.txt
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --no-compile $(PIP_OPTIONS) -r $<
	touch $@

# Its own dependencies are several gigabytes, for models that it does not run here.
$(ENVS)/open-webui/installed: PIP_OPTIONS := --no-deps

$(ENVS)/node/installed: $(CLIENTS)/requirements/node.json
	rm -rf $(@D)
	mkdir -p $(@D)
	cp $< $(@D)/package.json
	npm install --prefix $(@D) --no-audit --no-fund --no-package-lock --loglevel=error
	touch $@

bench: install ## the gateway's times beside those of `claude -p` and of a bare process
	$(BIN)/pip install --quiet -r requirements-bench.txt
	$(BIN)/python -m bench
	$(BIN)/python -m bench.hostile

soak: install ## mixed traffic with faults for half an hour, or SOAK_SECONDS; nothing may be lost or grow
	$(BIN)/python -m bench.soak $(SOAK_SECONDS)

docs: install ## write parameters, ceilings, headers and settings into docs/ and .env.example
	$(BIN)/python -c "from pathlib import Path; from wrapper import docgen; docgen.write(Path())"

run: install ## serve on HOST and PORT with your own login
	$(BIN)/python -m wrapper

dev: install ## the same, started anew when the code changes
	$(BIN)/python -m wrapper --reload

demo: install ## serve a scripted model, without account and network, and say what to try
	@$(BIN)/python -m wrapper.testing.demo

smoke: install ## check a running server: make smoke URL=http://127.0.0.1:8000
	@$(BIN)/python -m wrapper.smoke $(URL)
