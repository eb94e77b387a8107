//! Baseline of the frontend over ZeroMQ: three ROUTER sockets and one queue, without applications,
//! deadlines, retries, metrics or REST.
//!
//! Usage: `bare BATCH`. A batch of up to `BATCH` queries goes to the replica with the fewest
//! batches in flight. With a `BATCH` of 0 every query is answered at once, which measures the limit
//! of the load generator.
//!
//! The program uses the frontend's protocols, so the same model servers and loads run against it.
//! It prints its ports like the frontend, and ends with its standard input.

use std::{
    collections::{HashMap, VecDeque},
    io::Read,
    thread,
};

use anyhow::Context;
use transport::{Frame, recv, send};
use wire::{
    MessageFrame as _,
    query::{Answer, AnswerStatus, Connected, Dialect, Lineage, QueryRequest, Timing},
    rpc::{FromContainer, FromFrontend, Registered, RequestHead, Version},
};

struct Replica {
    identity: Frame,
    /// Maximum number of batches in flight.
    max_in_flight: usize,
    in_flight: usize,
}

struct Query {
    client: u32,
    request: u32,
    input: Frame,
}

struct Bare {
    answers: zmq::Socket,
    containers: zmq::Socket,
    replicas: Vec<Replica>,
    clients: HashMap<u32, Frame>,
    queue: VecDeque<Query>,
    /// Index of the replica and the queries of each batch in flight, by message id.
    batches: HashMap<u32, (usize, Vec<Query>)>,
    next_id: u32,
    max_batch: usize,
    /// Buffer of the message to send.
    out: Vec<Frame>,
}

fn main() -> anyhow::Result<()> {
    let max_batch = std::env::args().nth(1).context("usage: bare BATCH")?;
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let context = zmq::Context::new();
    let (mut requests, recv_port) = router(&context)?;
    let (answers, send_port) = router(&context)?;
    let (containers, rpc_port) = router(&context)?;
    println!(
        r#"{{"query_port":0,"admin_port":0,"rpc_service_port":{rpc_port},"send_port":{send_port},"recv_port":{recv_port}}}"#
    );
    let mut bare = Bare {
        answers,
        containers,
        replicas: Vec::new(),
        clients: HashMap::new(),
        queue: VecDeque::new(),
        batches: HashMap::new(),
        next_id: rand::random(),
        max_batch: max_batch.parse()?,
        out: Vec::new(),
    };
    let mut message = Vec::new();
    loop {
        let mut received =
            bare.recv_connects(&mut message)? + bare.recv_containers(&mut message)?;
        for _ in 0..512 {
            if !recv(&mut requests, &mut message)? {
                break;
            }
            received += 1;
            let request = QueryRequest::decode(&message[1..])?;
            bare.queue.push_back(Query {
                client: request.client_id,
                request: request.request_id,
                input: request.input.keep(),
            });
        }
        match bare.max_batch {
            0 => bare.answer_at_once()?,
            _ => bare.dispatch()?,
        }
        if received == 0 {
            let sockets = [&requests, &bare.answers, &bare.containers];
            let mut items = sockets.map(|socket| socket.as_poll_item(zmq::POLLIN));
            zmq::poll(&mut items, -1)?;
        }
    }
}

/// Binds a ROUTER to a free port of loopback; returns it with its port.
fn router(context: &zmq::Context) -> anyhow::Result<(zmq::Socket, String)> {
    let socket = context.socket(zmq::ROUTER)?;
    socket.set_sndhwm(100_000)?;
    socket.bind("tcp://127.0.0.1:*")?;
    let endpoint = socket.get_last_endpoint()?.unwrap_or_default();
    let port = endpoint.rsplit(':').next().unwrap_or_default().to_owned();
    Ok((socket, port))
}

impl Bare {
    fn recv_connects(&mut self, message: &mut Vec<Frame>) -> anyhow::Result<usize> {
        let mut received = 0;
        while recv(&mut self.answers, message)? {
            received += 1;
            let connected = Connected {
                session: 0,
                client_id: self.next_id,
            };
            self.next_id = self.next_id.wrapping_add(1);
            self.clients.insert(connected.client_id, message[0].keep());
            self.out.push(message[0].clone());
            connected.encode(Dialect::Native, &mut self.out);
            send(&mut self.answers, &mut self.out)?;
        }
        Ok(received)
    }

    fn recv_containers(&mut self, message: &mut Vec<Frame>) -> anyhow::Result<usize> {
        let mut received = 0;
        while recv(&mut self.containers, message)? {
            received += 1;
            let identity = &message[0];
            let reply = match FromContainer::decode(&message[1..], Version::V4)? {
                FromContainer::Heartbeat => FromFrontend::MetadataWanted,
                FromContainer::NewContainer(container) => {
                    if !self
                        .replicas
                        .iter()
                        .any(|r| r.identity.as_ref() == identity.as_ref())
                    {
                        let metadata = container
                            .metadata
                            .context("registration without metadata")?;
                        self.replicas.push(Replica {
                            identity: identity.keep(),
                            max_in_flight: metadata.batches_in_flight as usize,
                            in_flight: 0,
                        });
                    }
                    FromFrontend::Registered(Registered {
                        session: 0,
                        replica_id: 0,
                        heartbeat: std::time::Duration::from_secs(3600),
                    })
                }
                FromContainer::Response(response) => {
                    let (replica, queries) = self
                        .batches
                        .remove(&response.message_id)
                        .context("response without a batch")?;
                    self.replicas[replica].in_flight -= 1;
                    for (query, output) in queries.iter().zip(&response.outputs) {
                        let answer = Answer {
                            session: 0,
                            request_id: query.request,
                            status: AnswerStatus::Ok,
                            reason: "",
                            output_type: response.output_type,
                            output: output.unwrap_or_default(),
                            timing: Timing {
                                batch_size: u32::try_from(queries.len())?,
                                ..Timing::default()
                            },
                            lineage: Lineage::default(),
                        };
                        self.out.push(self.clients[&query.client].clone());
                        answer.encode(Dialect::Native, &mut self.out);
                        send(&mut self.answers, &mut self.out)?;
                    }
                    continue;
                }
                other => anyhow::bail!("unsupported message from a model server: {other:?}"),
            };
            self.out.push(identity.clone());
            reply.encode(Version::V4, &mut self.out);
            send(&mut self.containers, &mut self.out)?;
        }
        Ok(received)
    }

    fn answer_at_once(&mut self) -> anyhow::Result<()> {
        for query in self.queue.drain(..) {
            let answer = Answer {
                session: 0,
                request_id: query.request,
                status: AnswerStatus::Ok,
                reason: "",
                output_type: model::DataType::Floats,
                output: &[0; 4],
                timing: Timing {
                    batch_size: 1,
                    ..Timing::default()
                },
                lineage: Lineage::default(),
            };
            self.out.push(self.clients[&query.client].clone());
            answer.encode(Dialect::Native, &mut self.out);
            send(&mut self.answers, &mut self.out)?;
        }
        Ok(())
    }

    fn dispatch(&mut self) -> anyhow::Result<()> {
        while !self.queue.is_empty() {
            let free = self
                .replicas
                .iter()
                .enumerate()
                .filter(|(_, r)| r.in_flight < r.max_in_flight);
            let Some((index, _)) = free.min_by_key(|(_, r)| r.in_flight) else {
                break;
            };
            let count = self.max_batch.min(self.queue.len());
            let queries: Vec<Query> = self.queue.drain(..count).collect();
            let head = RequestHead {
                session: Some(0),
                message_id: self.next_id,
                time_left: None,
                input_type: model::DataType::Floats,
            };
            self.next_id = self.next_id.wrapping_add(1);
            self.out.push(self.replicas[index].identity.clone());
            let inputs = queries.iter().map(|query| &query.input);
            head.encode(Version::V4, inputs, &mut self.out);
            send(&mut self.containers, &mut self.out)?;
            self.replicas[index].in_flight += 1;
            self.batches.insert(head.message_id, (index, queries));
        }
        Ok(())
    }
}
