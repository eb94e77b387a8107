//! The driver's result files, and those of the original driver.
#![no_main]

use fuzz::bounded;
use libfuzzer_sys::fuzz_target;
use results::{Trial, import::Original};

/// An object with one member is 6 bytes, and its node in a tree has room for eleven: 632 bytes; it is there twice, because some
/// of its parts are tried in one form after the other.
const FACTOR: usize = 256;

fuzz_target!(|text: &[u8]| {
    drop(bounded(FACTOR, text.len(), || Original::parse(text)));
    let Ok(result) = bounded(FACTOR, text.len(), || Trial::parse(text)) else {
        return;
    };
    // What every report asks of it.
    drop((
        result.key().to_string(),
        result.config(),
        result.has_objective(),
    ));
    let written = serde_json::to_vec(&result).expect("a result can be written");
    let again = Trial::parse(&written).expect("what we write can be read");
    assert_eq!(again, result);
});
