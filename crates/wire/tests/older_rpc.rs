//! Bytes of the container RPC's two older dialects, as Clipper's containers and frontends write
//! them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use model::{DataType, InputError, Output, Predictions};
use proptest::prelude::*;
use wire::{DecodeError, rpc::*};

type Frames = Vec<Vec<u8>>;

fn u32s(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn size(size: u64) -> Vec<u8> {
    size.to_le_bytes().to_vec()
}

/// Returns the frames of a request with these inputs.
fn request(version: Version, input_type: DataType, inputs: &[Vec<u8>]) -> Frames {
    let head = RequestHead {
        session: Some(1),
        message_id: 9,
        time_left: None,
        input_type,
    };
    let mut frames = Frames::new();
    head.encode(version, inputs.iter(), &mut frames);
    frames
}

/// Returns the inputs that a model server reads from a request.
fn inputs(version: Version, frames: &Frames) -> Result<(DataType, Frames), DecodeError> {
    match FromFrontend::decode_as(frames, version)? {
        FromFrontend::Request(request) => {
            assert_eq!((request.head.message_id, request.head.session), (9, None));
            Ok((request.head.input_type, request.inputs.into_owned()))
        }
        other => panic!("expected a request, got {other:?}"),
    }
}

fn reply(output_type: DataType, predictions: Predictions) -> Reply {
    Reply {
        session: None,
        message_id: 9,
        output_type,
        predictions,
        times: Times {
            received: 1_500_000_000_000_001,
            sent: 1_500_000_000_000_009,
            ..Times::default()
        },
    }
}

/// Encodes a reply in the dialect of 2017. Returns its frames, and the output type and outputs that
/// a frontend reads.
fn outputs_of_2017(reply: &Reply) -> (Frames, DataType, Frames) {
    let mut frames = Frames::new();
    reply.encode_2017(&mut frames);
    let response = match FromContainer::decode(&frames, Version::V2017) {
        Ok(FromContainer::Response(response)) => response,
        other => panic!("expected a response, got {other:?}"),
    };
    assert_eq!((response.message_id, response.times), (9, None));
    let outputs = response
        .outputs
        .iter()
        .map(|output| output.unwrap().to_vec());
    let (output_type, outputs) = (response.output_type, outputs.collect());
    (frames, output_type, outputs)
}

#[test]
fn heartbeats_and_registrations_of_2017_have_clippers_bytes() {
    for (message, kind) in [
        (FromFrontend::<Vec<u8>>::KeepAlive, 0),
        (FromFrontend::MetadataWanted, 1),
    ] {
        let mut frames = Frames::new();
        message.encode(Version::V2017, &mut frames);
        assert_eq!(frames, [vec![], u32s(&[2]), u32s(&[kind])]);
        assert_eq!(
            FromFrontend::decode_as(&frames, Version::V2017),
            Ok(message)
        );
    }
    let mut frames = vec![
        vec![],
        u32s(&[0]),
        b"noop".to_vec(),
        b"1".to_vec(),
        b"4".to_vec(),
    ];
    for version in [Version::V2017, Version::HighPerf] {
        let Ok(FromContainer::NewContainer(new)) = FromContainer::decode(&frames, version) else {
            panic!("expected a registration");
        };
        assert_eq!((new.name.as_str(), new.version.as_str()), ("noop", "1"));
        assert_eq!((new.input_type, &new.metadata), (DataType::Strings, &None));
        let mut written = Frames::new();
        new.encode_as(version, &mut written);
        assert_eq!(written, frames);
    }
    frames.push(u32s(&[3]));
    let error = FromContainer::decode(&frames, Version::V2017).unwrap_err();
    assert!(matches!(error, DecodeError::FrameCount { got: 6, .. }));
}

#[test]
fn request_of_2017_states_the_end_of_each_input() {
    let floats = [u32s(&[1, 2]), u32s(&[3]), u32s(&[4, 5, 6])];
    let frames = request(Version::V2017, DataType::Floats, &floats);
    let expected = [
        vec![],
        u32s(&[1]),
        u32s(&[9]),
        u32s(&[0]),
        size(16),
        u32s(&[2, 3, 2, 3]),
        size(24),
        u32s(&[1, 2, 3, 4, 5, 6]),
    ];
    assert_eq!(frames, expected);
    let read = inputs(Version::V2017, &frames);
    assert_eq!(read, Ok((DataType::Floats, floats.to_vec())));

    let one = request(Version::V2017, DataType::Bytes, &[vec![7, 0]]);
    assert_eq!(one[4..], [size(8), u32s(&[0, 1]), size(2), vec![7, 0]]);
}

#[test]
fn string_of_2017_is_one_element_and_ends_with_nul() {
    let strings = [b"ab".to_vec(), b"".to_vec(), b"c".to_vec()];
    let frames = request(Version::V2017, DataType::Strings, &strings);
    let expected = [
        size(16),
        u32s(&[4, 3, 1, 2]),
        size(6),
        b"ab\0\0c\0".to_vec(),
    ];
    assert_eq!(frames[4..], expected);
    let read = inputs(Version::V2017, &frames);
    assert_eq!(read, Ok((DataType::Strings, strings.to_vec())));
}

#[test]
fn string_with_a_nul_does_not_shift_its_neighbours() {
    let strings = [b"a\0b".to_vec(), b"c".to_vec()];
    assert!(!Version::V2017.carries(DataType::Strings, &strings[0]));
    assert!(Version::V2017.carries(DataType::Bytes, &strings[0]));
    assert!(Version::V3.carries(DataType::Strings, &strings[0]));
    let frames = request(Version::V2017, DataType::Strings, &strings);
    let read = inputs(Version::V2017, &frames);
    let sent = vec![b"".to_vec(), b"c".to_vec()];
    assert_eq!(read, Ok((DataType::Strings, sent)));
}

#[test]
fn response_of_2017_is_one_block_of_one_type() {
    let predictions = vec![Ok(Output::Ints(vec![-1, 2])), Ok(Output::Ints(vec![3]))];
    let (frames, output_type, outputs) = outputs_of_2017(&reply(DataType::Ints, predictions));
    let expected = [
        vec![],
        u32s(&[1]),
        u32s(&[9]),
        u32s(&[1]),
        u32s(&[24]),
        u32s(&[2, 8, 4, u32::MAX, 2, 3]),
    ];
    assert_eq!(frames, expected);
    assert_eq!(output_type, DataType::Ints);
    assert_eq!(outputs, [u32s(&[u32::MAX, 2]), u32s(&[3])]);
}

#[test]
fn doubles_of_2017_are_text_and_failures_reasons_or_empty() {
    let failed = || Err(InputError("no picture".into()));
    let predictions = vec![Ok(Output::Doubles(vec![0.5])), failed()];
    let (_, output_type, outputs) = outputs_of_2017(&reply(DataType::Doubles, predictions));
    assert_eq!(output_type, DataType::Strings);
    assert_eq!(outputs, [b"[0.5]".to_vec(), b"no picture".to_vec()]);

    let predictions = vec![failed(), Ok(Output::Floats(vec![1.0]))];
    let (_, output_type, outputs) = outputs_of_2017(&reply(DataType::Floats, predictions));
    assert_eq!(output_type, DataType::Floats);
    assert_eq!(outputs, [vec![], 1_f32.to_le_bytes().to_vec()]);
}

#[test]
fn high_performance_request_has_32_bit_sizes() {
    let floats = [u32s(&[1, 2]), u32s(&[3])];
    let frames = request(Version::HighPerf, DataType::Floats, &floats);
    let expected = [
        vec![],
        u32s(&[1]),
        u32s(&[9]),
        u32s(&[0]),
        size(16),
        u32s(&[2, 2, 8, 4]),
        floats[0].clone(),
        floats[1].clone(),
    ];
    assert_eq!(frames, expected);
    let read = inputs(Version::HighPerf, &frames);
    assert_eq!(read, Ok((DataType::Floats, floats.to_vec())));
}

#[test]
fn high_performance_response_names_its_connection() {
    let message = FromFrontend::<Vec<u8>>::Connection(5);
    let mut frames = Frames::new();
    message.encode(Version::HighPerf, &mut frames);
    assert_eq!(frames, [vec![], u32s(&[5])]);
    let read = FromFrontend::decode_as(&frames, Version::HighPerf);
    assert_eq!(read, Ok(message));
    let mut silence = Frames::new();
    FromFrontend::<Vec<u8>>::KeepAlive.encode(Version::HighPerf, &mut silence);
    assert_eq!(silence, Frames::new());

    let reply = reply(DataType::Bytes, vec![Ok(Output::Bytes(vec![1]))]);
    let mut frames = Frames::new();
    reply.encode_high_perf(5, &mut frames);
    let block = [u32s(&[1, 1]), vec![1]].concat();
    let time = |time: f64| time.to_le_bytes().to_vec();
    let expected = [
        vec![],
        u32s(&[5]),
        u32s(&[1]),
        u32s(&[9]),
        u32s(&[0]),
        u32s(&[9]),
        block,
        time(1_500_000_000_000_001.0),
        time(1_500_000_000_000_009.0),
    ];
    assert_eq!(frames, expected);
    let returned = ConnectionResponse::decode(&frames).unwrap();
    assert_eq!(returned.connection, 5);
    let response = returned.response.unwrap();
    assert_eq!(
        (response.message_id, response.outputs),
        (9, vec![Ok(&[1][..])])
    );
    let times = response.times.unwrap();
    assert_eq!(times.received, reply.times.received);
    assert_eq!(times.ended - times.begun, 8);
}

#[test]
fn malformed_older_messages_are_errors() {
    let block = u32s(&[2, 4, 4, 7, 8]);
    let response = |output_type: u32, length: u32, block: &[u8]| {
        vec![
            vec![],
            u32s(&[1]),
            u32s(&[9]),
            u32s(&[output_type]),
            u32s(&[length]),
            block.to_vec(),
        ]
    };
    let good = response(1, 20, &block);
    assert!(FromContainer::decode(&good, Version::V2017).is_ok());
    let long = u32s(&[2, 4, u32::MAX, 7, 8]);
    let many = u32s(&[u32::MAX, 4, 4, 7, 8]);
    let half = [u32s(&[1, 3]), vec![0; 3]].concat();
    let cases = [
        response(3, 20, &block),
        response(9, 20, &block),
        response(1, 24, &block),
        response(1, 16, &block),
        response(1, 20, &long),
        response(1, 20, &many),
        response(1, 16, &block[..16]),
        response(1, 11, &half),
        response(1, 0, &[]),
        good[..5].to_vec(),
    ];
    for frames in cases {
        let read = FromContainer::decode(&frames, Version::V2017);
        assert!(read.is_err(), "{frames:?}: {read:?}");
    }
    let mut returned = good;
    returned.insert(1, u32s(&[5]));
    returned.extend([f64::NAN, 1.0].map(|time| time.to_le_bytes().to_vec()));
    assert!(
        ConnectionResponse::decode(&returned)
            .unwrap()
            .response
            .is_err()
    );

    for (index, frame) in [
        (4, size(16)),
        (5, u32s(&[2, 2])),
        (5, u32s(&[2, 3, 1])),
        (5, u32s(&[2, 2, 9])),
        (5, u32s(&[7, 2, 1])),
        (6, size(1)),
        (7, vec![0; 7]),
    ] {
        let mut frames = request(Version::V2017, DataType::Floats, &[u32s(&[1]), u32s(&[2])]);
        frames[index] = frame.clone();
        if index == 5 {
            frames[4] = size(frame.len() as u64);
        }
        let read = FromFrontend::decode_as(&frames, Version::V2017);
        assert!(read.is_err(), "{index}: {frame:?}: {read:?}");
    }
}

proptest! {
    #[test]
    fn requests_of_older_dialects_survive_a_round_trip(
        elements in proptest::collection::vec(proptest::collection::vec(1_u32..9, 0..5), 1..6),
        code in 0_u32..5, high_perf: bool,
    ) {
        let input_type = DataType::from_code(code).unwrap();
        let size = input_type.element_size();
        let sent: Frames = elements
            .iter()
            .map(|input| input.iter().flat_map(|value| vec![*value as u8; size]).collect())
            .collect();
        let version = if high_perf { Version::HighPerf } else { Version::V2017 };
        let frames = request(version, input_type, &sent);
        prop_assert_eq!(inputs(version, &frames), Ok((input_type, sent)));
    }
}
