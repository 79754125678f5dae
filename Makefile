# `make` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

IMG ?= insitu-manager:latest
WEBHOOK_IMG ?= insitu-webhook:latest
CLUSTER ?= default
KUBECTL ?= kubectl
CLUSTER_TOOL := cargo run --quiet --locked -p cluster --

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Start a real cluster and watch Pods change in place (about a minute once built)
	@scripts/demo

.PHONY: test
test: ## Run every check and every suite; ends with "N passed, N failed"
	@scripts/test

.PHONY: sim
sim: ## Run SEEDS random lives of a CloneSet, or print the one of SEED; with SIDECARS=1 a SidecarSet is on the same Pods
	@cargo run --quiet --locked --profile sim -p sim -- $(if $(SIDECARS),--sidecars) $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000))

.PHONY: fuzz
fuzz: ## Ask the webhook with RUNS bodies that make no sense (SEED chooses which)
	@cargo run --quiet --locked --profile sim -p door -- fuzz --runs $(or $(RUNS),1000000) --seed $(or $(SEED),1)

.PHONY: check
check: ## Run the quick checks: format, lints, licences, rules of the tree
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	scripts/deny bans licenses sources
	cargo test --locked -p tests --test tidy

.PHONY: build
build: ## Build the manager and the webhook for release
	cargo build --locked --release -p manager
	cargo build --locked --release -p webhook

.PHONY: crds
crds: ## Write config/crd from the types in apis/
	@for kind in clonesets sidecarsets; do \
		yaml=$$(cargo run --quiet --locked -p apis --bin crdgen $$kind) && \
		printf '%s\n' "$$yaml" > config/crd/apps.kruise.io_$$kind.yaml || exit 1; \
	done

.PHONY: image
image: ## Build the container images IMG and WEBHOOK_IMG with docker
	docker build --target manager -t $(IMG) .
	docker build --target webhook -t $(WEBHOOK_IMG) .

.PHONY: bench
bench: ## Measure decisions, single Pods and whole rollouts; the latter against what the cluster can do at best
	@scripts/bench

.PHONY: bench-planner
bench-planner: ## Measure a decision about a set of 5,000 Pods only
	@scripts/bench planner

.PHONY: bench-injector
bench-injector: ## Measure the injection of 50 SidecarSets, and with 10,000 sets of other namespaces
	@cargo bench --quiet --locked -p sidecar-injector

.PHONY: bench-rollout
bench-rollout: ## Measure a rollout of 1,000 Pods on fake nodes only
	@scripts/bench rollout

.PHONY: bench-webhook
bench-webhook: ## Measure the webhook at 1,000 requests per second, with 10,000 idle connections, while it injects, and as an API server sees it
	@scripts/bench webhook
	@scripts/bench admission

.PHONY: bench-growth
bench-growth: ## Measure rollouts of 1,000 and of 5,000 Pods, and compare them (half an hour)
	@scripts/bench rollout --pods 1000,5000

.PHONY: cluster-up
cluster-up: ## Start a test cluster (CLUSTER=name); prints how to use it
	@$(CLUSTER_TOOL) up --name $(CLUSTER)

.PHONY: cluster-down
cluster-down: ## Take the test cluster down (CLUSTER=name)
	@$(CLUSTER_TOOL) down --name $(CLUSTER)

.PHONY: deploy
deploy: ## Install everything (images IMG and WEBHOOK_IMG) into kubectl's cluster
	$(KUBECTL) kustomize config/default | sed 's|image: insitu-manager:latest|image: $(IMG)|; \
		s|image: insitu-webhook:latest|image: $(WEBHOOK_IMG)|' | \
		$(KUBECTL) apply --server-side -f -
	$(KUBECTL) -n insitu-system rollout status deployment/insitu-webhook --timeout=2m
	$(KUBECTL) -n insitu-system rollout status deployment/insitu-manager --timeout=2m

.PHONY: undeploy
undeploy: ## Remove manager and webhook; the CRD and all CloneSets stay
	$(KUBECTL) delete --ignore-not-found -k config/webhook
	$(KUBECTL) delete --ignore-not-found -k config/manager
	$(KUBECTL) delete --ignore-not-found -k config/rbac

.PHONY: clean
clean: ## Remove what was built here (the cache of test clusters stays)
	cargo clean
