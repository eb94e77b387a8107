//! The socket's loop: registration, heartbeats, batches to the model and predictions back.

use std::{
    sync::mpsc::{Receiver, Sender},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use model::{DataType, ModelInfo};
use transport::{Frame, Wake, recv, send};
use wire::rpc::{BatchError, FromContainer, FromFrontend, Metadata, NewContainer, Reply, Version};

use crate::{
    job::{Done, Job, micros},
    settings::Settings,
    stop::Stop,
};

/// How often to say that we live until the frontend states a period; Clipper's containers take 5 s.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A version-3 frontend answers nothing but heartbeats: this long without any and it is gone, as Clipper's containers see it.
const V3_SILENCE: Duration = Duration::from_secs(30);

/// Periods without a word after which a frontend of version 4 is gone.
const V4_SILENCE: u32 = 5;

/// How long to go on sending a goodbye, at most.
const LINGER_MS: i32 = 200;

pub(crate) struct Session {
    context: zmq::Context,
    socket: zmq::Socket,
    frontend: String,
    registration: NewContainer,
    output_type: DataType,
    jobs: Sender<Job>,
    clock: Instant,
    /// Counts sockets.
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
        jobs: Sender<Job>,
    ) -> anyhow::Result<Session> {
        let context = zmq::Context::new();
        let socket = connect(&context, &settings.frontend)?;
        let output_type = info.output_type;
        let metadata = Metadata {
            server: settings.server.name.to_owned(),
            server_version: settings.server.version.to_owned(),
            pid: std::process::id(),
            batches_in_flight: settings.batches_in_flight,
            model: info,
        };
        Ok(Session {
            context,
            socket,
            frontend: settings.frontend.clone(),
            registration: NewContainer {
                name: settings.model_name.clone(),
                version: settings.model_version.clone(),
                input_type: settings.input_type,
                metadata: (settings.rpc_version == Version::V4).then_some(metadata),
            },
            output_type,
            jobs,
            clock,
            connection: 0,
            heartbeat: HEARTBEAT,
            last_heard: None,
            last_beat: Instant::now(),
            message: Vec::new(),
        })
    }

    /// Keeps the socket until `stop`.
    pub(crate) fn run(
        &mut self,
        stop: &Stop,
        wake: &Wake,
        finished: &Receiver<Done>,
    ) -> anyhow::Result<()> {
        tracing::info!("connecting to the frontend at {}", self.frontend);
        self.beat()?;
        loop {
            let mut items = [
                self.socket.as_poll_item(zmq::POLLIN),
                zmq::PollItem::from_fd(wake.fd(), zmq::POLLIN),
                zmq::PollItem::from_fd(stop.fd(), zmq::POLLIN),
            ];
            let timeout = self.until_next_beat().as_millis() + 1;
            match zmq::poll(&mut items, i64::try_from(timeout).unwrap_or(i64::MAX)) {
                Ok(_) | Err(zmq::Error::EINTR) => {}
                Err(error) => return Err(error).context("cannot wait for the frontend"),
            }
            let [_, woken, stopped] =
                items.map(|item| item.get_revents() != zmq::PollEvents::empty());
            if stopped {
                return self.leave();
            }
            if woken {
                wake.clear();
                for done in finished.try_iter() {
                    self.reply(done)?;
                }
            }
            while recv(&mut self.socket, &mut self.message)? {
                self.last_heard = Some(Instant::now());
                self.on_message()?;
            }
            if self.frontend_is_gone() {
                tracing::warn!("nothing heard of the frontend for a while, connecting anew");
                self.reconnect()?;
            } else if self.until_next_beat().is_zero() {
                self.beat()?;
            }
        }
    }

    fn on_message(&mut self) -> anyhow::Result<()> {
        match FromFrontend::decode(&self.message) {
            Ok(FromFrontend::Request(request)) => {
                let (head, count) = (request.head, request.inputs.len());
                let inputs = self.message.split_off(self.message.len() - count);
                let job = Job {
                    connection: self.connection,
                    head,
                    inputs,
                    received: micros(self.clock),
                };
                // The model's loop ends only after this one.
                let _ = self.jobs.send(job);
            }
            Ok(FromFrontend::MetadataWanted) => {
                let mut message = Vec::new();
                self.registration.encode(&mut message);
                self.send(message)?;
            }
            Ok(FromFrontend::Registered(registered)) => {
                self.heartbeat = registered.heartbeat.max(Duration::from_millis(10));
                tracing::info!(
                    "registered as replica {} of {}:{}",
                    registered.replica_id,
                    self.registration.name,
                    self.registration.version
                );
            }
            Ok(FromFrontend::Refused(reason)) => {
                anyhow::bail!("the frontend at {} refuses: {reason}", self.frontend)
            }
            Ok(FromFrontend::Goodbye) => {
                tracing::info!("the frontend stops; waiting for it to come back");
                self.reconnect()?;
            }
            Ok(FromFrontend::KeepAlive) => {}
            Err(error) => tracing::warn!("dropped a message of the frontend: {error}"),
        }
        Ok(())
    }

    fn reply(&mut self, done: Done) -> anyhow::Result<()> {
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
                reply.encode(&mut message);
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
                // As Clipper's containers do: then the frontend tries its queries elsewhere.
                anyhow::bail!(
                    "a batch failed, and version 3 cannot say so: {}",
                    failure.text
                )
            }
        }
        self.send(message)
    }

    fn beat(&mut self) -> anyhow::Result<()> {
        self.last_beat = Instant::now();
        let mut message = Vec::new();
        FromContainer::encode_heartbeat(&mut message);
        self.send(message)
    }

    /// Says goodbye, if the frontend understands it.
    fn leave(&mut self) -> anyhow::Result<()> {
        tracing::info!("stopping");
        if self.registration.rpc_version() == Version::V4 {
            let mut message = Vec::new();
            FromContainer::encode_goodbye(&mut message);
            self.send(message)?;
        }
        Ok(())
    }

    /// A new socket is a new identity: the frontend sees a new replica.
    fn reconnect(&mut self) -> anyhow::Result<()> {
        self.socket = connect(&self.context, &self.frontend)?;
        self.connection += 1;
        self.last_heard = None;
        self.heartbeat = HEARTBEAT;
        self.beat()
    }

    fn frontend_is_gone(&self) -> bool {
        let silence = match self.registration.rpc_version() {
            Version::V3 => V3_SILENCE,
            Version::V4 => self.heartbeat * V4_SILENCE,
        };
        self.last_heard
            .is_some_and(|heard| heard.elapsed() >= silence)
    }

    fn until_next_beat(&self) -> Duration {
        self.heartbeat.saturating_sub(self.last_beat.elapsed())
    }

    fn send(&mut self, mut message: Vec<Frame>) -> anyhow::Result<()> {
        match send(&mut self.socket, &mut message) {
            // Nobody reads: the frontend is gone, and it will be noticed by its silence.
            Ok(()) | Err(zmq::Error::EAGAIN) => Ok(()),
            Err(error) => Err(error).context("cannot send to the frontend"),
        }
    }
}

fn connect(context: &zmq::Context, frontend: &str) -> anyhow::Result<zmq::Socket> {
    let socket = context.socket(zmq::DEALER)?;
    socket.set_linger(LINGER_MS)?;
    socket
        .connect(frontend)
        .with_context(|| format!("{frontend} is no address of a frontend"))?;
    Ok(socket)
}
