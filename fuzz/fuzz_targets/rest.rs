//! Bodies of Clipper's query API, and answers encoded from a model server's outputs.
#![no_main]

use base64::{Engine, engine::general_purpose::STANDARD};
use frontend::fuzzing;
use fuzz::{bounded, frames};
use libfuzzer_sys::fuzz_target;
use model::{DataType, element_count};
use serde::de::IgnoredAny;
use serde_json::Value;

/// An empty list in a list has 3 bytes, and 24 in memory while the list grows.
const FACTOR: usize = 32;

/// An output of one byte becomes a JSON value of 32 bytes; an output without bytes has an answer,
/// too.
const ANSWER_FACTOR: usize = 256;

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, bytes)) = bytes.split_first() else {
        return;
    };
    let mode = usize::from(*mode);
    let data_type = DataType::ALL[mode % 5];
    if mode / 5 % 2 == 0 {
        body(data_type, bytes);
    } else {
        outputs(data_type, bytes);
    }
});

fn body(input_type: DataType, bytes: &[u8]) {
    let inputs = bounded(FACTOR, bytes.len(), || fuzzing::predict(bytes, input_type));
    drop(bounded(FACTOR, bytes.len(), || {
        fuzzing::update(bytes, input_type)
    }));
    if let Ok(inputs) = &inputs {
        let whole = |input: &Vec<u8>| element_count(input_type, input).is_ok();
        assert!(inputs.iter().all(whole));
    }
    let accepted = fuzzing::scan(bytes);
    // Clipper's parser ends at a NUL.
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let lenient = serde_json::from_slice::<IgnoredAny>(text).is_ok();
    assert!(lenient || !accepted, "serde_json rejects this text");
    let Ok(theirs) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    assert!(accepted, "serde_json accepts this text");
    // The two parsers use different ones of several members with one name.
    let names = text.windows(7).filter(|name| *name == b"\"input\"");
    if names.count() == 1
        && !text.contains(&b'\\')
        && let Some(input) = theirs.get("input")
    {
        compare(input_type, input, &inputs);
    }
}

/// Checks that both parsers read the same input.
fn compare(input_type: DataType, theirs: &Value, ours: &Result<Vec<Vec<u8>>, String>) {
    let first = ours.as_ref().ok().and_then(|inputs| inputs.first());
    let text = theirs.as_str();
    match (input_type, first) {
        (DataType::Strings, Some(ours)) => assert_eq!(text.map(str::as_bytes), Some(&ours[..])),
        (DataType::Bytes, Some(ours)) => {
            let bytes = text.and_then(|text| STANDARD.decode(text).ok());
            assert_eq!(bytes.as_ref(), Some(ours));
        }
        (_, Some(ours)) => {
            let numbers = theirs
                .as_array()
                .expect("numbers are accepted in an array only");
            let mut bytes = &ours[..];
            for number in numbers {
                let (ours, rest) = bytes.split_at(input_type.element_size());
                assert!(
                    agrees(input_type, number, ours),
                    "serde_json read {number}, the frontend {ours:?}"
                );
                bytes = rest;
            }
            assert_eq!(bytes, b"");
        }
        (_, None) => {}
    }
}

fn agrees(input_type: DataType, theirs: &Value, ours: &[u8]) -> bool {
    let Some(number) = theirs.as_f64() else {
        return false;
    };
    match input_type {
        DataType::Ints => {
            let ours = i32::from_le_bytes(ours.try_into().expect("four bytes"));
            f64::from(ours) == number
        }
        DataType::Floats => {
            let ours = f32::from_le_bytes(ours.try_into().expect("four bytes"));
            let difference = (f64::from(ours) - number).abs();
            // One unit in the last place; for subnormal numbers that is the smallest number.
            difference <= number.abs() * f64::from(f32::EPSILON) || difference <= 1.5e-45
        }
        _ => {
            let ours = f64::from_le_bytes(ours.try_into().expect("eight bytes"));
            ours == number
        }
    }
}

fn outputs(output_type: DataType, bytes: &[u8]) {
    let outputs = frames(bytes);
    // `wire` passes only outputs of whole elements.
    if outputs
        .iter()
        .any(|output| element_count(output_type, output).is_err())
    {
        return;
    }
    let write = || fuzzing::answers(output_type, outputs);
    let (answers, _) = bounded(ANSWER_FACTOR, bytes.len(), write);
    for answer in answers {
        let read = serde_json::from_slice::<IgnoredAny>(&answer);
        assert!(read.is_ok(), "{}", String::from_utf8_lossy(&answer));
    }
}
