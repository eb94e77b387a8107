//! The session with the frontend: registration, heartbeats, batches to the model, predictions back.

use std::{
    borrow::Cow,
    sync::mpsc::{Receiver, Sender},
    time::{Duration, Instant},
};

use model::{DataType, ModelInfo};
use transport::{Frame, Waker, recv, send};
use wire::rpc::{BatchError, FromContainer, FromFrontend, Metadata, NewContainer, Reply, Version};

use crate::{
    error::Error,
    health,
    high_perf::HighPerf,
    job::{BatchJob, BatchResult, micros},
    settings::{CurveKeys, Settings},
    stop::Stop,
};

/// Heartbeat period until the frontend announces one; Clipper's containers use 5 s.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Silence after which a frontend of version 3 or 2017 counts as lost, as in Clipper's containers.
/// It answers only heartbeats.
const V3_SILENCE: Duration = Duration::from_secs(30);

/// Heartbeat periods of silence after which a frontend of version 4 counts as lost.
const V4_SILENCE: u32 = 5;

/// Longest drain after a stop request. Batches unfinished by then go to another replica.
const DRAIN: Duration = Duration::from_secs(5);

/// Longest time to send the goodbye, in milliseconds.
const LINGER_MS: i32 = 200;

/// One model server's connection to its frontend, over reconnects.
pub(crate) struct Session {
    context: zmq::Context,
    curve: Option<CurveKeys>,
    socket: zmq::Socket,
    /// Only in the high-performance dialect.
    high_perf: Option<HighPerf>,
    frontend: String,
    responses: String,
    version: Version,
    registration: NewContainer,
    output_type: DataType,
    jobs: Sender<BatchJob>,
    /// Batches handed to the model and not finished.
    computing: usize,
    clock: Instant,
    /// Number of the current connection, one per socket.
    connection: u64,
    heartbeat: Duration,
    last_heard: Option<Instant>,
    last_beat: Instant,
    message: Vec<Frame>,
}

impl Session {
    pub(crate) fn new(
        settings: &Settings,
        info: ModelInfo,
        clock: Instant,
        jobs: Sender<BatchJob>,
    ) -> Result<Session, Error> {
        let context = zmq::Context::new();
        let output_type = info.output_type;
        let metadata = Metadata {
            server: settings.server.name.to_owned(),
            server_version: settings.server.version.to_owned(),
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            pid: std::process::id(),
            batches_in_flight: settings.batches_in_flight,
            model: info,
        };
        Ok(Session {
            socket: dealer(&context, settings.curve.as_ref())?,
            context,
            curve: settings.curve.clone(),
            high_perf: None,
            frontend: settings.frontend.clone(),
            responses: settings.responses.clone(),
            version: settings.rpc_version,
            registration: NewContainer {
                name: settings.model_name.clone(),
                version: settings.model_version.clone(),
                input_type: settings.input_type,
                metadata: (settings.rpc_version == Version::V4).then_some(metadata),
            },
            output_type,
            jobs,
            computing: 0,
            clock,
            connection: 0,
            heartbeat: HEARTBEAT,
            last_heard: None,
            last_beat: Instant::now(),
            message: Vec::new(),
        })
    }

    /// Runs the session until `stop`.
    pub(crate) fn run(
        &mut self,
        stop: &Stop,
        wake: &Waker,
        finished: &Receiver<BatchResult>,
    ) -> Result<(), Error> {
        tracing::info!("connecting to the frontend at {}", self.frontend);
        self.open()?;
        loop {
            let mut items = [
                self.socket.as_poll_item(zmq::POLLIN),
                zmq::PollItem::from_fd(wake.fd(), zmq::POLLIN),
                zmq::PollItem::from_fd(stop.fd(), zmq::POLLIN),
            ];
            let timeout = self.until_next_beat().as_millis() + 1;
            match zmq::poll(&mut items, i64::try_from(timeout).unwrap_or(i64::MAX)) {
                Ok(_) | Err(zmq::Error::EINTR) => {}
                Err(error) => return Err(Error::socket("cannot wait for the frontend")(error)),
            }
            let [_, woken, stopped] =
                items.map(|item| item.get_revents() != zmq::PollEvents::empty());
            if stopped {
                self.drain(wake, finished)?;
                return self.send_goodbye();
            }
            if woken {
                self.reply_all(wake, finished)?;
            }
            while recv(&mut self.socket, &mut self.message)? {
                self.last_heard = Some(Instant::now());
                self.on_message()?;
            }
            if self.frontend_is_lost() {
                tracing::warn!("lost the frontend (silent or disconnected): reconnecting");
                self.reconnect()?;
            } else if self.until_next_beat().is_zero() {
                self.send_heartbeat()?;
            }
        }
    }

    /// Returns whether the model has unfinished batches.
    pub(crate) fn is_computing(&self) -> bool {
        self.computing > 0
    }

    /// Answers the batches in flight without accepting new ones.
    fn drain(&mut self, wake: &Waker, finished: &Receiver<BatchResult>) -> Result<(), Error> {
        tracing::info!("stopping: finishing {} batches", self.computing);
        let end = Instant::now() + DRAIN;
        loop {
            self.reply_all(wake, finished)?;
            let left = end.saturating_duration_since(Instant::now());
            if self.computing == 0 || left.is_zero() {
                return Ok(());
            }
            let mut items = [zmq::PollItem::from_fd(wake.fd(), zmq::POLLIN)];
            let timeout = i64::try_from(left.as_millis() + 1).unwrap_or(i64::MAX);
            match zmq::poll(&mut items, timeout) {
                Ok(_) | Err(zmq::Error::EINTR) => {}
                Err(error) => return Err(Error::socket("cannot wait for the model")(error)),
            }
        }
    }

    fn reply_all(&mut self, wake: &Waker, finished: &Receiver<BatchResult>) -> Result<(), Error> {
        wake.clear();
        for done in finished.try_iter() {
            self.computing -= 1;
            self.reply(done)?;
        }
        Ok(())
    }

    fn on_message(&mut self) -> Result<(), Error> {
        match FromFrontend::decode_as(&self.message, self.version) {
            Ok(FromFrontend::Request(request)) => {
                let head = request.head;
                let inputs = match request.inputs {
                    Cow::Owned(inputs) => inputs,
                    Cow::Borrowed(inputs) => {
                        let others = self.message.len() - inputs.len();
                        self.message.split_off(others)
                    }
                };
                let job = BatchJob {
                    connection: self.connection,
                    head,
                    inputs,
                    received: micros(self.clock),
                };
                // The model's loop outlives this one, so the send cannot fail.
                let _ = self.jobs.send(job);
                self.computing += 1;
            }
            Ok(FromFrontend::Connection(id)) => {
                tracing::info!("registered as connection {id}");
                health::publish(true);
                if let Some(high_perf) = &mut self.high_perf {
                    high_perf.registered(id);
                }
            }
            Ok(FromFrontend::MetadataWanted) => {
                self.register()?;
                // Frontends of these versions do not confirm the registration.
                health::publish(matches!(self.version, Version::V3 | Version::V2017));
            }
            Ok(FromFrontend::Registered(registered)) => {
                self.heartbeat = registered.heartbeat.max(Duration::from_millis(10));
                health::publish(true);
                tracing::info!(
                    "registered as replica {} of {}:{}",
                    registered.replica_id,
                    self.registration.name,
                    self.registration.version
                );
            }
            Ok(FromFrontend::Refused(reason)) => {
                return Err(Error::Refused {
                    frontend: self.frontend.clone(),
                    reason: reason.to_string(),
                });
            }
            Ok(FromFrontend::Goodbye) => {
                tracing::info!("the frontend is stopping; waiting for it to come back");
                self.reconnect()?;
            }
            Ok(FromFrontend::KeepAlive) => {}
            Err(error) => tracing::warn!("dropped a message from the frontend: {error}"),
        }
        Ok(())
    }

    fn reply(&mut self, done: BatchResult) -> Result<(), Error> {
        if done.connection != self.connection {
            return Ok(());
        }
        let head = done.head;
        let mut message = Vec::new();
        match (done.predictions, head.session) {
            (Ok(predictions), session) => {
                let mut times = done.times;
                times.sent = micros(self.clock);
                let reply = Reply {
                    session,
                    message_id: head.message_id,
                    output_type: self.output_type,
                    predictions,
                    times,
                };
                match (self.version, &mut self.high_perf) {
                    (_, Some(high_perf)) => {
                        return ignore_would_block(high_perf.reply(reply, self.clock));
                    }
                    (Version::V2017, None) => reply.encode_2017(&mut message),
                    _ => reply.encode(&mut message),
                }
            }
            (Err(failure), Some(session)) => {
                tracing::error!("a batch failed: {}", failure.text);
                let error = BatchError {
                    session,
                    message_id: head.message_id,
                    code: failure.code,
                    text: &failure.text,
                };
                error.encode(&mut message);
            }
            (Err(failure), None) => {
                // As in Clipper's containers: the frontend then retries the queries on another
                // replica.
                return Err(Error::Model {
                    version: self.version,
                    reason: failure.text,
                });
            }
        }
        self.send(message)
    }

    /// Connects, and sends the first message.
    fn open(&mut self) -> Result<(), Error> {
        health::publish(false);
        if self.version == Version::HighPerf {
            let responses = dealer(&self.context, self.curve.as_ref())?;
            // Responses left over from a lost frontend must not reach its successor.
            responses.set_linger(0)?;
            responses
                .connect(&self.responses)
                .map_err(invalid_address(&self.responses))?;
            let (context, number) = (&self.context, self.connection);
            let high_perf = HighPerf::open(context, &self.socket, responses, number)?;
            self.high_perf = Some(high_perf);
        }
        self.socket
            .connect(&self.frontend)
            .map_err(invalid_address(&self.frontend))?;
        if self.version == Version::HighPerf {
            self.register()?;
        }
        self.send_heartbeat()
    }

    fn register(&mut self) -> Result<(), Error> {
        let mut message = Vec::new();
        self.registration.encode_as(self.version, &mut message);
        self.send(message)
    }

    /// Sends a heartbeat; the high-performance dialect has none.
    fn send_heartbeat(&mut self) -> Result<(), Error> {
        self.last_beat = Instant::now();
        if self.version == Version::HighPerf {
            return Ok(());
        }
        let mut message = Vec::new();
        FromContainer::encode_heartbeat(&mut message);
        self.send(message)
    }

    /// Sends a goodbye, if the protocol version has one.
    fn send_goodbye(&mut self) -> Result<(), Error> {
        if self.version == Version::V4 {
            let mut message = Vec::new();
            FromContainer::encode_goodbye(&mut message);
            self.send(message)?;
        }
        Ok(())
    }

    /// Reconnects with a new socket, whose new identity makes it a new replica for the frontend.
    fn reconnect(&mut self) -> Result<(), Error> {
        self.socket = dealer(&self.context, self.curve.as_ref())?;
        self.connection += 1;
        self.last_heard = None;
        self.heartbeat = HEARTBEAT;
        self.open()
    }

    fn frontend_is_lost(&mut self) -> bool {
        let silence = match self.version {
            Version::HighPerf => return self.high_perf.as_mut().is_some_and(HighPerf::lost),
            Version::V3 | Version::V2017 => V3_SILENCE,
            Version::V4 => self.heartbeat * V4_SILENCE,
        };
        self.last_heard.is_some_and(|at| at.elapsed() >= silence)
    }

    fn until_next_beat(&self) -> Duration {
        self.heartbeat.saturating_sub(self.last_beat.elapsed())
    }

    fn send(&mut self, mut message: Vec<Frame>) -> Result<(), Error> {
        ignore_would_block(send(&mut self.socket, &mut message))
    }
}

fn invalid_address(address: &str) -> impl FnOnce(zmq::Error) -> Error {
    Error::socket(format!("cannot connect to {address}: invalid address"))
}

fn ignore_would_block(outcome: zmq::Result<()>) -> Result<(), Error> {
    match outcome {
        // The queue is full: the frontend is lost, which its timeout will detect.
        Ok(()) | Err(zmq::Error::EAGAIN) => Ok(()),
        Err(error) => Err(Error::socket("cannot send to the frontend")(error)),
    }
}

fn dealer(context: &zmq::Context, curve: Option<&CurveKeys>) -> zmq::Result<zmq::Socket> {
    let socket = context.socket(zmq::DEALER)?;
    socket.set_linger(LINGER_MS)?;
    if let Some(curve) = curve {
        curve.keys.connect(&socket, curve.frontend)?;
    }
    Ok(socket)
}
