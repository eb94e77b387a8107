//! Messages of containers and clients of Clipper's older generations, as frames.

use std::time::Duration;

use frontend::Frontend;
use testkit::{Peer, deploy, settings};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn u32s(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

pub(crate) fn u64_frame(value: u64) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

pub(crate) fn read_u32(frame: &[u8]) -> u32 {
    u32::from_le_bytes(frame.try_into().unwrap())
}

pub(crate) fn start(batch_size: i32) -> Frontend {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy(&frontend, batch_size, HOUR);
    frontend
}

/// Returns the registration of model `m`, which is the same in both older generations.
pub(crate) fn registration(type_code: &str) -> [Vec<u8>; 5] {
    let texts = ["m", "1", type_code].map(|text| text.as_bytes().to_vec());
    let [name, version, input_type] = texts;
    [vec![], u32s(&[0]), name, version, input_type]
}

/// Registers a container of 2017 with that generation's exchange of messages.
pub(crate) fn container_of_2017(frontend: &Frontend, type_code: &str) -> Peer {
    let mut container = Peer::connect(frontend.ports().rpc_2017_port);
    container.send(&[vec![], u32s(&[2])]);
    let metadata_request = [vec![], u32s(&[2]), u32s(&[1])];
    assert_eq!(container.recv(), metadata_request);
    container.send(&registration(type_code));
    container.send(&[vec![], u32s(&[2])]);
    let heartbeat = [vec![], u32s(&[2]), u32s(&[0])];
    assert_eq!(container.recv(), heartbeat);
    container
}

/// Registers a high-performance container; returns the sockets of requests and responses, and the
/// connection id.
pub(crate) fn high_perf_container(frontend: &Frontend) -> (Peer, Peer, Vec<u8>) {
    let mut requests = Peer::connect(frontend.ports().rpc_send_port);
    requests.send(&registration("2"));
    let [delimiter, connection] = requests.recv().try_into().unwrap();
    assert_eq!((delimiter.len(), connection.len()), (0, 4));
    let responses = Peer::connect(frontend.ports().rpc_recv_port);
    (requests, responses, connection)
}

/// Returns a high-performance container's response with one output, a float.
pub(crate) fn response(
    connection: &[u8],
    message_id: &[u8],
    output: f32,
    times: [f64; 2],
) -> Vec<Vec<u8>> {
    let block = [&u32s(&[1, 4])[..], &output.to_le_bytes()].concat();
    let [received, sent] = times.map(|time| time.to_le_bytes().to_vec());
    let (kind, output_type, length) = (u32s(&[1]), u32s(&[2]), u32s(&[12]));
    let message_id = message_id.to_vec();
    let connection = connection.to_vec();
    vec![
        vec![],
        connection,
        kind,
        message_id,
        output_type,
        length,
        block,
        received,
        sent,
    ]
}

/// Connects a client whose connect message holds `mark`; returns the sockets of answers and
/// requests, and the client id.
pub(crate) fn client(frontend: &Frontend, mark: &[u8]) -> (Peer, Peer, Vec<u8>) {
    let mut answers = Peer::connect(frontend.ports().send_port);
    answers.send(&[vec![], mark.to_vec()]);
    let [delimiter, id] = answers.recv().try_into().unwrap();
    assert_eq!((delimiter.len(), id.len()), (0, 4));
    (answers, Peer::connect(frontend.ports().recv_port), id)
}

pub(crate) fn request(client: &[u8], request_id: u32, floats: &[f32]) -> Vec<Vec<u8>> {
    vec![
        vec![],
        client.to_vec(),
        u32s(&[request_id]),
        b"app".to_vec(),
        u32s(&[2]),
        u32s(&[floats.len() as u32]),
        floats
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    ]
}
