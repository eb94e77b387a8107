//! A client over REST that goes before it is answered.

use std::{
    io::{self, Write},
    net::TcpStream,
};

use deploy::BoundPorts;
use model::Output;

use crate::questions::Questions;

/// A client that asks so many queries in one request, and goes before they are answered.
pub fn vanish_over_rest(
    app: &str,
    questions: &Questions,
    queries: u32,
    ports: BoundPorts,
) -> io::Result<()> {
    let inputs: Vec<_> = (0..queries)
        .map(|number| input(questions, u32::MAX, number))
        .collect();
    let body = format!("{{\"input_batch\":[{}]}}", inputs.join(","));
    let mut stream = TcpStream::connect(("127.0.0.1", ports.query_port))?;
    let length = body.len();
    write!(
        stream,
        "POST /{app}/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A query's input in JSON.
fn input(questions: &Questions, client: u32, number: u32) -> String {
    let input = questions.input(client, number);
    let input = Output::read(questions.input_type(), &input);
    input.map(|input| input.to_text()).unwrap_or_default()
}
