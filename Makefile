# On a fresh machine, `make run` and `make test` install what they need, once.

.PHONY: help run test test-docker test-tch check deny sanitize fuzz fuzz-smoke corpus chaos soak bench bench-frontend bench-overload images setup apt-packages browser tch cuda build artifacts clean
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# Packages that a Debian 12 machine needs besides Rust, gcc, Python 3 and pip: to run, and to test (wrk is for the benches).
APT := libzmq3-dev
APT_TEST := g++ redis-server wrk
# Wheels that Debian lacks or has too old: to run, the engines and photographs; to test, ZeroMQ for the Python peers and a
# validator for the schema of results.
PIP := onnxruntime==1.31.1 lightgbm==4.7.0 scikit-image==0.26.0
PIP_TEST := pyzmq==27.3.0 jsonschema==4.26.0 attrs==26.1.0 jsonschema-specifications==2025.9.1 referencing==0.37.0 \
  rpds-py==2026.9.1 typing-extensions==4.16.0
DEPS := .deps/.ready-$(shell echo $(APT) $(PIP) | cksum | cut -d' ' -f1)
DEPS_TEST := .deps/.ready-test-$(shell echo $(APT_TEST) $(PIP_TEST) | cksum | cut -d' ' -f1)
# Browser for the tests of the report page.
BROWSER := chromium
# The version of libtorch that tch requires, and the further libraries of its CPU build.
TORCH := torch==2.13.0
TORCH_NEEDS := nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85
CARGO_DENY_READY := .deps/cargo/.ready-cargo-deny@0.20.2
ADVISORIES := https://github.com/RustSec/advisory-db
ORT_CUDA := onnxruntime-gpu==1.31.1
INSTALL := python3 -m pip install --quiet --root-user-action ignore --only-binary :all: --target
# Clipper's own client of the admin API, unchanged, and its dependencies.
CLIPPER_ADMIN := clipper-admin==0.4.1 annotated-types==0.8.0 certifi==2026.10.18 cloudpickle==3.1.2 docker==7.2.0 \
  durationpy==0.11 idna==3.20 jinja2==3.1.6 kubernetes==37.0.2 markupsafe==3.0.4 numpy==2.4.6 oauthlib==4.0.1 \
  pydantic==2.14.3 pydantic-core==2.50.4 python-dateutil==4.0.0 pyyaml==6.0.3 requests==2.34.2 \
  requests-oauthlib==2.0.0 typing-extensions==4.16.0 typing-inspection==0.4.5 urllib3==2.8.0 websocket-client==1.9.2
CLIPPER_ADMIN_READY := .deps/clipper_admin/.ready-$(shell echo $(CLIPPER_ADMIN) | cksum | cut -d' ' -f1)
CARGO_FUZZ_READY := .deps/cargo/.ready-cargo-fuzz@0.13.2
# Fuzz targets, and the duration of each in seconds.
FUZZ_TARGETS := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
FUZZ_SECONDS := 300
# The address sanitizer is a nightly feature; RUSTC_BOOTSTRAP enables it in the pinned compiler.
FUZZ := RUSTC_BOOTSTRAP=1 PATH="$(CURDIR)/.deps/cargo/bin:$$PATH" cargo fuzz
PHOTOGRAPHS := .deps/python/skimage/data
# Programs for users; packages for tests and benches are compiled when they are used.
PROGRAMS := $(addprefix --package ,driver frontend noop vgg inception svm lgbm)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

help: ## Print this list.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

run: artifacts ## Build everything, then measure all four models on real photographs for at most ten minutes.
	@cargo run --release --quiet -p driver -- survey --pictures $(PHOTOGRAPHS)

test: artifacts browser $(DEPS_TEST) $(CLIPPER_ADMIN_READY) ## Run all tests.
	cargo test --release --workspace
	@$(MAKE) --no-print-directory test-docker

test-docker: artifacts $(CLIPPER_ADMIN_READY) ## Build the images and run the tests that need a Docker engine; prints NOT RUN without one.
	@if docker version >/dev/null 2>&1; then \
	  docker/build_docker_images.sh --compile host noop lgbm frontend clipper_admin && \
	  cargo test --release --workspace --test docker --test clipper_admin --test compose -- --ignored --test-threads 1; \
	else \
	  echo "NOT RUN: tests of Docker deployments: no Docker engine answers"; \
	fi

test-tch: artifacts tch ## Run the featurizer tests on both engines.
	cargo test --release --workspace --features featurizer/tch --test networks --test features

chaos: artifacts ## Kill, stop and slow processes under load for CHAOS_SECONDS=600; every query must be accounted for.
	cargo run --release --quiet -p endurance --bin chaos

soak: artifacts ## Run mixed models under load for SOAK_SECONDS=3600; memory, descriptors and threads must not grow.
	cargo run --release --quiet -p endurance --bin soak

check: setup tch ## Check formatting, clippy (with one and both engines) and documentation; warnings are errors.
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --release --workspace --all-targets --features featurizer/tch --quiet -- -D warnings
	cargo clippy --release --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --quiet

deny: $(CARGO_DENY_READY) ## Check licences and sources of dependencies, and known vulnerabilities if their database is reachable.
	@export PATH="$(CURDIR)/.deps/cargo/bin:$$PATH"; cargo deny check licenses bans sources; \
	if git ls-remote --quiet $(ADVISORIES) HEAD >/dev/null 2>&1; then cargo deny check advisories; \
	else echo "NOT RUN: known vulnerabilities: cannot reach $(ADVISORIES)"; fi

sanitize: $(DEPS_TEST) ## Run the tests of our unsafe code with the address sanitizer.
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test -p transport --lib --target-dir target/sanitizer \
	  --target "$$(rustc -vV | sed -n 's/^host: //p')"

fuzz: $(CARGO_FUZZ_READY) ## Fuzz every decoder for FUZZ_SECONDS=300; findings are in fuzz/artifacts.
	@$(FUZZ) build $(FUZZ_FLAGS)
	@for target in $(FUZZ_TARGETS); do \
	  mkdir -p fuzz/found/$$target; \
	  $(FUZZ) run $(FUZZ_FLAGS) $$target fuzz/found/$$target fuzz/corpus/$$target -- \
	    -verbosity=0 -print_final_stats=1 -timeout=10 -max_total_time=$(FUZZ_SECONDS); \
	done

fuzz-smoke: ## Fuzz every decoder for 3 s, without optimisation and sanitizer, which compiles faster.
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=3 FUZZ_FLAGS="--dev --sanitizer none"

corpus: $(DEPS_TEST) ## Regenerate the fuzzing seeds with the project's encoders.
	cargo run --quiet --manifest-path fuzz/Cargo.toml --example corpus

.deps/cargo/.ready-%: $(DEPS_TEST)
	@echo "$*: compiling"
	@cargo install --quiet --locked --debug --root .deps/cargo $* # debug compiles in half the time
	@touch $@

bench: artifacts tch $(DEPS_TEST) ## Benchmark the frontend against bare programs, and each model against its engine alone.
	cargo bench --workspace --features featurizer/tch --bench vgg --bench inception --bench svm --bench lgbm -- --quick
	cargo bench --workspace --features featurizer/tch --bench frontend

bench-frontend: artifacts $(DEPS_TEST) ## Benchmark the frontend against bare programs, over ZeroMQ and REST.
	cargo bench --workspace --bench frontend

bench-overload: artifacts ## Benchmark the frontend under overload: ten minutes, or everything with ARGS=--full.
	cargo bench --workspace --bench overload -- $(ARGS)

images: ## Build the Docker images of frontend, model servers and driver.
	docker/build_docker_images.sh

setup: $(DEPS) ## Install the programs' dependencies (apt, pip), once.

apt-packages:
	@echo $(APT)

# Installs the packages of a list that are missing.
define install
missing=""; for package in $(1); do dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; done; \
if [ -n "$$missing" ]; then \
  echo "setup: installing$$missing"; \
  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
fi
endef

$(DEPS):
	@$(call install,$(APT))
	@echo "setup: fetching $(PIP)"
	@rm -rf .deps && mkdir -p .deps/lib
	@$(INSTALL) .deps/python --no-deps $(PIP)
	@ln -s ../python/lightgbm/lib/lib_lightgbm.so .deps/lib/lib_lightgbm.so
	@ln -s ../python/onnxruntime/capi/libonnxruntime.so.1.31.1 .deps/lib/libonnxruntime.so
	@touch $@

$(DEPS_TEST): $(DEPS)
	@$(call install,$(APT_TEST))
	@echo "setup: fetching $(PIP_TEST)"
	@$(INSTALL) .deps/python --no-deps --upgrade $(PIP_TEST)
	@touch $@

$(CLIPPER_ADMIN_READY): $(DEPS)
	@echo "test: fetching clipper-admin and its dependencies"
	@rm -rf .deps/clipper_admin
	@$(INSTALL) .deps/clipper_admin --no-deps --no-compile $(CLIPPER_ADMIN)
	@touch $@

browser:
	@$(call install,$(BROWSER))

tch: .deps/libtorch/.ready ## Fetch libtorch (500 MB), the second engine, for --features featurizer/tch.

.deps/libtorch/.ready: $(DEPS)
	@$(call install,g++)
	@echo "tch: fetching $(TORCH)"
	@rm -rf .deps/libtorch .deps/wheels && mkdir -p .deps/libtorch/lib
	@$(INSTALL) .deps/wheels --no-deps $(TORCH) $(TORCH_NEEDS)
	@mv .deps/wheels/torch/include .deps/libtorch
	@cd .deps/wheels && mv torch/lib/{libtorch.so,libtorch_cpu.so,libc10.so,libgomp.so.1} \
	  nvidia/cu13/lib/{libcudart.so.13,libcupti.so.13} ../libtorch/lib
	@rm -rf .deps/wheels
	@cargo clean --quiet --release -p torch-sys 2>/dev/null || true # it may be linked with the GPU build
	@touch $@

cuda: .deps/cuda/.ready ## Fetch both engines for NVIDIA GPUs (5 GB), in place of the CPU builds.

.deps/cuda/.ready: $(DEPS)
	@echo "cuda: fetching $(ORT_CUDA) $(TORCH)"
	@rm -rf .deps/libtorch .deps/cuda && mkdir -p .deps/libtorch/lib
	@$(INSTALL) .deps/cuda $(TORCH)
	@$(INSTALL) .deps/cuda --no-deps $(ORT_CUDA)
	@ln -s ../cuda/torch/include .deps/libtorch
	@for library in .deps/cuda/torch/lib/*.so* .deps/cuda/nvidia/*/lib/*.so*; do \
	  ln -s "../../../$$library" .deps/libtorch/lib; \
	  case $$library in */nvidia/*) ln -s "../../../../$$library" .deps/cuda/onnxruntime/capi;; esac; \
	done
	@ln -sf ../cuda/onnxruntime/capi/libonnxruntime.so.1.31.1 .deps/lib/libonnxruntime.so
	@cargo clean --quiet --release -p torch-sys 2>/dev/null || true # it was linked with the CPU build
	@touch .deps/libtorch/.ready $@

build: setup ## Compile the driver, the frontend and the model servers.
	cargo build --release $(PROGRAMS)

artifacts: build ## Make missing artifacts of the models (seeded weights, trained classifiers).
	@cargo run --release --quiet -p xtask -- artifacts

clean: ## Remove build outputs, downloads, artifacts and results.
	rm -rf target .deps artifacts results
