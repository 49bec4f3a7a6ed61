# The commands of Postern. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# The folder under manifests/examples that `make run` serves.
EXAMPLE ?= web-gateway

.PHONY: help run test format golden bench clean

help: ## Lists the commands.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

run: ## Serves the stock example on this machine (EXAMPLE=web-gateway, multi-domain, canary or gateway-api).
	@.ci/install-tools
	cargo build --release --locked -p postern -p postern-proxy -p postern-backend
	@e2e/run-example.sh $(EXAMPLE)

test: ## Formatting, lints, and all unit, golden, property and socket tests.
	@.ci/install-tools deny
	cargo fmt --all --check
	.ci/file-sizes
	.ci/arrows
	cargo deny --config .cargo/deny.toml --locked check bans licenses sources
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo test --workspace --locked

format: ## Formats all code.
	cargo fmt --all

golden: ## Writes the golden files anew; look at the difference before you commit it.
	UPDATE_GOLDEN=1 cargo test --locked -p postern-translate --test golden --test gateway_api --test children --test status

bench: ## Measures the proxy beside Envoy, HAProxy and nginx, and writes docs/benchmarks.md.
	@.ci/install-tools bench
	cargo build --release --locked -p postern -p postern-proxy -p postern-backend
	e2e/bench/run

clean: ## Removes what was built in this folder.
	cargo clean
	rm -rf .run

-include e2e/e2e.mk
