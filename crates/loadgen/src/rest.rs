//! Client for the REST protocol: JSON over HTTP, with one query at a time on one connection.

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
use wire::query::{Answer, AnswerStatus, Lineage, Timing};

use crate::{
    client::{Client, MAX_WAIT},
    error::Error,
};

/// Response header with the reason for a default output.
pub(crate) const REASON: &str = "clipper-default-reason";

/// Longest idle time of a connection that is used again. It is below the 5 s after which the
/// frontend closes an idle connection, which may happen while a query is on its way.
const MAX_IDLE: Duration = Duration::from_secs(2);

/// Address of an application over REST.
#[derive(Clone, Debug)]
pub struct RestTarget {
    /// URL of the application's predictions, for instance `http://127.0.0.1:1337/app/predict`.
    pub url: String,
    /// Type of the inputs.
    pub input_type: DataType,
    /// Type of the outputs, ints or floats, which JSON does not distinguish.
    pub output_type: DataType,
    /// Time after which a query without an answer fails.
    pub timeout: Duration,
}

/// Client over REST. A query waits until the one before it has been answered.
pub struct RestClient {
    queries: Sender<RestQuery>,
    replies: Receiver<Result<RestReply, Error>>,
    /// Next reply, if `wait` has already received it.
    next: Option<Result<RestReply, Error>>,
    /// Last reply that `receive` returned.
    current: RestReply,
}

struct RestQuery {
    id: u32,
    input: Frame,
}

/// Answer that owns its bytes.
struct RestReply {
    id: u32,
    status: AnswerStatus,
    reason: String,
    output: Vec<u8>,
    output_type: DataType,
}

impl RestClient {
    /// Creates a client that connects when its first query is sent. When the client is dropped, its
    /// thread ends after the query in flight.
    pub fn new(target: RestTarget) -> RestClient {
        let (queries, to_send) = mpsc::channel::<RestQuery>();
        let (answered, replies) = mpsc::channel();
        let config = Agent::config_builder()
            .timeout_global(Some(target.timeout))
            .http_status_as_error(false)
            .max_idle_age(MAX_IDLE)
            .build();
        let agent: Agent = config.into();
        let current = RestReply::new(0, target.output_type);
        thread::spawn(move || {
            for query in to_send {
                if answered.send(post(&agent, &target, &query)).is_err() {
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
        let sent = self.queries.send(RestQuery { id, input });
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
            let limit = limit.map_or(MAX_WAIT, |limit| limit.min(MAX_WAIT));
            self.next = match self.replies.recv_timeout(limit) {
                Ok(reply) => Some(reply),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Err(Error::Disconnected)),
            };
        }
        Ok(())
    }
}

impl RestReply {
    fn new(id: u32, output_type: DataType) -> RestReply {
        RestReply {
            id,
            status: AnswerStatus::Ok,
            reason: String::new(),
            output: Vec::new(),
            output_type,
        }
    }

    /// Reads a response. It has no times and no batch size.
    fn read(
        query: &RestQuery,
        target: &RestTarget,
        response: &Response<Body>,
        text: &str,
    ) -> RestReply {
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let mut reply = RestReply::new(query.id, target.output_type);
        if !response.status().is_success() {
            reply.status = AnswerStatus::Refused;
            reply.reason = body["cause"].as_str().unwrap_or(text).to_owned();
        } else if body["default"] == json!(true) {
            let reason = response.headers().get(REASON);
            let reason = reason.and_then(|reason| reason.to_str().ok());
            reply.status = AnswerStatus::Default;
            reply.reason = reason.unwrap_or_default().to_owned();
        } else {
            match parse_output(target.output_type, &body["output"]) {
                Some(output) => output.write_to(&mut reply.output),
                None => {
                    reply.status = AnswerStatus::Error;
                    reply.reason = format!("the output is not a list of {}", target.output_type);
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

fn post(agent: &Agent, target: &RestTarget, query: &RestQuery) -> Result<RestReply, Error> {
    let input = Output::read(target.input_type, query.input.as_ref());
    let input = input.map(|input| input.to_text()).unwrap_or_default();
    let body = format!("{{\"input\":{input}}}");
    let response = agent.post(&target.url).send(&body);
    let read = response.and_then(|mut response| {
        let text = response.body_mut().read_to_string()?;
        Ok((response, text))
    });
    match read {
        Ok((response, text)) => Ok(RestReply::read(query, target, &response, &text)),
        Err(ureq::Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            Err(Error::Unreachable)
        }
        Err(ureq::Error::Timeout(_)) => Err(Error::TimedOut),
        Err(_) => Err(Error::Disconnected),
    }
}

/// Reads a JSON array of numbers; `None` for any other value.
fn parse_output(output_type: DataType, json: &Value) -> Option<Output> {
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

    /// Starts a server that sends these responses, each on a connection of its own. Its thread
    /// returns the request bodies.
    fn serve(responses: Vec<&'static str>) -> (RestTarget, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/app/predict", listener.local_addr().unwrap());
        let run = move || {
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
            timeout: Duration::from_secs(60),
        };
        (target, thread::spawn(run))
    }

    /// Waits for the next answer and returns its id, status, reason and output.
    fn next(client: &mut RestClient) -> (u32, AnswerStatus, String, Vec<u8>) {
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
    fn answers_defaults_and_refusals_are_distinguished() {
        let answered =
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"default\": false, \"output\": [7, -1]}";
        let default = "HTTP/1.1 200 OK\r\nconnection: close\r\nclipper-default-reason: timed out in queue\r\n\r\n\
                       {\"default\": true, \"output\": \"none\"}";
        let refused = "HTTP/1.1 503 No\r\nconnection: close\r\n\r\n{\"error\": \"x\", \"cause\": \"the queue is full\"}";
        let (target, server) = serve(vec![answered, default, refused]);
        let mut client = RestClient::new(target);
        let input = Frame::from([1_i32, 2].map(i32::to_le_bytes).concat());
        for id in 0..3 {
            client.send(id, &input).unwrap();
        }
        let output = [7_i32, -1].map(i32::to_le_bytes).concat();
        assert_eq!(
            next(&mut client),
            (0, AnswerStatus::Ok, String::new(), output)
        );
        let reason = "timed out in queue".to_owned();
        assert_eq!(
            next(&mut client),
            (1, AnswerStatus::Default, reason, vec![])
        );
        let reason = "the queue is full".to_owned();
        assert_eq!(
            next(&mut client),
            (2, AnswerStatus::Refused, reason, vec![])
        );
        let bodies = server.join().unwrap();
        assert!(
            bodies.iter().all(|body| body.contains("\"input\"")),
            "{bodies:?}"
        );
    }

    #[test]
    fn closed_port_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/app/predict", listener.local_addr().unwrap());
        drop(listener);
        let mut client = RestClient::new(RestTarget {
            url,
            input_type: DataType::Ints,
            output_type: DataType::Ints,
            timeout: Duration::from_secs(60),
        });
        client.send(0, &Frame::from(vec![0; 4])).unwrap();
        let failed = loop {
            match client.receive() {
                Ok(None) => client.wait(None).unwrap(),
                Ok(Some(_)) => panic!("an answer from a closed port"),
                Err(error) => break error,
            }
        };
        assert!(matches!(failed, Error::Unreachable), "{failed}");
    }
}
