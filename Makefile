# Two commands do it all on a fresh machine: `make run` and `make test`. Each sets up what it needs, once.

.PHONY: help run test check bench setup build artifacts clean
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# What a Debian 12 machine needs besides Rust, gcc, Python 3 and pip.
APT := g++ pkg-config libzmq3-dev libclang-dev
# Wheels that hold what Debian has not, or not new enough: the engine, CMake >= 3.28, photographs.
PIP := onnxruntime==1.31.1 cmake==4.4.4 scikit-image==0.26.0
DEPS := .deps/.ready-$(shell echo $(APT) $(PIP) | cksum | cut -d' ' -f1)
PHOTOGRAPHS := .deps/python/skimage/data
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

help: ## This list.
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: artifacts ## Build everything and sweep all four models on real photographs.
	@sweep() { cargo run --release --quiet -p driver -- --num_replicas 1 2 --batch_sizes 1 4 --duration_seconds 20 "$$@"; }; \
	sweep --model_name vgg --input_dir $(PHOTOGRAPHS); \
	sweep --model_name inception --input_dir $(PHOTOGRAPHS); \
	sweep --model_name svm --input_dir artifacts/svm.npy; \
	sweep --model_name lgbm --input_dir artifacts/lgbm.npy

test: artifacts ## Every test.
	cargo test --release --workspace

check: setup ## Formatting, and clippy with warnings as errors.
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets --quiet -- -D warnings

bench: artifacts ## The benches: the frontend against a bare loop, and each model.
	cargo bench -p benches

setup: $(DEPS) ## Install what the build needs (apt, pip); does nothing the second time.

$(DEPS):
	@missing=""; for package in $(APT); do dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then \
	  echo "setup: installing$$missing"; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
	@echo "setup: fetching $(PIP)"
	@rm -rf .deps && mkdir -p .deps/bin .deps/lib
	@python3 -m pip install --quiet --root-user-action ignore --no-deps --only-binary :all: --target .deps/python $(PIP)
	@ln -s ../python/cmake/data/bin/cmake .deps/bin/cmake
	@ln -s ../python/onnxruntime/capi/libonnxruntime.so.1.31.1 .deps/lib/libonnxruntime.so
	@touch $@

build: setup ## Compile everything; the first time takes minutes, most of them for LightGBM.
	cargo build --release --workspace

artifacts: build ## Make the models' artifacts (seeded weights, trained classifiers) where they are missing.
	@cargo run --release --quiet -p xtask -- artifacts

clean: ## Remove what was built, fetched and measured.
	rm -rf target .deps artifacts results
