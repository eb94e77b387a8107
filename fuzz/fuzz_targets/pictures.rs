//! Picture files, from the received bytes to the rows of a network's input.
#![no_main]

use base64::{Engine, engine::general_purpose::STANDARD};
use featurizer::{Channels, Layout, Network, Scaling, fuzzing};
use fuzz::at_most;
use libfuzzer_sys::fuzz_target;

const SIDE: usize = 8;

/// A decoded picture has at most 8,256 bytes per byte of its file, and three times as many as RGB.
/// The intermediate of resizing, between width and height, has at most 32 x 12 pixels per line.
const FACTOR: usize = 5 * 8_256;

/// Bytes of the decoder itself: three times a megabyte of a picture, and its tables.
const CONSTANT: usize = 8 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, file)) = bytes.split_first() else {
        return;
    };
    let layout = if mode & 1 == 0 {
        Layout::Nchw
    } else {
        Layout::Nhwc
    };
    let network = Network {
        input: String::new(),
        output: String::new(),
        layout,
        height: SIDE,
        width: SIDE,
        batch: None,
        resize: (mode & 2 == 0).then_some(12),
        scaling: Scaling {
            mean: Channels::all(0.5),
            std: Channels::all(0.25),
        },
    };
    // Invalid base64 ends the test early, so most inputs are encoded here.
    let input = match mode & 4 {
        0 => STANDARD.encode(file).into_bytes(),
        _ => file.to_vec(),
    };
    let mut row = vec![f32::NAN; 3 * SIDE * SIDE];
    let read = || fuzzing::picture(&network, &input, &mut row);
    if at_most(FACTOR * file.len() + CONSTANT, read).is_ok() {
        assert!(row.iter().all(|value| value.abs() <= 2.0), "{row:?}");
    }
});
