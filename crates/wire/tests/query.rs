//! Bytes of the ZeroMQ client protocol, as Clipper's clients write and read them, and of the native
//! dialect.

use std::time::Duration;

use model::DataType;
use proptest::prelude::*;
use wire::{DecodeError, query::*};

type Frames = Vec<Vec<u8>>;

fn u32s(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn clipper_request(code: u32, count: u32, input: &[u8]) -> Frames {
    vec![
        vec![],
        u32s(&[7]),
        u32s(&[8]),
        b"app".to_vec(),
        u32s(&[code]),
        u32s(&[count]),
        input.to_vec(),
    ]
}

#[test]
fn request_of_clippers_client_is_decoded() {
    let frames = clipper_request(2, 2, &[0; 8]);
    let request = QueryRequest::decode(&frames).unwrap();
    assert_eq!((request.client_id, request.request_id), (7, 8));
    assert_eq!((request.app, request.input_type), ("app", DataType::Floats));
    assert_eq!((request.session, request.deadline), (None, None));
    assert_eq!(request.input.as_ref(), &[0; 8]);
}

#[test]
fn requests_that_crashed_clipper_are_errors() {
    let cases = [
        clipper_request(9, 0, &[]),
        clipper_request(2, 3, &[0; 8]),
        clipper_request(2, u32::MAX, &[]),
        clipper_request(2, 2, &[0; 8])[..6].to_vec(),
        vec![],
    ];
    for frames in cases {
        assert!(QueryRequest::decode(&frames).is_err(), "{frames:?}");
    }
}

#[test]
fn answers_and_connect_replies_have_clippers_bytes() {
    let answer = Answer {
        session: 1,
        request_id: 8,
        status: AnswerStatus::Ok,
        reason: "",
        output_type: DataType::Strings,
        output: b"cat",
        timing: Timing::default(),
        lineage: Lineage::default(),
    };
    let mut frames = Frames::new();
    answer.encode(Dialect::V2017, &mut frames);
    assert_eq!(frames, [vec![], u32s(&[8]), u32s(&[4]), b"cat".to_vec()]);

    let connected = Connected {
        session: 1,
        client_id: 7,
    };
    let mut frames = Frames::new();
    connected.encode(Dialect::V2017, &mut frames);
    assert_eq!(frames, [vec![], u32s(&[7])]);
    assert_eq!(decode_connect(&[vec![], vec![]]), Ok(None));
}

#[test]
fn high_performance_answer_has_size_and_lineage() {
    let mark = [vec![], b"CLIPH".to_vec()];
    assert_eq!(decode_connect(&mark), Ok(Some(Dialect::HighPerf)));
    let mut answer = Answer {
        session: 1,
        request_id: 8,
        status: AnswerStatus::Ok,
        reason: "",
        output_type: DataType::Ints,
        output: &[7, 0, 0, 0],
        timing: Timing::default(),
        lineage: Lineage {
            arrived: 10,
            sent: Some(20),
            container: Some(ContainerTimes {
                received: 1,
                sent: 2,
            }),
            answered: 30,
        },
    };
    let entries = [
        ("clipper::frontend_rpc_recv", 10),
        ("clipper::task_enqueued", 10),
        ("clipper::task_dequeued", 20),
        ("clipper::sent_rpc", 20),
        ("container::recv", 1),
        ("container::send", 2),
        ("clipper::rpc_recv", 30),
        ("clipper::task_executor_recv", 30),
        ("clipper::task_executor_recv_end", 30),
        ("clipper::task_executor_msg_callback_found", 30),
        ("clipper::zmq_frontend_response_callback", 30),
        ("clipper::frontend_rpc_response_send", 30_u64),
    ];
    let check = |answer: &Answer<'_>, entries: &[(&str, u64)]| {
        let mut written = Frames::new();
        answer.encode(Dialect::HighPerf, &mut written);
        let mut expected = vec![vec![], u32s(&[8]), u32s(&[1]), u32s(&[4]), u32s(&[7])];
        expected.push(u32s(&[entries.len() as u32]));
        for (name, time) in entries {
            expected.push(name.as_bytes().to_vec());
            expected.push(time.to_le_bytes().to_vec());
        }
        assert_eq!(written, expected);
    };
    check(&answer, &entries);
    answer.lineage.container = None;
    check(&answer, &[&entries[..4], &entries[6..]].concat());
    answer.lineage.sent = None;
    check(&answer, &[&entries[..2], &entries[10..]].concat());
}

#[test]
fn native_messages_survive_a_round_trip() {
    let mut frames = Frames::new();
    encode_connect(&mut frames);
    assert_eq!(decode_connect(&frames), Ok(Some(Dialect::Native)));

    let connected = Connected {
        session: u64::MAX,
        client_id: 7,
    };
    let mut frames = Frames::new();
    connected.encode(Dialect::Native, &mut frames);
    assert_eq!(Connected::decode(&frames), Ok(connected));

    for size in [0, 3, 4_095, 4_096, 10_000] {
        let input = vec![7; size];
        let separate = usize::from(size >= 4_096);
        let request = QueryRequest {
            session: Some(3),
            client_id: 7,
            request_id: 8,
            app: "vgg",
            input_type: DataType::Bytes,
            deadline: Some(Duration::from_millis(20)),
            input: Input::Frame(&input),
        };
        let mut frames = Frames::new();
        request.encode(&mut frames);
        assert_eq!(frames.len(), 2 + separate);
        let read = QueryRequest::decode(&frames).unwrap();
        assert_eq!(read.input.as_ref(), input);
        let input = request.input.clone();
        assert_eq!(QueryRequest { input, ..read }, request);

        let answer = Answer {
            session: 3,
            request_id: 8,
            status: AnswerStatus::Default,
            reason: "timed out in queue",
            output_type: DataType::Strings,
            output: &vec![9; size],
            timing: Timing {
                batch_size: 4,
                replica_id: 1,
                queued: 10,
                away: 20,
                waited: 1,
                predicting: 15,
                replying: 2,
            },
            lineage: Lineage::default(),
        };
        let mut frames = Frames::new();
        answer.encode(Dialect::Native, &mut frames);
        assert_eq!(frames.len(), 2 + separate);
        assert_eq!(Answer::decode(&frames), Ok(answer));
    }
}

#[test]
fn contradictory_native_requests_are_errors() {
    let input = vec![1; 5_000];
    let request = QueryRequest {
        session: Some(3),
        client_id: 7,
        request_id: 8,
        app: "vgg",
        input_type: DataType::Bytes,
        deadline: None,
        input: Input::Frame(&input),
    };
    let mut frames = Frames::new();
    request.encode(&mut frames);
    let mut twice = frames.clone();
    twice[1].push(0);
    assert!(QueryRequest::decode(&twice).is_err());
    let mut longer = frames;
    longer[1][28..32].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(QueryRequest::decode(&longer).is_err());
}

#[test]
fn input_with_half_an_element_is_an_error() {
    let mut frames = Frames::new();
    let input = vec![0; 7];
    QueryRequest {
        session: Some(3),
        client_id: 7,
        request_id: 8,
        app: "vgg",
        input_type: DataType::Floats,
        deadline: None,
        input: Input::Frame(&input),
    }
    .encode(&mut frames);
    let error = QueryRequest::decode(&frames).unwrap_err();
    assert!(matches!(error, DecodeError::Inconsistent { .. }));
}

proptest! {
    #[test]
    fn no_message_panics(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..9)) {
        let _ = QueryRequest::decode(&frames);
        let _ = Answer::decode(&frames);
        let _ = Connected::decode(&frames);
        let _ = decode_connect(&frames);
    }
}
