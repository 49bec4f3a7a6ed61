# Included by the Makefile of the root; `make -f e2e/e2e.mk TARGET` works as well.
#
#   make cluster        a one-node Kubernetes on this machine, without Docker; needs root
#   make cluster-env    how to use it: eval "$(make -s cluster-env)"
#   make cluster-down   takes it away; nothing of it stays
#   make cluster-test   the tests of bringing it up, recovering it and taking it down, on a cluster of their own
#   make images         image archives in target/images
#   make e2e            the end-to-end tests; E2E_CLUSTER=kind|local|current, RUN=<regular expression of test names>
#   make install        installs Postern where kubectl points

E2E_DIR := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
CLUSTERCTL := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/postern/clusterctl
# A test that hangs shall end with the stacks of all goroutines, well before whoever waits for it loses patience.
E2E_TIMEOUT ?= 20m

.PHONY: clusterctl cluster cluster-env cluster-down cluster-test images e2e install

# The go command finds out by itself whether anything is to be done. -trimpath: equal sources give an equal program in each clone, and
# a cluster is replaced when its program has changed.
clusterctl:
	@cd $(E2E_DIR)/cluster && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o $(CLUSTERCTL) .

cluster: clusterctl
	@E2E_CLUSTER=local $(CLUSTERCTL) up
	@echo 'Use it with: eval "$$(make -s cluster-env)"'
	@echo 'Then kubectl is its kubectl, and "cluster-exec COMMAND" runs a command that reaches pods, Services and LoadBalancers.'

cluster-env: clusterctl
	@E2E_CLUSTER=local $(CLUSTERCTL) env

cluster-down: clusterctl
	@E2E_CLUSTER=local $(CLUSTERCTL) down

cluster-test:
	cd $(E2E_DIR)/cluster && go test ./...
	cd $(E2E_DIR)/cluster/loadbalancer && go test ./...
	cd $(E2E_DIR)/cluster && go test -tags lifecycle -count=1 -v -timeout $(E2E_TIMEOUT) -run Lifecycle ./node

images: clusterctl
	@$(CLUSTERCTL) images

# The go command runs here, where modules can be downloaded; -exec takes only the tests to where the cluster is.
e2e: clusterctl
	@$(CLUSTERCTL) up
	@$(CLUSTERCTL) load
	cd $(E2E_DIR)/tests && go test -exec '$(CLUSTERCTL) exec --' -count=1 -v -timeout $(E2E_TIMEOUT) -run '$(RUN)' ./...



install:
	@$(E2E_DIR)/../manifests/install.sh
