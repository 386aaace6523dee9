# coracle: `make help` lists the targets.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build
MAKEFLAGS   += --no-builtin-rules

VERSION ?= 0.1.0
PREFIX  ?= /usr/local
DESTDIR ?=
# `make install` makes the links apptainer and singularity, but for LINKS=no.
LINKS   ?= yes
# Seconds that `make fuzz` gives each fuzz target.
FUZZTIME ?= 10
# How long `make soak` goes on.
DURATION ?= 30m

GO       := .ci/go
NEED     := .ci/need
TAGS     := osusergo,netgo
LDFLAGS  := -s -w -linkmode external -extldflags "-static" -X main.version=$(VERSION)
# The Go heap begins with a huge page (userns/heap.c). A toolchain that no longer knows the setting does without.
GOEXP    := $(shell GOEXPERIMENT=norandomizedheapbase64 $(GO) env GOEXPERIMENT 2>/dev/null)
GOBUILD  := CC="$(CURDIR)/.ci/cc" CGO_ENABLED=1 GOEXPERIMENT=$(GOEXP) $(GO) build -buildvcs=false -trimpath -tags $(TAGS)
# A continuous integration log shows every test by name.
VERBOSE  := $(if $(CI),-v)
FIXTURES := bin/fixtures
comma    := ,
# Comparisons with other tools' images and readers: a lot of data, no concurrency of their own.
UNRACED  := ^(TestDeterministic|TestImages|TestOddImages|TestUnsquashfs|TestUnsquashfsList|TestKernel|TestSquashfuse|TestSize|TestMutations)$$

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

.PHONY: build
build: ## the static binary bin/coracle (VERSION=)
	@$(NEED) build
	$(GOBUILD) -ldflags '$(LDFLAGS)' -o cmd/coracle/coracle-images ./cmd/coracle
	$(GOBUILD),lean -ldflags '$(LDFLAGS)' -o bin/coracle ./cmd/coracle

.PHONY: install
install: build ## into PREFIX=/usr/local (DESTDIR=); links apptainer and singularity, but for LINKS=no
	install -D -m 0755 bin/coracle $(DESTDIR)$(PREFIX)/bin/coracle
	install -D -m 0755 cmd/coracle/coracle-images $(DESTDIR)$(PREFIX)/libexec/coracle/coracle-images
	@for name in $(if $(filter-out no,$(LINKS)),apptainer singularity run-singularity); do \
	  link=$(DESTDIR)$(PREFIX)/bin/$$name; \
	  if [ -e $$link ] && [ ! -L $$link ]; then \
	    echo "$$link is another program: remove it, or install with LINKS=no" >&2; exit 1; \
	  fi; \
	  echo "$$link -> coracle"; ln -sfn coracle $$link; \
	done

.PHONY: demo
demo: build tools ## make an image file of an OCI image of Debian packages, and run commands in it
	@$(NEED) build fixtures
	$(GO) run -buildvcs=false -trimpath ./e2e/fixtures -out $(FIXTURES) demo
	$(GO) build -buildvcs=false -o bin/asuser ./e2e/asuser
	bin/asuser -stage bin/coracle -stage $(FIXTURES)/app.oci -stage e2e/demo.sh -- sh demo.sh

.PHONY: test
test: lint unit e2e ## everything that must pass (CI=true: nothing may be skipped)

.PHONY: lint
lint: tools ## vet, gofmt, staticcheck
	@$(NEED) build
	$(GO) vet -tags $(TAGS) ./...
	@echo gofmt -l
	@unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l $$($(GO) list -f '{{.Dir}}' ./...)); \
	  [ -z "$$unformatted" ] || { echo "not gofmt'ed: $$unformatted" >&2; exit 1; }
	PATH="$$($(GO) env GOROOT)/bin:$$PATH" bin/staticcheck -tags $(TAGS) ./...

.PHONY: unit
unit: build tools ## unit tests, import arrows, counts of work; with the race detector where it matters
	@$(NEED) build fixtures unit
	$(GO) test $(VERBOSE) -short -race -tags $(TAGS) $$($(GO) list ./... | grep -vxE 'coracle/e2e(/rules)?|coracle/squash(/[^f].*)?')
	$(GO) test $(VERBOSE) -short -race -tags $(TAGS) -skip '$(UNRACED)' ./squash
	$(GO) test $(VERBOSE) -tags $(TAGS) ./squash/... ./e2e/rules

.PHONY: e2e
e2e: build fixtures ## end-to-end tests, as an ordinary user (RUN=regexp, MODE=unsquash or underlay)
	@$(NEED) peers
	$(GO) run -buildvcs=false -trimpath ./e2e/fixtures -out $(FIXTURES) mpi dnf
	$(if $(MODE),CORACLE_TEST_MODE='$(MODE)') $(GO) test $(VERBOSE) -count=1 -timeout $(if $(MODE),60m,15m) ./e2e $(if $(RUN),-run '$(RUN)')

# Two users at once; each looks for what is left of it.
.PHONY: soak
soak: build fixtures ## random launches, kills and cancels by two users (DURATION=30m)
	@$(NEED) peers
	$(GO) test -c -o bin/e2e.test ./e2e
	@cd e2e && failed=0; for u in corasoak1 corasoak2; do \
	  CORACLE_TEST_USER=$$u CORACLE_SOAK=$(DURATION) ../bin/e2e.test -test.v -test.timeout 0 -test.run '^TestSoak$$' & pids="$${pids:-} $$!"; \
	done; for p in $$pids; do wait $$p || failed=1; done; exit $$failed

.PHONY: fixtures
fixtures: tools ## the images that the end-to-end tests run
	@$(NEED) build fixtures
	$(GO) run -buildvcs=false -trimpath ./e2e/fixtures -out $(FIXTURES) test

.PHONY: tools
tools: bin/staticcheck bin/siftool
bin/staticcheck bin/siftool &: .ci/tools/go.mod .ci/tools/go.sum
	@$(NEED) build
	cd .ci/tools && ../go build -buildvcs=false -o ../../bin/ honnef.co/go/tools/cmd/staticcheck github.com/sylabs/sif/v2/cmd/siftool
	@touch bin/staticcheck bin/siftool

.PHONY: fuzz
fuzz: ## a burst of every fuzz target (FUZZTIME=10, seconds each)
	@$(NEED) build
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "fuzz $$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME)s -fuzzminimizetime 10x $$pkg; \
	  done; \
	done

# What `make bench` runs, one after the other, and where the results go: QUICK=1 leaves the documentation alone.
BENCHES := launch ranks read convert overlay mpi
RESULTS := $(if $(QUICK),bin/bench,docs/performance)
BENCHFLAGS := -json $(if $(QUICK),-quick)
# stage FILES: images for asuser.
stage = $(foreach f,$(1),-stage $(FIXTURES)/$(f)=fixtures/$(f))
# compare PART,COMMAND: a part's results, whole or not at all.
compare = @mkdir -p bin/bench $(RESULTS) && echo "bench $(1)" && $(2) >bin/bench/$(1).new && mv bin/bench/$(1).new $(RESULTS)/$(1).jsonl

.PHONY: bench
bench: ## side by side with others, into docs/performance.md (BENCH=launch, ranks, read, convert, overlay, mpi; QUICK=1)
	@for part in $(or $(BENCH),$(BENCHES)); do $(MAKE) --no-print-directory -j1 bench-$$part; done
	$(if $(QUICK),,$(GO) run ./bench/page)

.PHONY: bench-tools
bench-tools: build tools
	@$(NEED) fixtures bench
	$(GO) build -buildvcs=false -o bin/asuser ./e2e/asuser
	@for part in $(BENCHES); do $(GO) build -buildvcs=false -o bin/bench-$$part ./bench/$$part; done

.PHONY: bench-launch
bench-launch: bench-tools
	$(GO) run -buildvcs=false -trimpath ./e2e/fixtures -out $(FIXTURES) bench
	$(call compare,launch,bin/asuser -stage bin/coracle -stage bin/bench-launch $(call stage,files1.sif files2.sif files3.sif files4.sif files5.sif files6.sif files3) -- ./bench-launch $(BENCHFLAGS))

.PHONY: bench-ranks
bench-ranks: bench-tools
	$(GO) run -buildvcs=false -trimpath ./e2e/fixtures -out $(FIXTURES) ranks
	$(call compare,ranks,bin/asuser -stage bin/coracle -stage bin/bench-ranks $(call stage,tree-zstd.sqsh tree) -- ./bench-ranks $(BENCHFLAGS))

.PHONY: bench-overlay
bench-overlay: bench-tools
	$(GO) run -buildvcs=false -trimpath ./e2e/fixtures -out $(FIXTURES) bench
	$(call compare,overlay,bin/asuser -stage bin/coracle -stage bin/bench-overlay $(call stage,files3.sif files3) -- ./bench-overlay $(BENCHFLAGS))

.PHONY: bench-mpi
bench-mpi: bench-tools
	@$(NEED) peers
	$(GO) run -buildvcs=false -trimpath ./e2e/fixtures -out $(FIXTURES) mpi
	$(call compare,mpi,bin/asuser -stage bin/coracle -stage bin/bench-mpi $(call stage,mpi.sqsh ring.openmpi ring.mpich) -- ./bench-mpi $(BENCHFLAGS))

# Started as root, it has the kernel's own squashfs to compare with.
.PHONY: bench-read
bench-read: bench-tools
	$(GO) run -buildvcs=false -trimpath ./e2e/fixtures -out $(FIXTURES) read
	$(call compare,read,bin/bench-read $(BENCHFLAGS) -tree $(if $(QUICK),,$(FIXTURES)/tree-gzip.sqsh$(comma))$(FIXTURES)/tree-zstd.sqsh -big $(if $(QUICK),,$(FIXTURES)/big-gzip.sqsh$(comma))$(FIXTURES)/big-zstd.sqsh)

# Started as root, it has umoci and mksquashfs to compare with.
.PHONY: bench-convert
bench-convert: bench-tools
	$(GO) run -buildvcs=false -trimpath ./e2e/fixtures -out $(FIXTURES) convert
	$(call compare,convert,bin/bench-convert $(BENCHFLAGS) -archive $(FIXTURES)/app.tar -changed $(FIXTURES)/app-changed.tar -compression zstd:3$(if $(QUICK),,$(comma)gzip:6))

.PHONY: clean
clean: ## remove everything that was built
	@chmod -R u+w bin 2>/dev/null || true
	rm -rf bin cmd/coracle/coracle-images
