//! Artifacts of svm: safetensors files.
#![no_main]

use fuzz::bounded;
use libfuzzer_sys::fuzz_target;

/// Values are copied once. A label has 3 bytes in a list, and 24 in memory while the list grows.
/// The header is read twice.
const FACTOR: usize = 64;

fuzz_target!(|artifact: &[u8]| {
    let read = || svm::fuzzing::rewritten(artifact);
    drop(bounded(FACTOR, artifact.len(), read));
});
