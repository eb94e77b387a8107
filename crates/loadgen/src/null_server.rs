//! Server in this process that answers without computing. It measures the capacity of the load
//! generator, and gives tests known counts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use transport::Frame;
use wire::query::{
    Answer, AnswerStatus, Connected, Dialect, Lineage, QueryRequest, Timing, decode_connect,
};

use crate::{error::Error, load::Target};

/// Timing of every answer: a batch of four that took 50 microseconds.
const TIMING: Timing = Timing {
    batch_size: 4,
    replica_id: 0,
    queued: 0,
    away: 0,
    waited: 0,
    predicting: 50,
    replying: 0,
};

/// Longest output in bytes; it is the beginning of the input.
const MAX_OUTPUT: usize = 8;

/// Session of the server, in its connect replies and answers.
const SESSION: u64 = 77;

/// Server on a thread of its own, until it is dropped or stopped.
pub struct NullServer {
    answers: String,
    requests: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

/// Returns the status of the answer to query number n, counted from zero over all clients; `None`
/// for no answer.
pub type ReplyPolicy = Box<dyn FnMut(u64) -> Option<AnswerStatus> + Send>;

impl NullServer {
    /// Starts a server on the loopback interface.
    ///
    /// # Errors
    /// If a socket fails.
    pub fn start(policy: ReplyPolicy) -> Result<NullServer, Error> {
        let context = zmq::Context::new();
        let (answers, answers_at) = router(&context)?;
        let (requests, requests_at) = router(&context)?;
        let stop = Arc::new(AtomicBool::new(false));
        let server = ServerLoop {
            answers,
            requests,
            clients: Vec::new(),
            policy,
            number: 0,
        };
        let stopped = stop.clone();
        Ok(NullServer {
            answers: answers_at,
            requests: requests_at,
            stop,
            thread: Some(thread::spawn(move || Ok(server.run(&stopped)?))),
        })
    }

    /// Returns the address for queries of an application; the name is not checked.
    pub fn target<'a>(&self, app: &'a str, input_type: model::DataType) -> Target<'a> {
        Target {
            answers: self.answers.clone(),
            requests: self.requests.clone(),
            app,
            input_type,
        }
    }

    /// Stops the server.
    ///
    /// # Errors
    /// If a socket of the server failed.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Error> {
        self.stop.store(true, Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        ended.map_or(Ok(()), |ended| {
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for NullServer {
    fn drop(&mut self) {
        // Callers that need the error use `stop`.
        let _ = self.end();
    }
}

struct ServerLoop {
    answers: zmq::Socket,
    requests: zmq::Socket,
    /// Routing identity of each client at the socket for answers, by client id.
    clients: Vec<Frame>,
    policy: ReplyPolicy,
    number: u64,
}

impl ServerLoop {
    fn run(mut self, stop: &AtomicBool) -> zmq::Result<()> {
        let mut message = Vec::new();
        while !stop.load(Relaxed) {
            let mut items = [
                self.answers.as_poll_item(zmq::POLLIN),
                self.requests.as_poll_item(zmq::POLLIN),
            ];
            zmq::poll(&mut items, 10)?;
            while transport::recv(&mut self.answers, &mut message)? {
                self.connect(&mut message)?;
            }
            while transport::recv(&mut self.requests, &mut message)? {
                self.answer(&message)?;
            }
        }
        Ok(())
    }

    fn connect(&mut self, message: &mut Vec<Frame>) -> zmq::Result<()> {
        if decode_connect(&message[1..]) != Ok(Some(Dialect::Native)) {
            return Ok(());
        }
        let connected = Connected {
            session: SESSION,
            client_id: self.clients.len() as u32,
        };
        self.clients.push(message.swap_remove(0));
        let mut reply = vec![self.clients[connected.client_id as usize].clone()];
        connected.encode(Dialect::Native, &mut reply);
        transport::send(&mut self.answers, &mut reply)
    }

    fn answer(&mut self, message: &[Frame]) -> zmq::Result<()> {
        let Ok(request) = QueryRequest::decode(&message[1..]) else {
            return Ok(());
        };
        let Some(client) = self.clients.get(request.client_id as usize) else {
            return Ok(());
        };
        let status = (self.policy)(self.number);
        self.number += 1;
        let Some(status) = status else {
            return Ok(());
        };
        let input = request.input.as_ref();
        let answer = Answer {
            session: SESSION,
            request_id: request.request_id,
            status,
            reason: if status == AnswerStatus::Ok {
                ""
            } else {
                "set by the reply policy"
            },
            output_type: model::DataType::Bytes,
            output: &input[..input.len().min(MAX_OUTPUT)],
            timing: TIMING,
            lineage: Lineage::default(),
        };
        let mut reply = vec![client.clone()];
        answer.encode(Dialect::Native, &mut reply);
        transport::send(&mut self.answers, &mut reply)
    }
}

fn router(context: &zmq::Context) -> zmq::Result<(zmq::Socket, String)> {
    let socket = context.socket(zmq::ROUTER)?;
    socket.set_sndhwm(0)?;
    socket.set_rcvhwm(0)?;
    socket.set_linger(0)?;
    socket.bind("tcp://127.0.0.1:*")?;
    let endpoint = socket.get_last_endpoint()?;
    let endpoint = endpoint.map_err(|_| zmq::Error::EINVAL)?;
    Ok((socket, endpoint))
}
