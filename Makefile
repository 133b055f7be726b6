# Two commands: `make demo` and `make test`. Each does all its own set-up.
# Wide choices: DEMO_SECONDS=20 ends the demo by itself; SERVER=ejabberd changes its server.
SHELL := /bin/sh
PY := .venv/bin/python
SERVER ?= prosody

.PHONY: help demo test check unit bench lock servers clean

help:
	@echo "make demo    a private server, five devices and a controller, live in this terminal"
	@echo "make test    every check and every test, against real Prosody and ejabberd"
	@echo "make check   format, lint and types only"
	@echo "make unit    the tests that need no server"
	@echo "make bench   latencies, side by side with a raw slixmpp round trip"
	@echo "make lock    renew requirements.lock"

.venv/ready: pyproject.toml requirements.lock .ci/setup-python
	@.ci/setup-python

servers: .venv/ready
	@.ci/setup-servers prosody ejabberd

demo: .venv/ready
	@case "$(SERVER)" in prosody|ejabberd) .ci/setup-servers $(SERVER);; esac
	@$(PY) -m iotxmpp demo --server $(SERVER) $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

check: .venv/ready
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy

unit: .venv/ready
	@$(PY) -m pytest tests/unit

test: servers check
	@$(PY) -m pytest

bench: servers
	@$(PY) bench/latency.py

lock:
	@.ci/lock

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
