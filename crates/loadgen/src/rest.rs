//! The REST protocol: JSON over HTTP, one query at a time on one connection, which a thread of its own waits for.

use std::{
    io::ErrorKind,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use model::{DataType, Output};
use serde_json::{Value, json};
use transport::Frame;
use ureq::{Agent, Body, http::Response};
use wire::query::{Answer, Lineage, Status, Timing};

use crate::{
    client::{Client, LOOK},
    error::Error,
};

/// Says why an answer is the default output.
const REASON: &str = "clipper-default-reason";

/// The frontend closes a connection that is idle for 5 s, maybe while a query is on its way.
const IDLE: Duration = Duration::from_secs(2);

/// Where queries go over REST.
#[derive(Clone, Debug)]
pub struct RestTarget {
    /// Where predictions are asked for, for instance `http://127.0.0.1:1337/app/predict`.
    pub url: String,
    /// The type of the inputs.
    pub input_type: DataType,
    /// The type of the outputs, ints or floats, which their JSON does not tell.
    pub output_type: DataType,
    /// A query without an answer fails after this.
    pub patience: Duration,
}

/// A client over REST. A query that is sent while another one has no answer waits for that.
pub struct RestClient {
    queries: Sender<Query>,
    replies: Receiver<Result<Reply, Error>>,
    /// The next reply, where waiting has found one.
    next: Option<Result<Reply, Error>>,
    /// The reply that was received last.
    current: Reply,
}

struct Query {
    id: u32,
    input: Frame,
}

/// An answer with bytes of its own.
struct Reply {
    id: u32,
    status: Status,
    reason: String,
    output: Vec<u8>,
    output_type: DataType,
}

impl RestClient {
    /// A client that connects when its first query is sent. Its thread ends with it, after the query that it waits for.
    pub fn new(target: RestTarget) -> RestClient {
        let (queries, to_send) = mpsc::channel::<Query>();
        let (answered, replies) = mpsc::channel();
        let config = Agent::config_builder()
            .timeout_global(Some(target.patience))
            .http_status_as_error(false)
            .max_idle_age(IDLE)
            .build();
        let agent: Agent = config.into();
        let current = Reply::new(0, target.output_type);
        thread::spawn(move || {
            for query in to_send {
                if answered.send(ask(&agent, &target, &query)).is_err() {
                    break;
                }
            }
        });
        RestClient {
            queries,
            replies,
            next: None,
            current,
        }
    }
}

impl Client for RestClient {
    fn is_connected(&self) -> bool {
        true
    }

    fn send(&mut self, id: u32, input: &Frame) -> Result<(), Error> {
        let input = input.clone();
        let sent = self.queries.send(Query { id, input });
        sent.map_err(|_| Error::Disconnected)
    }

    fn receive(&mut self) -> Result<Option<Answer<'_>>, Error> {
        let Some(reply) = self.next.take().or_else(|| self.replies.try_recv().ok()) else {
            return Ok(None);
        };
        self.current = reply?;
        Ok(Some(self.current.answer()))
    }

    fn wait(&mut self, limit: Option<Duration>) -> Result<(), Error> {
        if self.next.is_none() {
            let limit = limit.map_or(LOOK, |limit| limit.min(LOOK));
            self.next = match self.replies.recv_timeout(limit) {
                Ok(reply) => Some(reply),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Err(Error::Disconnected)),
            };
        }
        Ok(())
    }
}

impl Reply {
    fn new(id: u32, output_type: DataType) -> Reply {
        Reply {
            id,
            status: Status::Ok,
            reason: String::new(),
            output: Vec::new(),
            output_type,
        }
    }

    /// Reads a response; HTTP tells neither times nor batches.
    fn read(query: &Query, target: &RestTarget, response: &Response<Body>, text: &str) -> Reply {
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let mut reply = Reply::new(query.id, target.output_type);
        if !response.status().is_success() {
            reply.status = Status::Refused;
            reply.reason = body["cause"].as_str().unwrap_or(text).to_owned();
        } else if body["default"] == json!(true) {
            let reason = response.headers().get(REASON);
            let reason = reason.and_then(|reason| reason.to_str().ok());
            reply.status = Status::Default;
            reply.reason = reason.unwrap_or_default().to_owned();
        } else {
            match output(target.output_type, &body["output"]) {
                Some(output) => output.write_to(&mut reply.output),
                None => {
                    reply.status = Status::Error;
                    reply.reason = format!("the output is no list of {}", target.output_type);
                }
            }
        }
        reply
    }

    fn answer(&self) -> Answer<'_> {
        Answer {
            session: 0,
            request_id: self.id,
            status: self.status,
            reason: &self.reason,
            output_type: self.output_type,
            output: &self.output,
            timing: Timing::default(),
            lineage: Lineage::default(),
        }
    }
}

fn ask(agent: &Agent, target: &RestTarget, query: &Query) -> Result<Reply, Error> {
    let input = Output::read(target.input_type, query.input.as_ref());
    let input = input.map(|input| input.to_text()).unwrap_or_default();
    let body = format!("{{\"input\":{input}}}");
    let response = agent.post(&target.url).send(&body);
    let read = response.and_then(|mut response| {
        let text = response.body_mut().read_to_string()?;
        Ok((response, text))
    });
    match read {
        Ok((response, text)) => Ok(Reply::read(query, target, &response, &text)),
        Err(ureq::Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            Err(Error::Unreachable)
        }
        Err(ureq::Error::Timeout(_)) => Err(Error::TimedOut),
        Err(_) => Err(Error::Disconnected),
    }
}

/// Numbers as the model answered them; `None` of what are no numbers.
fn output(output_type: DataType, json: &Value) -> Option<Output> {
    let values = json.as_array()?.iter();
    match output_type {
        DataType::Ints => {
            let ints = values.map(|value| i32::try_from(value.as_i64()?).ok());
            ints.collect::<Option<_>>().map(Output::Ints)
        }
        _ => {
            let floats = values.map(|value| Some(value.as_f64()? as f32));
            floats.collect::<Option<_>>().map(Output::Floats)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpListener,
    };

    use super::*;

    /// Answers the requests to a port with these responses, each on a connection of its own, and gives their bodies.
    fn served(responses: Vec<&'static str>) -> (RestTarget, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/app/predict", listener.local_addr().unwrap());
        let serve = move || {
            let one = |response: &str| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let line = line.trim().to_lowercase();
                    if let Some(value) = line.strip_prefix("content-length: ") {
                        length = value.parse().unwrap();
                    }
                    if line.is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                stream.write_all(response.as_bytes()).unwrap();
                String::from_utf8(body).unwrap()
            };
            responses.into_iter().map(one).collect()
        };
        let target = RestTarget {
            url,
            input_type: DataType::Ints,
            output_type: DataType::Ints,
            patience: Duration::from_secs(60),
        };
        (target, thread::spawn(serve))
    }

    /// The next reply, in a word and its text.
    fn next(client: &mut RestClient) -> (u32, Status, String, Vec<u8>) {
        loop {
            if let Some(answer) = client.receive().unwrap() {
                return (
                    answer.request_id,
                    answer.status,
                    answer.reason.to_owned(),
                    answer.output.to_owned(),
                );
            }
            client.wait(None).unwrap();
        }
    }

    #[test]
    fn answers_defaults_and_refusals_are_told_apart() {
        let answered =
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"default\": false, \"output\": [7, -1]}";
        let default = "HTTP/1.1 200 OK\r\nconnection: close\r\nclipper-default-reason: timed out in queue\r\n\r\n\
                       {\"default\": true, \"output\": \"none\"}";
        let refused = "HTTP/1.1 503 No\r\nconnection: close\r\n\r\n{\"error\": \"x\", \"cause\": \"the queue is full\"}";
        let (target, server) = served(vec![answered, default, refused]);
        let mut client = RestClient::new(target);
        let input = Frame::from([1_i32, 2].map(i32::to_le_bytes).concat());
        for id in 0..3 {
            client.send(id, &input).unwrap();
        }
        let output = [7_i32, -1].map(i32::to_le_bytes).concat();
        assert_eq!(next(&mut client), (0, Status::Ok, String::new(), output));
        let late = "timed out in queue".to_owned();
        assert_eq!(next(&mut client), (1, Status::Default, late, vec![]));
        let full = "the queue is full".to_owned();
        assert_eq!(next(&mut client), (2, Status::Refused, full, vec![]));
        let bodies = server.join().unwrap();
        assert!(
            bodies.iter().all(|body| body.contains("\"input\"")),
            "{bodies:?}"
        );
    }

    #[test]
    fn a_port_where_nobody_listens_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/app/predict", listener.local_addr().unwrap());
        drop(listener);
        let mut client = RestClient::new(RestTarget {
            url,
            input_type: DataType::Ints,
            output_type: DataType::Ints,
            patience: Duration::from_secs(60),
        });
        client.send(0, &Frame::from(vec![0; 4])).unwrap();
        let failed = loop {
            match client.receive() {
                Ok(None) => client.wait(None).unwrap(),
                Ok(Some(_)) => panic!("nobody answers"),
                Err(error) => break error,
            }
        };
        assert!(matches!(failed, Error::Unreachable), "{failed}");
    }
}
