//! What the frontend says to a model server, in four dialects.
#![no_main]

use fuzz::{Frames, bounded, frames, size};
use libfuzzer_sys::fuzz_target;
use model::element_count;
use wire::rpc::{FromFrontend, Version};

/// An input of 2017 without elements is 4 bytes on the wire, a slice of 16 and then a frame of 24 in memory, and their lists
/// grow.
const FACTOR: usize = 24;

fuzz_target!(|bytes: &[u8]| {
    let Some((dialect, bytes)) = bytes.split_first() else {
        return;
    };
    let said = frames(bytes);
    let spoken = [Version::V2017, Version::HighPerf, Version::V3];
    let spoken = spoken[usize::from(*dialect) % spoken.len()];
    let decode = || FromFrontend::decode_as(&said, spoken);
    let Ok(message) = bounded(FACTOR, size(&said), decode) else {
        return;
    };
    // A message of version 3 or 4 says which it is.
    let version = match &message {
        _ if matches!(spoken, Version::V2017 | Version::HighPerf) => spoken,
        FromFrontend::Request(request) if request.head.session.is_none() => Version::V3,
        _ => Version::V4,
    };
    if let (FromFrontend::Request(request), Version::V2017) = (&message, spoken) {
        let input_type = request.head.input_type;
        let whole = |input: &Vec<u8>| element_count(input_type, input).is_ok();
        assert!(request.inputs.iter().all(whole));
    }
    let mut out = Frames::new();
    message.encode(version, &mut out);
    assert_eq!(FromFrontend::decode_as(&out, spoken), Ok(message));
});
