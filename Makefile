# Two commands do all set-up: `make run` and `make test`. Each makes what it needs, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ADDRESS ?= 127.0.0.1:19222

# What the tests use of Debian, as command:package.
TEST_TOOLS := chromium:chromium prometheus:prometheus promtool:prometheus \
	prometheus-alertmanager:prometheus-alertmanager curl:curl openssl:openssl strace:strace setpriv:util-linux \
	amtool:prometheus-alertmanager systemd-analyze:systemd docker-compose:docker-compose
# And what the end-to-end tests use besides: containers without a registry.
E2E_TOOLS := podman:podman runc:runc conmon:conmon catatonit:catatonit /usr/lib/podman/netavark:netavark \
	/usr/lib/podman/aardvark-dns:aardvark-dns iptables:iptables ip:iproute2 unshare:util-linux mmdebstrap:mmdebstrap /bin/kill:procps
CHAOS_TOOLS := strace:strace faketime:faketime

.DELETE_ON_ERROR:
.PHONY: run test check e2e fuzz chaos soak bench clean help

help:
	@echo "make run    start the agent on ~/.raptor/sessions, built-in policies in mode plan"
	@echo "make test   everything that is proven: style, types, tests with real browsers and a real Prometheus"
	@echo "make bench  every figure of docs/benchmarks.md, beside what it is compared with"
	@echo "make chaos  kill -9, errors, clock jumps, floods: trials and losses;  make fuzz: damaged input;  make soak"
	@echo "make e2e    the image, the sidecar in a pod, alerts on real trouble, packages (as root, with podman)"

run: $(VENV)/.installed
	@echo "metrics      http://$(ADDRESS)/metrics"
	@echo "status page  http://$(ADDRESS)/"
	@echo "sessions     ~/.raptor/sessions    (Ctrl-C ends the agent)"
	@exec $(BIN)/raptor-exporter serve --web.listen-address $(ADDRESS)

test: $(VENV)/.dev check
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not long"
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# Whatever needs a network comes first; the tests have a network namespace of their own, with containers in it.
e2e: $(VENV)/.dev
	@. .ci/tools.sh && need $(E2E_TOOLS)
	$(BIN)/python tests/support/kubectl.py
	$(BIN)/python tests/e2e/prepare.py .make/e2e
	unshare --net sh -c 'ip link set lo up && exec $(BIN)/python -m pytest -m long --timeout 900 tests/e2e'
	@cat .make/e2e/figures.txt

# kill -9 and errors at each system call, and real agents on bad days. Counts of trials and losses come last.
chaos: $(VENV)/.dev
	@. .ci/tools.sh && need $(CHAOS_TOOLS)
	$(BIN)/python -m pytest -m long --timeout 3600 tests/chaos

# An hour of churn under scrapes, or SOAK_SECONDS: descriptors, threads and memory.
soak: $(VENV)/.dev
	$(BIN)/python -m pytest -m long --timeout 0 -s tests/soak

# Writes docs/benchmarks.md. On a quiet machine, please.
bench: $(VENV)/.dev
	$(BIN)/python -m bench

# As many cases as `make fuzz FUZZ_CASES=…` says, and others with each FUZZ_SEED.
fuzz: export FUZZ_CASES ?= 100000
fuzz: export FUZZ_SEED ?= 1
fuzz: $(VENV)/.dev
	$(BIN)/python -m pytest --timeout 0 tests/fuzz

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/vulture
	@$(BIN)/python .ci/audit.py

$(VENV)/bin/python:
	@. .ci/tools.sh && need_venv $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --editable .
	@touch $@

# The tools are looked for every time: a check that is skipped once is never made again.
$(VENV)/.dev: $(VENV)/.installed test-tools
	@test -e $@ -a $@ -nt pyproject.toml || $(BIN)/pip install --quiet --group dev
	@touch $@

.PHONY: test-tools
test-tools:
	@. .ci/tools.sh && need $(TEST_TOOLS)

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
