# Needs Rust and nothing else. Flags for a program go into ARGS: make run-all ARGS="--fresh"

.DEFAULT_GOAL := help
.PHONY: run-all client test torture sabotage bench lint fmt clean help

run-all: ## Open the whole store; Ctrl-C closes it
	cargo build --release --bins
	@exec target/release/run-all $(ARGS)

client: ARGS ?= -c 5 -n 100 -p 0.8
client: ## Send five customers into the open store
	cargo build --release --bin client
	@exec target/release/client $(ARGS)

# Not optimized, so that every debug assertion and overflow check takes part.
test: ## Run every test
	cargo test $(ARGS)

torture: export TORTURE_SECONDS := $(TORTURE_SECONDS)
torture: export TORTURE_SEED := $(TORTURE_SEED)
torture: ## Break the whole store for TORTURE_SECONDS (300), from TORTURE_SEED (1)
	cargo test --test torture -- --ignored --nocapture $(ARGS)

sabotage: ## Break one rule at a time, all or NAMES="07 lease", and show which check notices
	tests/sabotage/run $(NAMES)

bench: ## Measure
	cargo bench $(ARGS)

lint: ## Check the format and the lints
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

fmt: ## Format the code
	cargo fmt

clean: ## Remove what was built (data/ stays; run-all --fresh empties it)
	cargo clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
