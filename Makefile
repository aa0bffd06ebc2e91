# The two commands of the README are `make demo` and `make test`. Both install what a bare machine lacks if they may.
# One profile (--release) everywhere, so that RocksDB is compiled once.

CARGO ?= cargo
CYCLES ?= 1000
SECONDS ?= 60

.PHONY: demo test bench crash fuzz check

demo:
	@.ci/need build
	$(CARGO) run --release --locked --bin recalld -- demo $(ARGS)

test:
	@.ci/need build test
	$(CARGO) test --release --locked --no-fail-fast

# recalld and Redis side by side, then the pieces.
bench:
	@.ci/need build bench
	$(CARGO) bench --profile release --locked

# Load, kill -9, restart, compare with the ledger: CYCLES times.
crash:
	@.ci/need build test
	RECALLD_CRASH_CYCLES=$(CYCLES) $(CARGO) test --release --locked --test ledger -- --nocapture

# Every fuzz target for SECONDS each. `make test` runs them over their seeds and a fixed number of mutations.
fuzz:
	@.ci/need build
	fuzz/run $(SECONDS)

check:
	@.ci/need build
	$(CARGO) fmt --check
	$(CARGO) clippy --release --locked --all-targets -- -D warnings
	@# domain, wire and config stand without the daemon.
	$(CARGO) clippy --release --locked --no-default-features --lib -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --no-deps
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
	$(CARGO) fetch --locked && $(CARGO) deny --offline check licenses bans sources; \
	else echo "cargo deny is not installed: licences, bans and sources are not checked"; fi
