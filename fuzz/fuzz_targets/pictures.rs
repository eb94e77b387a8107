//! Picture files, from the network to the rows of a network's input.
#![no_main]

use base64::{Engine, engine::general_purpose::STANDARD};
use featurizer::{Channels, Layout, Network, Scaling, fuzzing};
use fuzz::at_most;
use libfuzzer_sys::fuzz_target;

const SIDE: usize = 8;

/// A decoded picture has at most 8,256 bytes per byte of its file, and as three colours three times as many; between width and
/// height resized there is one of at most 32 x 12 pixels of each line.
const FACTOR: usize = 5 * 8_256;

/// What the decoder itself takes, three times a megabyte of a picture, and its tables.
const CONSTANT: usize = 8 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Some((how, file)) = bytes.split_first() else {
        return;
    };
    let layout = if how & 1 == 0 {
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
        resize: (how & 2 == 0).then_some(12),
        scaling: Scaling {
            mean: Channels::all(0.5),
            std: Channels::all(0.25),
        },
    };
    // What is no base64 hides what is behind it, so most of the time it is.
    let input = match how & 4 {
        0 => STANDARD.encode(file).into_bytes(),
        _ => file.to_vec(),
    };
    let mut row = vec![f32::NAN; 3 * SIDE * SIDE];
    let read = || fuzzing::picture(&network, &input, &mut row);
    if at_most(FACTOR * file.len() + CONSTANT, read).is_ok() {
        assert!(row.iter().all(|value| value.abs() <= 2.0), "{row:?}");
    }
});
