# Every target needs Rust. A target that needs more says so. ARGS are passed to the program: make run-all ARGS="--fresh"

.DEFAULT_GOAL := help
.PHONY: run-all certs manual deny client loadtest evaluate test test-browser test-otlp test-netns test-containers test-database \
	soak model torture grade grade-faults sabotage fuzz bench bench-floor bench-etcd bench-postgres peers lint fmt clean help

# Opens and uses a store. Without the database its first build is much shorter; FEATURES=database adds it.
FEATURES ?= $(findstring database,$(ARGS))
BUILD = cargo build --release --no-default-features --features "$(FEATURES)"

run-all: ## Open the whole store; Ctrl-C closes it
	$(BUILD) --bins
	@exec target/release/run-all $(ARGS)

certs: ## Make or renew the certificates of the services in certs/
	$(BUILD) --bin certs
	@exec target/release/certs $(ARGS)

PROGRAMS = audit catalog certs client database frame frontend grade loadtest order run-all toys trace
manual: ## Write manual pages and completions for bash, zsh and fish to target/manual/
	cargo build --release --workspace --bins
	@mkdir -p target/manual
	@cd target/manual && for program in $(PROGRAMS); do \
		generate="../release/$$program --generate"; \
		$$generate man >$$program.1 && $$generate bash >$$program.bash && \
		$$generate zsh >_$$program && $$generate fish >$$program.fish || exit 1; \
	done

deny: ## Check licences, sources and banned crates; needs cargo-deny, which takes minutes to install
	cargo deny --all-features check bans licenses sources

client: ARGS ?= -c 5 -n 100 -p 0.8
client: ## Run five simulated customers at the open store
	$(BUILD) --bin client
	@exec target/release/client $(ARGS)

loadtest: ARGS ?= mixed -c 10 -d 10s
loadtest: ## Measure the open store under load
	$(BUILD) --workspace --bin loadtest
	@exec target/release/loadtest $(ARGS)

evaluate: ## Run the seven experiments of the lab (minutes), write results/<time>/report.html
	cargo build --release --workspace --bins
	@target/release/loadtest evaluate $(ARGS)

# Not optimized, so that debug assertions and overflow checks are enabled.
test: ## Run every test
	cargo test --workspace $(ARGS)

# With SCREENSHOTS=docs/screenshots it also replaces the screenshots in the README.
test-browser: ## Test the pages in a real browser; .ci/install-browser installs it
	@for need in chromium node npm; do command -v $$need >/dev/null \
		|| { echo "test-browser needs $$need; on Debian .ci/install-browser installs it"; exit 1; }; done
	@cd tests/browser && npm ls >/dev/null 2>&1 \
		|| { echo "test-browser needs the packages of tests/browser; .ci/install-browser installs them"; exit 1; }
	cargo build --bins
	cd tests/browser && node --test $(ARGS)

OTLP = target/otlp
test-otlp: ## Parse the spans that a store sends with OpenTelemetry's definitions, from PyPI; needs python3
	@test -x $(OTLP)/bin/python || python3 -m venv $(OTLP)
	$(OTLP)/bin/pip install --quiet opentelemetry-proto==1.45.2
	OTLP_SENT=$(abspath $(OTLP)/sent.jsonl) cargo test --test traces spans_are_sent
	$(OTLP)/bin/python tests/otlp/parse.py <$(OTLP)/sent.jsonl

test-netns: ## Test the store on five machines (network namespaces) with faults of the network
	cargo test --test torture -- --ignored --nocapture apart $(ARGS)

test-containers: ## Test the store in containers with faults, and audit it; needs podman and root
	@deploy/test-containers

test-database: ## Test the store on a database, whose nodes fail; .ci/install-database installs it
	cargo test --test database -- --ignored --nocapture --test-threads=1 $(ARGS)

soak: ## Simulate the store with new seeds for SOAK_SECONDS (300), or from SOAK_FROM
	cargo test --profile explore --test simulation soak -- --ignored --nocapture $(ARGS)

model: ## Check every state of the protocol within bounds; takes minutes
	cargo test --profile explore --test model -- --ignored --nocapture --test-threads=1 $(ARGS)

torture: ## Inject random faults into the store for TORTURE_SECONDS (300), from TORTURE_SEED (1)
	cargo test --test torture -- --ignored --nocapture --exact torture $(ARGS)

grade: ARGS ?= lab/submissions/toystore.toml
grade: ## Grade a toy store, ours or any other: ARGS="submission.toml", docs/grading.md
	cargo build --release --workspace --bins
	@PATH=$$PWD/target/release:$$PATH exec target/release/grade $(ARGS)

grade-faults: ## Plant each fault in the sample store in Python, and compare its grade; takes minutes; GRADE_ROUNDS (1)
	cargo build --workspace --bins
	cargo test -p toystore-lab --test grade -- --ignored --nocapture each_planted_fault $(ARGS)

sabotage: ## Break one rule of the code at a time, all or NAMES="07 lease", and show which test fails
	tests/sabotage/run $(NAMES)

# On the stable compiler and without a sanitizer, because the store has no unsafe code.
fuzz: FUZZ_SECONDS ?= 60
fuzz: ## Search for input that breaks a parser, FUZZ_SECONDS (60) each; needs cargo-fuzz and a C++ compiler
	@for claim in http frame log; do \
		mkdir -p fuzz/corpus/$$claim && \
		TMPDIR=/dev/shm cargo fuzz run --sanitizer none --debug-assertions $$claim \
			fuzz/corpus/$$claim fuzz/seeds/$$claim -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=4096 -use_value_profile=1 || exit 1; \
	done

bench: ## Measure everything, or one part: ARGS="--bench pieces"
	cargo build --release --bins
	cargo bench --workspace $(ARGS)

bench-floor: peers ## Compare cached queries with a bare loop, axum, actix-web and nginx (Debian's nginx-light, wrk, protobuf-compiler); ARGS="10 --with wrk"
	cargo build --release --bins
	cargo bench --workspace --bench floor -- $(ARGS)

bench-etcd: peers ## Compare purchases with puts to etcd (Debian's etcd-server, protobuf-compiler); ARGS="1 10" are numbers of clients
	cargo build --release --bins
	cargo bench --workspace --bench writes -- etcd $(ARGS)

bench-postgres: ## Compare purchases with transactions of one PostgreSQL (Debian's postgresql)
	cargo build --release --bins
	cargo bench --workspace --bench writes -- postgres $(ARGS)

# A separate crate, because it depends on an async runtime. The client of etcd needs protoc.
peers:
	cargo build --release --manifest-path lab/benches/peers/Cargo.toml

lint: ## Check the format and the lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

fmt: ## Format the code
	cargo fmt --all

clean: ## Remove what was built (data/ stays; run-all --fresh empties it)
	cargo clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
