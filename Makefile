# `make help` lists what can be asked for. Nothing here needs a terminal.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.SUFFIXES:

# The first of these that is new enough makes the virtual environment.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --quiet
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python

CORE := Cargo.toml Cargo.lock pyproject.toml $(shell find rust/core rust/python -type f \
	! -path '*/target/*' ! -name '*.md' 2>/dev/null)

# Without a login there would be little to see.
DEMONSTRATION = $(if $(filter 4294967295,$(shell cat /proc/self/loginuid 2>/dev/null)),rules/demonstration,$\
	rules/demonstration/people.rules)

help: ## List what can be asked for
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf 'make %-13s %s\n' "$$name" "$$text"; done

run: .venv/core.stamp ## Build what is needed and show this machine's events (as root), until Ctrl-C
	@exec $(BIN)/tsauditd run --rules $(DEMONSTRATION) --or-convert tests/captures/sudo.log

test: .venv/core.stamp .venv/dev.stamp ## Run all tests: the core's, then Python's with the system tests (as root)
	@cargo test --locked --quiet --package tsauditd-core >&2
	@$(BIN)/python -m pytest -q

build: .venv/core.stamp ## Build the program into .venv (release build)

lint: .venv/core.stamp .venv/dev.stamp ## Check style, types, import rules and the core's typed face
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@cargo fmt --all --check
	@cargo clippy --locked --quiet --all-targets -- -D warnings
	@$(BIN)/lint-imports
	@MYPYPATH=src $(BIN)/python -m mypy.stubtest tsauditd._core

bench-convert: .venv/core.stamp ## Measure convert against ausearch (ARGS="--size 50 ...": docs/benchmarks.md)
	@$(BIN)/python benchmarks/convert.py $(ARGS)

bench-instructions: .venv/core.stamp ## Count convert's instructions an event (needs valgrind)
	@$(BIN)/python benchmarks/instructions.py

bench-live: .venv/core.stamp ## Measure the daemon against auditd and the floor (as root; ARGS as above)
	@$(BIN)/python benchmarks/live.py $(ARGS)

bench-sessions: .venv/core.stamp ## Measure what sessions cost Python, for each command and each open session
	@$(BIN)/python benchmarks/sessions.py $(ARGS)

bench-rules: .venv/core.stamp ## Measure what each rule set costs in events (as root)
	@$(BIN)/python benchmarks/rulesets.py $(ARGS)

bench-storms: .venv/core.stamp ## Measure the daemon against auditd and auditd with laurel in exec and connect storms (as root)
	@$(BIN)/python benchmarks/storms.py $(ARGS)

fleet: .venv/core.stamp .venv/dev.stamp ## What 10,000 hosts cost by the last full showdown (ARGS="--hosts 500 --rate web=20": docs/fleet.md)
	@PYTHONPATH=benchmarks $(BIN)/python -m showdown.fleet $(ARGS)

bench-floors: .venv/core.stamp ## Measure ways to receive, which move the floor (as root)
	@$(BIN)/python benchmarks/floors.py $(ARGS)

bench-reach: .venv/core.stamp ## Measure how many connections show both ends, against what the peers saw (as root)
	@$(BIN)/python benchmarks/reach.py $(ARGS)

showdown: .venv/core.stamp .venv/dev.stamp ## Measure tsauditd, auditd, laurel and others under the same work (as root)
	@PYTHONPATH=benchmarks $(BIN)/python -m showdown $(ARGS)

wheel: .venv/core.stamp ## Make dist/*.whl, which installs where there is no Rust (Python 3.11 or newer)
	@rm -f dist/tsauditd-*.whl
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/maturin build --release --locked --strip --quiet --out dist >&2

deb: wheel ## Make dist/*.deb, a Debian package for this machine's Python and architecture
	@packaging/deb/build $(CURDIR)/$(BIN)/python dist/tsauditd-*.whl

rpm: wheel ## Make dist/*.rpm, an RPM package for this machine's Python and architecture
	@packaging/rpm/build $(CURDIR)/$(BIN)/python dist/tsauditd-*.whl

try-deb: deb ## Install the Debian package in a new Debian, start it there, remove and purge it (as root)
	@PYTHONPATH=benchmarks $(BIN)/python packaging/try_deb.py dist/tsauditd_*.deb

try-rpm: rpm ## Install the RPM package in a new Debian, with its scripts, start it there, upgrade and remove it (as root)
	@PYTHONPATH=benchmarks $(BIN)/python packaging/try_rpm.py dist/tsauditd-*.rpm

try-systemd: deb ## Run the Debian package under systemd, in an emulated machine that is switched on and off (as root)
	@$(BIN)/python packaging/systemd/try.py dist/tsauditd_*.deb

format: .venv/dev.stamp ## Put Python and Rust code into the project's format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format
	@cargo fmt --all

lock: .venv/dev.stamp ## Write the lock files anew from pyproject.toml and Cargo.toml (newest versions)
	@$(LOCK) --upgrade --group build --output-file requirements/run.lock
	@$(LOCK) --upgrade --group dev --constraint requirements/run.lock --output-file requirements/dev.lock
	@cargo update

clean: ## Remove what was built
	@rm -rf .venv target src/tsauditd/_core*.so

# A missing tool is named in one line, with the package that brings it.
.venv/python.stamp:
	@[ -n "$(PYTHON)" ] || { echo 'make: Python 3.11 or newer is missing: apt-get install python3 python3-venv' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo 'make: $(PYTHON) cannot make virtual environments: apt-get install python3-venv' >&2; exit 1; }
	@command -v cc >/dev/null || { echo 'make: a C compiler (cc) is missing, Rust links with it: apt-get install gcc libc6-dev' >&2; exit 1; }
	@command -v cargo >/dev/null || { echo 'make: cargo (Rust 1.88 or newer) is missing: install rustup, then: rustup toolchain install stable' >&2; exit 1; }
	@$(PYTHON) -m venv .venv >&2
	@touch $@

.venv/run.stamp: .venv/python.stamp requirements/run.lock
	@$(PIP) -r requirements/run.lock >&2
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements/dev.lock
	@$(PIP) -r requirements/dev.lock >&2
	@touch $@

.venv/core.stamp: .venv/run.stamp $(CORE)
	@echo 'building the core (release)' >&2
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable . >&2
	@touch $@

.PHONY: help run test build lint bench-convert bench-instructions bench-live bench-sessions bench-rules showdown fleet bench-floors bench-storms bench-reach wheel deb rpm try-deb try-rpm try-systemd format lock clean
