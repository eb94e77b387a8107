//! Result files of this driver and of the original driver.
#![no_main]

use fuzz::bounded;
use libfuzzer_sys::fuzz_target;
use results::{Trial, import::Original};

/// An object with one member has 6 bytes, and its tree node has room for eleven members: 632 bytes.
/// The tree exists twice, because some of its parts are parsed in one form after the other.
const FACTOR: usize = 256;

fuzz_target!(|text: &[u8]| {
    drop(bounded(FACTOR, text.len(), || Original::parse(text)));
    let Ok(result) = bounded(FACTOR, text.len(), || Trial::parse(text)) else {
        return;
    };
    // Every report calls these.
    drop((
        result.key().to_string(),
        result.config(),
        result.enforces_slo(),
    ));
    let written = serde_json::to_vec(&result).expect("results can be encoded");
    let again = Trial::parse(&written).expect("encoded results can be decoded");
    assert_eq!(again, result);
});
