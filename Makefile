# `make` alone lists what there is.

CARGO ?= cargo
# The one profile of host, tests and benchmark, so that the WebAssembly runtime
# is compiled once; see ARCHITECTURE.md.
PROFILE := --release --locked
TARGET := $(or $(CARGO_TARGET_DIR),target)
WASM := $(TARGET)/wasm32-unknown-unknown/guest
HOST := $(TARGET)/release/sandpaper

STRATEGIES := market-making order-flow mean-reversion
WORKLOADS := s1 s2 s3

# How long `make run` runs: 90s, 5m, 1h30m; empty is until stopped.
DURATION ?=
# Further arguments of `make run`, such as ARGS="--seed 7 --symbols BTC/USD".
ARGS ?=

.DEFAULT_GOAL := help
# One cargo at a time: builds of the same folder would only wait for each other,
# and two links at once need twice the memory.
.NOTPARALLEL:

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make run DURATION=60s ARGS=\"--seed 7\""

.PHONY: run
run: host guests ## Build, allow and run the reference strategies on the simulated market
	@for name in $(STRATEGIES); do \
		cp "$(WASM)/$$(echo $$name | tr - _).wasm" "strategies/$$name.wasm" || exit 1; \
	done
	@echo "Allowing exactly the modules that were just built:"
	@for name in $(STRATEGIES); do \
		$(HOST) allow "strategies/$$name.wasm" --name "$$name" --note "built by make run" --yes || exit 1; \
	done
	$(HOST) run --simulated $(if $(DURATION),--duration $(DURATION)) \
		$(foreach name,$(STRATEGIES),--strategies $(name)) $(ARGS)

.PHONY: exchange
exchange: setup ## Start a fake exchange on loopback to trade on (ARGS="--faults 20s")
	$(CARGO) run $(PROFILE) -q -p sandpaper-tests --bin exchange -- $(if $(DURATION),--duration $(DURATION)) $(ARGS)

.PHONY: soak-feed
soak-feed: setup host ## 10,000 seeded days of faults against the feed (SANDPAPER_FIRST_SEED=…; SANDPAPER_SEED repeats one)
	SANDPAPER_SCENARIOS=$${SANDPAPER_SCENARIOS:-10000} $(CARGO) test $(PROFILE) -p sandpaper-tests --test main -- exchange:: --nocapture

.PHONY: fuzz
fuzz: setup ## Fuzz the feed, 60 s a target (SECONDS=600): frames, and faults against the oracle
	@scripts/fuzz $(or $(SECONDS),60)

.PHONY: test
test: setup setup-tests host guests workloads wasi-guest language-guests market ## Run every test
	@scripts/test

.PHONY: check
check: ## Run exactly what CI runs
	@.ci/run

.PHONY: prove
prove: setup setup-tests ## The accounting properties, the oracle and hledger at length (CASES, ORDERS, LEDGERS)
	PROPTEST_CASES=$(or $(CASES),100000) $(CARGO) test $(PROFILE) -p sandpaper --lib -- \
		portfolio:: engine::tests::accounts:: engine::tests::properties:: a18_
	PROPTEST_CASES=$(or $(CASES),100000) $(CARGO) test $(PROFILE) -p strategy-sdk --lib -- a18_
	SANDPAPER_ORACLE_ORDERS=$(or $(ORDERS),1000000) SANDPAPER_LEDGERS=$(or $(LEDGERS),1000) \
		$(CARGO) test $(PROFILE) -p sandpaper-tests --test main -- oracle:: ledger::hledger --nocapture

.PHONY: mutants
mutants: setup ## Change execution, portfolio and risk in one place at a time: does a test see it? (ARGS="--shard 0/40")
	@scripts/mutants $(ARGS)

.PHONY: lint
lint: setup ## Check format, lints and, where it is installed, dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(PROFILE) --workspace --all-targets -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny --offline check bans licenses sources; \
	else echo "cargo-deny is not installed: licenses and sources were not checked"; fi

# How often `make crash` kills the program; it takes about half a second each.
KILLS ?= 10000
# How many runs it kills and takes up again, up to four times each.
RESTARTS ?= 1000
# How many images of a power cut it makes.
IMAGES ?= 100000

.PHONY: crash
crash: host ## Kill a trading run KILLS times, fail every call, cut the power; prove every record
	SANDPAPER_BUILT=1 SANDPAPER_KILLS=$(KILLS) SANDPAPER_RESTARTS=$(RESTARTS) SANDPAPER_CRASH_IMAGES=$(IMAGES) SANDPAPER_CRASH_POINTS=1000000 \
		$(CARGO) test $(PROFILE) -p sandpaper-tests --test main crash:: -- --nocapture --test-threads=1
	SANDPAPER_FLIPS=1000000 $(CARGO) test $(PROFILE) -p sandpaper --lib b7_ -- --nocapture

.PHONY: restart
# Hours of the market of the run that is cut short: ten are a million inputs.
HOURS ?= 10
restart: host ## Time a restart behind a million inputs, with snapshots and without: 2 s at most
	SANDPAPER_BUILT=1 SANDPAPER_B13_HOURS=$(HOURS) SANDPAPER_B13_MS=2000 \
		$(CARGO) test $(PROFILE) -p sandpaper-tests --test main b13_a_long_run -- --nocapture

.PHONY: bench
bench: host workloads market ## Measure the feed, and native against sandboxed strategies
	@scripts/bench

.PHONY: host
host: setup ## Build the host
	$(CARGO) build $(PROFILE) -p sandpaper

.PHONY: guests
guests: setup ## Build the reference strategies to WebAssembly
	@scripts/guest $(STRATEGIES)

.PHONY: workloads
workloads: setup ## Build the measured workloads and the tests' quoter to target/workloads
	@scripts/guest $(addprefix workload-,$(WORKLOADS) quoter)
	@mkdir -p target/workloads
	@for name in $(WORKLOADS) quoter; do \
		cp "$(WASM)/workload_$$name.wasm" "target/workloads/$$name.wasm" || exit 1; \
	done
	@SANDPAPER_SLOW=1 scripts/guest workload-quoter
	@cp "$(WASM)/workload_quoter.wasm" target/workloads/quoter-slow.wasm

.PHONY: wasi-guest
wasi-guest: setup ## Build the test strategy that imports WASI to target/guests
	@scripts/wasi-guest

.PHONY: language-guests
language-guests: setup ## Build the example strategies in Python and JavaScript
	@scripts/language-guests

# What these run in CI as a slice, for as long as anyone likes.
LONG_TESTS := $(CARGO) nextest run --cargo-profile release --locked --no-capture

.PHONY: swap-storm
swap-storm: host ## Swap files under the loader for ten minutes: no unapproved byte runs
	SANDPAPER_STORM=600 $(LONG_TESTS) -p sandpaper-tests storm_of_swaps_runs_nothing

.PHONY: containment
containment: host ## Hostile strategies at length: 1,000 replays, 10,000 loads, random modules
	SANDPAPER_REPLAYS=1000 SANDPAPER_LOADS=10000 $(LONG_TESTS) -p sandpaper-tests corpus::
	SANDPAPER_SMITH=5000 $(LONG_TESTS) -p sandpaper smith_tests
	SANDPAPER_SMITH=3000 $(LONG_TESTS) -p sandpaper-tests corpus::smith

.PHONY: crowd
crowd: setup ## 1,000 WebSocket clients of the dashboard, a fifth of which do not read
	SANDPAPER_CLIENTS=1000 $(LONG_TESTS) -p sandpaper-tests crowd::
	SANDPAPER_LOOKS=10000 $(LONG_TESTS) -p sandpaper crit_002

.PHONY: fuzz-api
fuzz-api: host guests setup-tests ## Fuzz the dashboard's API by its OpenAPI document, 50,000 requests or so
	SANDPAPER_BUILT=1 SANDPAPER_EXAMPLES=1000 $(LONG_TESTS) -p sandpaper-tests schemathesis

.PHONY: market
market: ## Generate the market that the workloads are measured on, once
	@scripts/market

.PHONY: screenshots
screenshots: host guests ## Look at every page of the dashboard in a headless Chromium
	@scripts/screenshots

.PHONY: vendor
vendor: ## Fetch and bundle the dashboard's libraries anew (developers; needs Node)
	@scripts/vendor

.PHONY: vendor-check
vendor-check: ## Compare the dashboard's libraries with their lock, without network
	@scripts/vendor --check

.PHONY: setup
setup: ## Install what building needs
	@scripts/setup

.PHONY: setup-tests
setup-tests: ## Install the programs that some tests compare with or drive
	@scripts/setup-tests

.PHONY: clean
clean: ## Remove everything that was built
	$(CARGO) clean
	rm -rf target/guests target/market target/workloads target/venv
	rm -f $(foreach name,$(STRATEGIES),strategies/$(name).wasm)
