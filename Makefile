# Coracle's build. `make help` lists the targets.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := build
MAKEFLAGS += --no-print-directory

GO      ?= go
PREFIX  ?= /usr/local
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

GOLANGCI_VERSION := v2.15.0
TOOLS            := bin/tools
GOLANGCI         := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)

# libcontainer needs cgo (nsenter, libseccomp); the main binary is linked statically all the same. netgo and osusergo keep
# glibc's resolver and its plug-ins out of it.
TAGS    := netgo osusergo seccomp urfave_cli_no_docs
LDFLAGS := -s -w -linkmode external -extldflags -static \
           -X main.version=$(VERSION) -X main.commit=$(COMMIT)
GOBUILD := CGO_ENABLED=1 $(GO) build -trimpath -tags "$(TAGS)" -ldflags "$(LDFLAGS)"
GOTEST  := $(GO) test -tags "$(TAGS)"

# The GPU helper loads NVIDIA's library at run time, which a static program cannot. The header that it is compiled against marks the
# functions as deprecated that older drivers have alone. With oldglibc it runs on older systems than this one.
HELPER := CGO_ENABLED=1 CGO_CFLAGS="-O2 -g -Wno-deprecated-declarations" $(GO) build -trimpath -tags "netgo osusergo oldglibc" \
          -ldflags "-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)"

# Packages that start containers or lint the tree; their results are not for Go's test cache.
SYSTEM_TESTS := ./test/...
FUZZTIME     ?= 30s

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: setup-build ## build the static bin/coracle, and bin/coracle-nvidia, its GPU helper
	@mkdir -p bin
	$(GOBUILD) -o bin/coracle ./cmd/coracle
	$(HELPER) -o bin/coracle-nvidia ./cmd/coracle-nvidia

.PHONY: static
static: build ## build, then show that nothing is needed at run time, and of the GPU helper, an old C library
	@test/static bin/coracle
	@test/static -glibc 2.17 bin/coracle-nvidia

.PHONY: arm64
arm64: setup-arm64 ## cross-build the static bin/coracle-arm64, and its GPU helper
	@mkdir -p bin
	GOARCH=arm64 CC=aarch64-linux-gnu-gcc PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig \
		$(GOBUILD) -o bin/coracle-arm64 ./cmd/coracle
	GOARCH=arm64 CC=aarch64-linux-gnu-gcc $(HELPER) -o bin/coracle-nvidia-arm64 ./cmd/coracle-nvidia
	@test/static bin/coracle-arm64
	@test/static -glibc 2.17 bin/coracle-nvidia-arm64

.PHONY: test
test: build setup-test ## unit, script and integration tests; prints what was skipped, and why
	@: >bin/skips && chmod 0666 bin/skips
	@rc=0; export TEST_SKIPS=$(CURDIR)/bin/skips; \
	$(GOTEST) $$($(GO) list -tags "$(TAGS)" ./... | grep -v /test/) || rc=1; \
	$(GOTEST) -count=1 -timeout 20m $(SYSTEM_TESTS) || rc=1; \
	test/skips bin/skips; exit $$rc

TORTURE ?= 5m

.PHONY: torture
torture: build setup-test ## stop the store at every step, runs at any moment; commands beside each other for TORTURE (5m)
	CORACLE_TEST_TORTURE=$(TORTURE) $(GOTEST) -count=1 -timeout 40m -v -run 'TestFaults|TestBesideEachOther' ./test/torture
	CORACLE_TEST_TORTURE=$(TORTURE) $(GOTEST) -count=1 -timeout 20m -v -run MachineLearningImage ./test/hostile
	CORACLE_TEST_TORTURE=$(TORTURE) $(GOTEST) -count=1 -timeout 20m -v -run 'TestKilledSupervisor$$|TestKilledParts|TestKilledCommands|TestRanksKilledStarting|TestManyStarts' ./test/integration
	CORACLE_TEST_TORTURE=$(TORTURE) $(GOTEST) -count=1 -timeout 20m -v -run 'TestKilled' ./test/subuid

VM     ?= all
VM_RUN ?=

.PHONY: test-vm
test-vm: build setup-vm ## boot nodes with systemd and cgroup v2 and test in them; VM=bookworm,trixie VM_RUN=REGEXP
	CORACLE_TEST_VM=$(VM) CORACLE_TEST_VM_RUN='$(VM_RUN)' $(GOTEST) -count=1 -timeout 40m -v -run 'TestNodes$$' ./test/vm

.PHONY: vm-shell
vm-shell: build setup-vm ## a root shell in a node; VM=bookworm or trixie
	$(GO) run -tags "$(TAGS)" ./test/vm shell $(if $(filter-out all,$(VM)),-release $(VM))

.PHONY: test-slurm
test-slurm: build setup-slurm setup-mlimage ## jobs through a real Slurm of two nodes on this machine (root)
	-@if [ "$$(id -u)" = 0 ]; then $(GO) run ./test/mlimage/build -cluster; fi
	CORACLE_TEST_SLURM=1 $(GOTEST) -count=1 -timeout 20m -v ./test/slurm

GPU_LANE := bin/gpu-lane

.PHONY: gpu-lane
gpu-lane: build setup-test ## a folder of tests on real GPUs, bin/gpu-lane, whose program "run" needs nothing else where it runs
	@mkdir -p $(GPU_LANE)
	$(GO) run ./test/gpu/lane $(GPU_LANE) bin
	CGO_ENABLED=0 $(GO) test -c -trimpath -tags "$(TAGS)" -ldflags '-s -w' -o $(GPU_LANE)/lane.test ./test/gpu

.PHONY: test-gpu
test-gpu: gpu-lane ## the helper and containers on this machine's GPUs; what it lacks is skipped by name
	$(GPU_LANE)/run

.PHONY: race
race: setup-build ## unit tests under the race detector
	CGO_ENABLED=1 $(GOTEST) -race $$($(GO) list -tags "$(TAGS)" ./... | grep -v /test/)

.PHONY: fuzz
fuzz: setup-build ## every fuzz target for FUZZTIME (30s)
	@test/fuzz "$(FUZZTIME)" -tags "$(TAGS)"

.PHONY: bench
bench: build ## measure start and pull beside the peers that are installed
	$(GO) run ./test/bench all

.PHONY: check
check: ## everything that has to hold before a change lands, and how long each part took
	@for part in fmt-check vet lint generated static arm64 test; do \
		start=$$SECONDS; echo "check: $$part"; $(MAKE) $$part || exit 1; \
		echo "check: $$part: $$((SECONDS - start)) s"; \
	done

.PHONY: demo
demo: static ## train a small model in a container, from a registry to the record
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/demo-train ./test/demo/train
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/demo ./test/demo
	@bin/demo -coracle bin/coracle -train bin/demo-train -data test/demo/data

.PHONY: mlimage
mlimage: setup-mlimage ## build the machine-learning test image, when it is missing (root)
	$(GO) run ./test/mlimage/build

.PHONY: fmt
fmt: $(GOLANGCI) ## format the Go sources
	$(GOLANGCI) fmt

.PHONY: fmt-check
fmt-check: $(GOLANGCI)
	$(GOLANGCI) fmt --diff

.PHONY: vet
vet: setup-build
	$(GO) vet -tags "$(TAGS)" ./...

.PHONY: lint
lint: setup-build $(GOLANGCI) ## golangci-lint
	$(GOLANGCI) run

.PHONY: generated
generated: ## regenerate generated files; fails when one was stale
	@test/generated -tags "$(TAGS)"

MANUAL := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))cmd/coracle/man

.PHONY: install
install: ## install bin/coracle, bin/coracle-nvidia (make build first), man pages and completion below PREFIX (/usr/local)
	install -D -m 0755 bin/coracle $(DESTDIR)$(PREFIX)/bin/coracle
	install -D -m 0755 bin/coracle-nvidia $(DESTDIR)$(PREFIX)/bin/coracle-nvidia
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/man/,man1 man5)
	$(foreach page,$(wildcard $(MANUAL)/*.[15]),install -m 0644 $(page) $(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $(page)));)
	bin/coracle completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/coracle
	bin/coracle completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_coracle
	bin/coracle completion fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/coracle.fish

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist

# Debian packages: installed as root, named otherwise.
setup-%:
	@test/setup $*

$(GOLANGCI):
	@mkdir -p $(TOOLS)
	GOBIN=$(CURDIR)/$(TOOLS) GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(TOOLS)/golangci-lint $@
