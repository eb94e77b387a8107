//! The benches are in `benches/`, and the bare loop that they compare with in `src/bin/bare.rs`.
