# Included by the Makefile of the root; `make -f e2e/e2e.mk TARGET` works as well. docs/testing.md explains.

E2E_DIR := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
CLUSTERCTL := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/postern/clusterctl
# A test that hangs ends with the stacks of all goroutines, well before whoever waits for it loses patience.
E2E_TIMEOUT ?= 20m

.PHONY: clusterctl cluster cluster-env cluster-down cluster-diagnose cluster-test images e2e conformance install

# The go command finds out by itself whether anything is to be done. -trimpath: equal sources give an equal program in each clone, and
# a cluster is replaced when its program has changed.
clusterctl:
	@cd $(E2E_DIR)/cluster && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o $(CLUSTERCTL) .

cluster: clusterctl ## Brings up a one-node Kubernetes on this machine, without Docker; needs root.
	@E2E_CLUSTER=$${E2E_CLUSTER:-local} $(CLUSTERCTL) up
	@echo 'Use it with:  eval "$$(make cluster-env)"'
	@echo 'Then kubectl is its kubectl, and `cluster-exec COMMAND` runs a command that reaches its pods and Services.'

cluster-env: clusterctl ## Prints how to use it: eval "$(make cluster-env)"
	@E2E_CLUSTER=$${E2E_CLUSTER:-local} $(CLUSTERCTL) env

cluster-down: clusterctl ## Takes it away; nothing of it stays.
	@E2E_CLUSTER=$${E2E_CLUSTER:-local} $(CLUSTERCTL) down

cluster-diagnose: clusterctl ## Prints what helps to find out why something failed on the cluster of the last make e2e.
	@$(CLUSTERCTL) diagnose

cluster-test: ## Tests bringing a cluster up, recovering it and taking it down, on one of its own.
	cd $(E2E_DIR)/cluster && CGO_ENABLED=0 go test -trimpath ./...
	cd $(E2E_DIR)/cluster/loadbalancer && CGO_ENABLED=0 go test -trimpath ./...
	cd $(E2E_DIR)/cluster && CGO_ENABLED=0 go test -trimpath -tags lifecycle -count=1 -v -timeout $(E2E_TIMEOUT) -run Lifecycle ./node

images: clusterctl ## Makes image archives in target/images, without Docker.
	@$(CLUSTERCTL) images

# Compiled with the flags of the cluster's own programs, so that they share the compiled packages. The go command runs here, where
# modules can be downloaded; -exec takes only the tests to where the cluster is. One package after the
# other, because some install and remove what there is only one of in a cluster.
e2e: clusterctl ## Runs the end-to-end tests; E2E_CLUSTER=kind|local|current, RUN=regular expression.
	@$(CLUSTERCTL) up
	@$(CLUSTERCTL) load
	cd $(E2E_DIR)/tests && CGO_ENABLED=0 go test -trimpath -exec '$(CLUSTERCTL) exec --' -count=1 -v -p 1 -parallel 8 -timeout $(E2E_TIMEOUT) -run '$(RUN)' ./...

# Everything that the suite says is in the log; what is printed is how each test ended, and the table; the suite's
# tests of meshes, which no ingress can run, are left out. One failing test can cost minutes of waiting.
CONFORMANCE_DIR := $(abspath $(E2E_DIR)/../target/conformance)
CONFORMANCE_TIMEOUT ?= 90m

conformance: clusterctl ## Runs the Gateway API's official conformance suite; RUN=HTTPRouteWeight runs one test.
	@$(CLUSTERCTL) up
	@$(CLUSTERCTL) load postern conformance
	@mkdir -p $(CONFORMANCE_DIR) && rm -f $(CONFORMANCE_DIR)/{log,table.txt,report.yaml}
	@echo 'running; see $(CONFORMANCE_DIR)/log'
	@cd $(E2E_DIR)/conformance && status=0; \
	  CGO_ENABLED=0 E2E_TABLE=$(CONFORMANCE_DIR)/table.txt go test -trimpath -exec '$(CLUSTERCTL) exec --' -count=1 -v -timeout $(CONFORMANCE_TIMEOUT) \
	    -run '^Test(Table|Conformance)$$/^($(or $(RUN),.*))$$' ./suite -args -report-output $(CONFORMANCE_DIR)/report.yaml \
	    >$(CONFORMANCE_DIR)/log 2>&1 || status=$$?; \
	  grep -E '^ {4}--- ' $(CONFORMANCE_DIR)/log | grep -v 'SKIP: TestConformance/Mesh' || true; \
	  cat $(CONFORMANCE_DIR)/table.txt 2>/dev/null || tail -n 40 $(CONFORMANCE_DIR)/log; \
	  tail -n 3 $(CONFORMANCE_DIR)/log | grep -E '^(ok|FAIL|PASS)' || true; exit $$status

install: ## Installs Postern where kubectl points.
	@$(E2E_DIR)/../manifests/install.sh
