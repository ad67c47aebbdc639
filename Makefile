# The front door. `make help` lists the targets. Plain sh. What runs is built in cargo's profile release, what is tested in
# ci (see Cargo.toml), each once; `make test PROFILE=release` tests what runs.

CARGO  ?= cargo
PREFIX ?= /usr/local
ROUNDS ?= 50
SEEDS  ?= 1000
PROFILE ?= ci
BROKERS ?= corelane,kafka,tansu
BENCH  := target/release/examples/corelane-bench
# A simulated run takes a sixth of the time where our own code is optimised too. Compiling it so takes some minutes longer,
# which pays from a few hundred seeds on.
SIM    := --config profile.ci.package.corelane.opt-level=1

.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile

build: ## build the broker: target/release/corelane
	$(CARGO) build --release

run: build ## build and start a single node on 127.0.0.1:9092, data under ./data
	exec target/release/corelane start

cluster: build ## build and start three brokers on 127.0.0.1:9092 to 9094, data under ./data/cluster; Ctrl-C stops them in order
	exec config/cluster/start target/release/corelane

test: lint clients ## install what the tests need, then run them all
	$(CARGO) test --profile $(PROFILE) --no-fail-fast -- --test-threads=3

lint: ## formatting and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --profile $(PROFILE) --all-targets -- --deny warnings

clients: ## install the real clients that the tests use, under target/clients
	sh tests/clients/install.sh

crash: ## kill -9 under load, ROUNDS times (50): every acknowledged record must be there
	ROUNDS=$(ROUNDS) $(CARGO) test --profile $(PROFILE) --test e2e crash:: -- failover:: --nocapture

sim: ## a whole cluster simulated, SEEDS times at length (1000) and ten times as often for seconds, and that a missing safety rule is noticed; a failure prints its seed
	SIM_SEEDS=$(SEEDS) $(CARGO) test $(SIM) --profile $(PROFILE) --lib sim:: -- --include-ignored --nocapture

tune-check: ## what this machine is set to, and what it should be (tuning/tune help says the rest)
	@tuning/tune check || test $$? -le 2

bench: bench-build ## Corelane beside Kafka, three loads, 5 minutes: target/bench/report.html
	sh benches/install.sh kafka
	$(BENCH) suite --short $(ARGS)

bench-compare: bench-build ## every load and measure, beside Kafka, Tansu and Redis, one to three hours: target/bench-compare/report.html
	sh benches/install.sh kafka tansu redis
	$(BENCH) suite --brokers $(BROKERS) --extras --out target/bench-compare $(ARGS)

bench-gates: bench-build ## what a batch costs, counted (instructions, allocations, copies, system calls), against benches/limits.tsv
	$(BENCH) gates

bench-micro: ## the parts of a request alone: by wall time, then by instructions
	$(CARGO) bench --bench micro
	sh benches/ir.sh

bench-groups: bench-build ## what consumer groups cost, against their goals and beside Kafka, some minutes
	sh benches/install.sh kafka
	$(BENCH) groups

bench-cluster: bench-build ## what three brokers' copies cost, how long clients wait when one leaves, dies or catches up, and 100,000 partitions, half an hour
	sh benches/install.sh kafka
	$(BENCH) cluster

bench-build:
	$(CARGO) build --release --bin corelane --example corelane-bench --example corelane-counted

doc: ## the code's guide: target/doc/corelane/index.html
	$(CARGO) doc --no-deps --document-private-items

install: build ## the binary and links with Kafka's script names, under PREFIX (/usr/local)
	install -D target/release/corelane $(DESTDIR)$(PREFIX)/bin/corelane
	for name in $$(target/release/corelane generate script-names); do ln -sf corelane $(DESTDIR)$(PREFIX)/bin/$$name; done

deb: build ## build the Debian package: target/deb/corelane_*.deb
	config/deb/build target/release/corelane target/deb

deb-test: ## install, run, upgrade and remove the package in a fresh Debian (root, a few minutes)
	$(CARGO) test --profile $(PROFILE) --test e2e -- --ignored --nocapture the_package_installs

clean: ## remove what was built (not ./data)
	$(CARGO) clean

.PHONY: help build run cluster test lint clients crash sim bench bench-compare bench-gates bench-micro bench-groups bench-cluster bench-build tune-check doc install deb deb-test clean
