//! A REST client that disconnects before its answer arrives.

use std::{
    io::{self, Write},
    net::TcpStream,
};

use deploy::BoundPorts;
use model::Output;

use crate::workload::Workload;

/// Sends `queries` queries in one request and disconnects without reading the answer.
pub fn send_and_disconnect(
    app: &str,
    workload: &Workload,
    queries: u32,
    ports: BoundPorts,
) -> io::Result<()> {
    let inputs: Vec<_> = (0..queries)
        .map(|number| input(workload, u32::MAX, number))
        .collect();
    let body = format!("{{\"input_batch\":[{}]}}", inputs.join(","));
    let mut stream = TcpStream::connect(("127.0.0.1", ports.query_port))?;
    let length = body.len();
    write!(
        stream,
        "POST /{app}/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Returns a query's input as JSON.
fn input(workload: &Workload, client: u32, number: u32) -> String {
    let input = workload.input(client, number);
    let input = Output::read(workload.input_type(), &input);
    input.map(|input| input.to_text()).unwrap_or_default()
}
