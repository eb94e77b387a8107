# Compiles the programs on machines without Rust or with a C library other than Debian 12's.
ARG RUST=rust:1.95-bookworm
FROM $RUST
COPY Makefile .
# make comes first: it lists the other packages.
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends make python3 python3-pip >/dev/null \
 && apt-get install -y -qq --no-install-recommends $(make -s apt-packages) >/dev/null \
 && rm -rf /var/lib/apt/lists/*
