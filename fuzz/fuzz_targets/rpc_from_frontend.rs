//! Messages of the frontend to model servers, in four dialects.
#![no_main]

use fuzz::{Frames, bounded, frames, size};
use libfuzzer_sys::fuzz_target;
use model::element_count;
use wire::rpc::{FromFrontend, Version};

/// An input of 2017 without elements has 4 bytes on the wire. In memory it is a slice of 16 bytes
/// and then a frame of 24, in growing lists.
const FACTOR: usize = 24;

fuzz_target!(|bytes: &[u8]| {
    let Some((dialect, bytes)) = bytes.split_first() else {
        return;
    };
    let message = frames(bytes);
    let dialects = [Version::V2017, Version::HighPerf, Version::V3];
    let dialect = dialects[usize::from(*dialect) % dialects.len()];
    let decode = || FromFrontend::decode_as(&message, dialect);
    let Ok(decoded) = bounded(FACTOR, size(&message), decode) else {
        return;
    };
    // A request of version 3 has no session.
    let version = match &decoded {
        _ if matches!(dialect, Version::V2017 | Version::HighPerf) => dialect,
        FromFrontend::Request(request) if request.head.session.is_none() => Version::V3,
        _ => Version::V4,
    };
    if let (FromFrontend::Request(request), Version::V2017) = (&decoded, dialect) {
        let input_type = request.head.input_type;
        let whole = |input: &Vec<u8>| element_count(input_type, input).is_ok();
        assert!(request.inputs.iter().all(whole));
    }
    let mut out = Frames::new();
    decoded.encode(version, &mut out);
    assert_eq!(FromFrontend::decode_as(&out, dialect), Ok(decoded));
});
