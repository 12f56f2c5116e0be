# Commands for this repository; `make help` lists them. The longer ones are small scripts in .ci/, which
# check for the tools that they need and install those that are missing.

.DEFAULT_GOAL := help
.PHONY: help run test families lint build setup fuzz bench bench-icount soak outage clean

# Seconds for each fuzz target and each outage: make fuzz SECONDS=600
SECONDS ?= 60
# Which fuzz targets, separated by blanks; empty means all: make fuzz TARGETS="rtp stun"
TARGETS ?=

# Rounds of joining and leaving in a soak: make soak ROUNDS=6
ROUNDS ?= 14

# Flags for leat up: make run ARGS="--listen-ip 192.168.1.5"
ARGS ?=

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build in release, start engine and signaling, serve the web app on http://localhost:7080
	@ARGS="$(ARGS)" exec .ci/serve

test: ## Run every test: unit, simulation, process, fuzz corpora, web, browser
	@exec .ci/test

families: ## The process and browser tests, once with only IPv4 and once with only IPv6
	@exec .ci/families

lint: ## Formatting, clippy with warnings denied, web type check and lint
	@exec .ci/lint

build: ## Build the web app and all binaries in release
	@exec .ci/build release

setup: ## Install everything that builds and tests need, without a build
	@exec .ci/setup

fuzz: ## Run the fuzz targets on nightly: make fuzz SECONDS=60 TARGETS="rtp stun"
	@exec .ci/fuzz "$(SECONDS)" $(TARGETS)

bench: ## Run the benchmarks
	@exec .ci/bench

bench-icount: ## Count the instructions of each part of the packet path
	@exec .ci/bench-icount

soak: ## Many rounds of joining and leaving without a leak, and all rounds of the browser tests: make soak ROUNDS=14
	@exec .ci/soak "$(ROUNDS)"

outage: ## A call while Redis, PostgreSQL and NATS are away for a minute each: make outage SECONDS=60
	@exec .ci/outage "$(SECONDS)"

clean: ## Remove all build results
	rm -rf target signaling/web/dist signaling/web/dist-sdk signaling/web/node_modules tests/browser/node_modules
