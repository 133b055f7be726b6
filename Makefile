# Two commands: `make demo` and `make test`. Each does all its own set-up.
# Wide choices: DEMO_SECONDS=20 ends the demo by itself; SERVER=ejabberd changes its server.
SHELL := /bin/sh
PY := .venv/bin/python
SERVER ?= prosody

.PHONY: help demo test check unit chaos chaos-commands liveness bench fuzz wheels lock servers clients arduino mosquitto clean

help:
	@echo "make demo    a private server, five devices and a controller, live in this terminal"
	@echo "make test    every check and every test, against real Prosody, ejabberd and PostgreSQL"
	@echo "make check   format, lint and types only"
	@echo "make unit    the tests that need no server"
	@echo "make chaos   20 devices, a million readings, 100 kills of each kind, on both servers; CHAOS=... for options"
	@echo "make chaos-commands  10,000 commands that must not run twice, cuts and kills, on both servers"
	@echo "make liveness  seconds until the right state after each fault, and ten minutes of packet loss"
	@echo "make bench   against MQTT in Python and the server's limit; growth; latencies; delivery; the serial link (half an hour)"
	@echo "make fuzz    any bytes into the serial link and the board's C core; SECONDS=60 for each target"
	@echo "make wheels  what pip install 'iotxmpp[pi]' needs on each machine, from the wheels' tags"
	@echo "make lock    renew requirements.lock"

.venv/ready: pyproject.toml requirements.lock .ci/setup-python
	@.ci/setup-python

servers: .venv/ready
	@.ci/setup-servers prosody ejabberd postgresql

clients:
	@.ci/setup-servers profanity tmux systemd

arduino:
	@.ci/setup-servers arduino

demo: .venv/ready
	@case "$(SERVER)" in prosody|ejabberd) .ci/setup-servers $(SERVER);; esac
	@$(PY) -m iotxmpp demo --server $(SERVER) $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

check: .venv/ready
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy

unit: .venv/ready arduino
	@$(PY) -m pytest tests/unit

# Three at a time: most tests wait for something. A file's tests stay together, and share its servers; in their own
# order, for by the number of their tests the longest would come last, and keep one worker waiting.
test: servers clients arduino mosquitto check
	@$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

chaos: servers
	@$(PY) -m tests.chaos.run $(CHAOS)

chaos-commands: servers
	@$(PY) -m tests.chaos.commands $(CHAOS)

liveness: servers
	@LIVENESS_TRIALS=$(or $(TRIALS),10) LIVENESS_LOSS_SECONDS=$(or $(LOSS_SECONDS),600) \
	 $(PY) -m pytest -s tests/chaos/test_liveness_trials.py

mosquitto:
	@.ci/setup-servers mosquitto

# About 40 minutes; each of these programs also runs alone, and the first two take `--only`.
bench: servers mosquitto
	@$(PY) bench/speed.py
	@$(PY) bench/growth.py
	@$(PY) bench/latency.py
	@$(PY) bench/compact.py
	@$(PY) bench/delivery.py
	@$(PY) bench/serial_page.py

fuzz: .venv/ready arduino
	@.ci/setup-fuzz
	@$(PY) -m tests.fuzz.run $(or $(SECONDS),60) $(TARGETS)

wheels: .venv/ready
	@$(PY) bench/wheels.py

lock:
	@.ci/lock

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
