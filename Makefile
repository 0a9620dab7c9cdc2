# `make help` says what is here. The work is done by CMake (CMakePresets.json) and the scripts in scripts/.
SHELL := /bin/bash
.DEFAULT_GOAL := help

MODEL ?=
HOST ?= 127.0.0.1
PORT ?= 8000
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
export JOBS FUZZ_SECONDS MODEL
# Objects compiled in one clone are found again by ccache in another.
export CCACHE_BASEDIR ?= $(CURDIR)
export CCACHE_NOHASHDIR ?= 1

.PHONY: help
help: ## What can be done here
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nMODEL=NAME|PATH chooses the model of serve, chat and bench (now: %s);\n' "$(or $(MODEL),the default)"
	@printf 'names: '; sed -n 's/.*"name": "\(.*\)".*/\1/p' src/cli/catalogue.json | paste -sd' '

.PHONY: setup
setup: ## Install what building needs and this machine lacks (scripts/packages.txt)
	@scripts/setup.sh build

.PHONY: build
build: setup ## Build build/release/retort
	@scripts/build.sh release retort

.PHONY: serve
serve: build ## Build, fetch the model, serve it on http://127.0.0.1:8000
	@model=$$(scripts/fetch_model.py $${MODEL:+"$$MODEL"}) && exec build/release/retort serve "$$model" --host $(HOST) --port $(PORT) $(ARGS)

.PHONY: chat
chat: build ## Build, fetch the model, talk to it in this terminal
	@model=$$(scripts/fetch_model.py $${MODEL:+"$$MODEL"}) && exec build/release/retort chat "$$model" $(ARGS)

.PHONY: bench
bench: build ## Speed of the model, against what this machine's memory and arithmetic allow
	@model=$$(scripts/fetch_model.py $${MODEL:+"$$MODEL"}) && build/release/retort bench "$$model" $(ARGS)

.PHONY: bench-peers
bench-peers: build ## The same beside llama.cpp, compiled for this CPU, and OpenVINO (ISA=avx2: llama.cpp alone, both held to that)
	@bench/peers/set_up.sh $(if $(ISA),$(ISA),native)
	@model=$$(scripts/fetch_model.py $${MODEL:+"$$MODEL"}) && build/venv-peers-$(if $(ISA),$(ISA),native)/bin/python bench/peers/run.py "$$model" $(if $(ISA),--isa $(ISA) --peers llama.cpp) $(ARGS)

.PHONY: bench-serve
bench-serve: ## Load on a running server: ARGS="closed --concurrency 16"; see bench/serve/run.py --help
	@[ -x build/venv-bench-serve/bin/python ] || python3 -m venv build/venv-bench-serve
	@build/venv-bench-serve/bin/pip install --quiet --disable-pip-version-check -r bench/serve/requirements.txt
	@build/venv-bench-serve/bin/python bench/serve/run.py $(or $(ARGS),closed)

.PHONY: test
test: ## Unit tests, API tests with the official SDKs, goldens
	@scripts/setup.sh build test
	@scripts/build.sh release all
	@scripts/test.sh release unit api node

.PHONY: test-real
test-real: ## Tests with the 1.1 GB model
	@scripts/setup.sh build test
	@scripts/build.sh release all
	@scripts/test.sh release real

.PHONY: asan
asan: ## Unit and API tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/setup.sh build sanitize test
	@scripts/build.sh asan all
	@scripts/test.sh asan unit api

.PHONY: tsan
tsan: ## Unit and API tests under ThreadSanitizer
	@scripts/setup.sh build sanitize test
	@scripts/build.sh tsan all
	@scripts/test.sh tsan unit api

.PHONY: sanitize
sanitize: ## Unit tests under both sanitizers; asan and tsan run the API tests too
	@scripts/setup.sh build sanitize test
	@for preset in asan tsan; do scripts/build.sh $$preset all && scripts/test.sh $$preset unit || exit 1; done

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZ_SECONDS (60)
	@scripts/setup.sh build sanitize
	@scripts/build.sh fuzz all
	@scripts/fuzz.sh

.PHONY: aarch64
aarch64: ## Cross-build the engine for aarch64 and run its unit tests under qemu
	@scripts/setup.sh build aarch64
	@scripts/build.sh aarch64 all
	@ctest --test-dir build/aarch64 --output-on-failure -j $(JOBS)

.PHONY: fmt
fmt: ## Lay out all sources
	@scripts/setup.sh lint
	@scripts/lint.sh fix

.PHONY: lint
lint: ## Check layout, and C++, shell and Python sources for likely mistakes
	@scripts/setup.sh build lint
	@scripts/build.sh release configure
	@scripts/lint.sh check

.PHONY: clean
clean: ## Remove what was built (models stay in the cache)
	rm -rf build
