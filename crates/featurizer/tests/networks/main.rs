//! Tests of small networks on every engine of the build.
#![allow(clippy::unwrap_used, reason = "tests")]

mod batching;
mod engines;
mod file;
mod loading;
mod preprocessing;
