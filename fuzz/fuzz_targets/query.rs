//! What clients and frontend say to each other over ZeroMQ, in three dialects.
#![no_main]

use fuzz::{Frames, bounded, frames, size};
use libfuzzer_sys::fuzz_target;
use model::Output;
use wire::query::{
    Answer, Connected, ContainerTimes, Dialect, Lineage, QueryRequest, decode_connect,
};

/// Nothing is copied out of a message.
const FACTOR: usize = 0;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    let said = frames(bytes);
    match kind % 4 {
        0 => drop(bounded(FACTOR, size(&said), || decode_connect(&said))),
        1 => connected(&said),
        2 => request(&said),
        _ => answer(&said),
    }
});

fn connected(said: &[Vec<u8>]) {
    if let Ok(connected) = bounded(FACTOR, size(said), || Connected::decode(said)) {
        let mut out = Frames::new();
        connected.encode(Dialect::Native, &mut out);
        assert_eq!(Connected::decode(&out), Ok(connected));
    }
}

/// Requests are written in our dialect only, so those of the others are, too.
fn request(said: &[Vec<u8>]) {
    let Ok(request) = bounded(FACTOR, size(said), || QueryRequest::decode(said)) else {
        return;
    };
    let mut out = Frames::new();
    request.encode(&mut out);
    let again = QueryRequest::decode(&out).expect("what we write can be read");
    assert_eq!(again.input.as_ref(), request.input.as_ref());
    // Whether an input is a frame of its own is for the sender to say.
    let written = QueryRequest {
        session: Some(request.session.unwrap_or_default()),
        input: again.input.clone(),
        ..request
    };
    assert_eq!(again, written);
}

fn answer(said: &[Vec<u8>]) {
    let Ok(answer) = bounded(FACTOR, size(said), || Answer::decode(said)) else {
        return;
    };
    let mut out = Frames::new();
    answer.encode(Dialect::Native, &mut out);
    assert_eq!(Answer::decode(&out), Ok(answer));
    // The driver's next step, and what others would get.
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
