# What compiles the programs where Rust is not, or where the C library is not Debian 12's.
ARG RUST=rust:1.95-bookworm
FROM $RUST
COPY Makefile .
# make comes first: it knows the others.
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends make python3 python3-pip >/dev/null \
 && apt-get install -y -qq --no-install-recommends $(make -s apt-packages) >/dev/null \
 && rm -rf /var/lib/apt/lists/*
