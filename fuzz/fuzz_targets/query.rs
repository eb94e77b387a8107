//! Messages between clients and frontend over ZeroMQ, in three dialects.
#![no_main]

use fuzz::{Frames, bounded, frames, size};
use libfuzzer_sys::fuzz_target;
use model::Output;
use wire::query::{
    Answer, Connected, ContainerTimes, Dialect, Lineage, QueryRequest, decode_connect,
};

/// Decoders copy nothing out of a message.
const FACTOR: usize = 0;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    let message = frames(bytes);
    match kind % 4 {
        0 => drop(bounded(FACTOR, size(&message), || decode_connect(&message))),
        1 => connected(&message),
        2 => request(&message),
        _ => answer(&message),
    }
});

fn connected(message: &[Vec<u8>]) {
    if let Ok(connected) = bounded(FACTOR, size(message), || Connected::decode(message)) {
        let mut out = Frames::new();
        connected.encode(Dialect::Native, &mut out);
        assert_eq!(Connected::decode(&out), Ok(connected));
    }
}

/// Requests of all dialects are encoded in the native one, the only one with an encoder.
fn request(message: &[Vec<u8>]) {
    let Ok(request) = bounded(FACTOR, size(message), || QueryRequest::decode(message)) else {
        return;
    };
    let mut out = Frames::new();
    request.encode(&mut out);
    let again = QueryRequest::decode(&out).expect("encoded requests can be decoded");
    assert_eq!(again.input.as_ref(), request.input.as_ref());
    // The encoder decides whether the input is a separate frame.
    let expected = QueryRequest {
        session: Some(request.session.unwrap_or_default()),
        input: again.input.clone(),
        ..request
    };
    assert_eq!(again, expected);
}

fn answer(message: &[Vec<u8>]) {
    let Ok(answer) = bounded(FACTOR, size(message), || Answer::decode(message)) else {
        return;
    };
    let mut out = Frames::new();
    answer.encode(Dialect::Native, &mut out);
    assert_eq!(Answer::decode(&out), Ok(answer));
    // The driver reads the output next; clients of the other dialects get the encoded answer.
    drop(Output::read(answer.output_type, answer.output));
    let lineage = Lineage {
        sent: Some(answer.timing.queued),
        container: Some(ContainerTimes {
            received: answer.timing.away,
            sent: answer.timing.away,
        }),
        ..Lineage::default()
    };
    for dialect in [Dialect::V2017, Dialect::HighPerf] {
        Answer { lineage, ..answer }.encode(dialect, &mut out);
    }
}
