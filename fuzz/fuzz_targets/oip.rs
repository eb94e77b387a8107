//! Inference requests of the Open Inference Protocol, with tensors in the JSON or after it.
#![no_main]

use frontend::fuzzing;
use fuzz::bounded;
use libfuzzer_sys::fuzz_target;
use model::{DataType, element_count};

/// A number in a list has 2 bytes; in memory it has 8, and a row of one element 24, while both
/// lists grow.
const FACTOR: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let Some(([mode, low, high], body)) = bytes.split_first_chunk() else {
        return;
    };
    let mode = usize::from(*mode);
    let input_type = DataType::ALL[mode % 5];
    let length = u16::from_le_bytes([*low, *high]).to_string();
    let length = (mode / 5 % 2 == 1).then_some(length.as_str());
    let read = || fuzzing::infer(length, body, input_type);
    if let Ok(rows) = bounded(FACTOR, body.len(), read) {
        let whole = |row: &Vec<u8>| element_count(input_type, row).is_ok();
        assert!(!rows.is_empty() && rows.iter().all(whole));
        // The rows have no more bytes than the body can describe.
        assert!(rows.iter().map(Vec::len).sum::<usize>() <= 8 * body.len());
    }
});
