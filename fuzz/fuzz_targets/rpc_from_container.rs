//! Messages of model servers to the frontend: four dialects, and the high-performance port of
//! responses.
#![no_main]

use fuzz::{Frames, bounded, frames, size};
use libfuzzer_sys::fuzz_target;
use model::{InputError, Output, Predictions, element_count};
use wire::rpc::{ConnectionResponse, FromContainer, Reply, Response, Version};

/// An output of 2017 without elements has 4 bytes on the wire, and 24 in a list. An entry of a list
/// of strings in the metadata has 3 bytes, and 24 in memory while the list grows.
const FACTOR: usize = 40;

fuzz_target!(|bytes: &[u8]| {
    let Some((dialect, bytes)) = bytes.split_first() else {
        return;
    };
    let message = frames(bytes);
    let version = match dialect % 5 {
        0 => Version::V2017,
        1 => Version::HighPerf,
        2 => Version::V3,
        3 => Version::V4,
        _ => return connection_response(&message),
    };
    let decode = || FromContainer::decode(&message, version);
    let Ok(decoded) = bounded(FACTOR, size(&message), decode) else {
        return;
    };
    let mut out = Frames::new();
    match &decoded {
        // A registration of version 3 or 4 holds its version.
        FromContainer::NewContainer(new) if version.number().is_some() => new.encode(&mut out),
        FromContainer::NewContainer(new) => new.encode_as(version, &mut out),
        FromContainer::Heartbeat => FromContainer::encode_heartbeat(&mut out),
        FromContainer::Error(error) => error.encode(&mut out),
        FromContainer::Goodbye => FromContainer::encode_goodbye(&mut out),
        FromContainer::Response(response) => match reply(response) {
            Some(reply) if version == Version::V2017 => reply.encode_2017(&mut out),
            Some(reply) => reply.encode(&mut out),
            None => return,
        },
    }
    assert_eq!(FromContainer::decode(&out, version).as_ref(), Ok(&decoded));
});

fn connection_response(message: &[Vec<u8>]) {
    let Ok(response) = bounded(FACTOR, size(message), || {
        ConnectionResponse::decode(message)
    }) else {
        return;
    };
    let Some(reply) = response.response.as_ref().ok().and_then(reply) else {
        return;
    };
    let mut out = Frames::new();
    reply.encode_high_perf(response.connection, &mut out);
    assert_eq!(ConnectionResponse::decode(&out), Ok(response));
}

/// Returns the reply that encodes the same response; `None` if a text output is not UTF-8, which
/// only a foreign model server sends.
fn reply(response: &Response<'_>) -> Option<Reply> {
    let output_type = response.output_type;
    let prediction = |output: &Result<&[u8], &str>| match output {
        Ok(bytes) => {
            let whole = element_count(output_type, bytes);
            assert!(whole.is_ok(), "{whole:?}");
            Output::read(output_type, bytes).ok().map(Ok)
        }
        Err(reason) => Some(Err(InputError((*reason).to_owned()))),
    };
    let predictions: Option<Predictions> = response.outputs.iter().map(prediction).collect();
    Some(Reply {
        session: response.session,
        message_id: response.message_id,
        output_type,
        predictions: predictions?,
        times: response.times.unwrap_or_default(),
    })
}
