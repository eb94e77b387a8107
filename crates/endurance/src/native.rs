//! A client over ZeroMQ, in our own dialect.
//!
//! ZeroMQ mends a broken connection unseen, but a frontend that was started anew does not know the client. So the client has
//! its sockets watched: when either connection breaks, every open query ends with that error, and it connects with new sockets.
//! An answer that had come before is taken first.

use std::{
    collections::VecDeque,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use deploy::Ports;
use model::Output;
use transport::{Frame, Timer, recv, send};
use wire::query::{Answer, Connected, Input, Request, Status, encode_connect};

use crate::{
    ledger::{Ending, Ledger},
    pace::{Pace, Pacer, Shared},
    questions::Questions,
    weather::{Sky, Weather},
};

/// A client looks at what it shares with the others so often at least.
const LOOK: Duration = Duration::from_millis(20);

/// So many sends, or receives, in a row.
const TURN: usize = 64;

/// A frontend that was killed before it answered is asked again after this.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Watchers of closed sockets that are kept: libzmq may still tell them something, and would wait for ever if they were gone.
const RETIRED: usize = 32;

/// A client of one application.
pub struct Native {
    number: u32,
    app: &'static str,
    questions: Arc<Questions>,
    ledger: Ledger,
    context: zmq::Context,
    ports: Ports,
    timer: Timer,
    link: Option<Link>,
    retired: VecDeque<zmq::Socket>,
    message: Vec<Frame>,
}

/// The sockets, and what the frontend has said to their connecting.
struct Link {
    answers: zmq::Socket,
    requests: zmq::Socket,
    watchers: [zmq::Socket; 2],
    opened: Instant,
    connected: Option<Connected>,
}

impl Native {
    /// A client with this number that is not connected yet.
    pub fn new(
        number: u32,
        (app, questions): (&'static str, Arc<Questions>),
        ledger: Ledger,
        context: &zmq::Context,
        ports: Ports,
    ) -> anyhow::Result<Native> {
        Ok(Native {
            number,
            app,
            questions,
            ledger,
            context: context.clone(),
            ports,
            timer: Timer::new()?,
            link: None,
            retired: VecDeque::new(),
            message: Vec::new(),
        })
    }

    /// Its account.
    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Asks until all are stopped, then waits for what is open, but not beyond its patience.
    pub fn run(&mut self, pace: Pace, shared: &Shared) -> anyhow::Result<()> {
        self.await_connection(HANDSHAKE)?;
        let mut pacer = Pacer::new(pace, Instant::now());
        let mut noted = self.ledger.progress();
        let mut looked = Instant::now();
        let mut stopped: Option<Instant> = None;
        loop {
            let mut now = Instant::now();
            let sky = shared.weather.look(now);
            if now - looked >= LOOK {
                looked = now;
                shared.note(self.ledger.progress(), &mut noted);
                if stopped.is_none() && shared.stopped() {
                    stopped = Some(now);
                }
            }
            self.connect(now)?;
            let mut wake = None;
            if let Some(since) = stopped {
                if self.ledger.open() == 0 || now - since > self.ledger.patience() {
                    return Ok(());
                }
            } else {
                for _ in 0..TURN {
                    wake = pacer.due(now, self.ledger.open());
                    if wake.is_none_or(|due| due > now) {
                        break;
                    }
                    pacer.asked();
                    self.ask(now, sky)?;
                    now = Instant::now();
                }
            }
            if !self.hear(&shared.weather)? && self.wait(now, wake)? {
                // What came before the end of the connection counts.
                while self.hear(&shared.weather)? {}
                self.hang_up(shared);
            }
        }
    }

    /// Connects, asks so many queries, and goes without a word when the first is answered. None of this takes longer than `limit`.
    pub fn vanish(mut self, queries: usize, limit: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        if self.await_connection(limit)? {
            (0..queries).try_for_each(|_| self.ask(Instant::now(), Sky::default()))?;
        }
        while self.ledger.open() == queries && began.elapsed() < limit {
            if !self.hear(&Weather::default())? && self.wait(Instant::now(), None)? {
                break;
            }
        }
        Ok(())
    }

    /// Waits until it is connected; false if it is not within `limit`.
    fn await_connection(&mut self, limit: Duration) -> anyhow::Result<bool> {
        let began = Instant::now();
        while self
            .link
            .as_ref()
            .is_none_or(|link| link.connected.is_none())
        {
            let now = Instant::now();
            if now - began > limit {
                return Ok(false);
            }
            self.connect(now)?;
            if !self.hear(&Weather::default())? && self.wait(now, None)? {
                self.retire();
            }
        }
        Ok(true)
    }

    fn connect(&mut self, now: Instant) -> anyhow::Result<()> {
        let late = |link: &Link| link.connected.is_none() && now - link.opened > HANDSHAKE;
        if self.link.as_ref().is_some_and(late) {
            self.retire();
        }
        if self.link.is_none() {
            let link = Link::open(&self.context, self.ports, now);
            self.link = Some(link.context("cannot open the sockets of a client")?);
        }
        Ok(())
    }

    fn ask(&mut self, now: Instant, sky: Sky) -> anyhow::Result<()> {
        let number = self.ledger.ask(now, sky);
        let connected = self
            .link
            .as_mut()
            .and_then(|link| Some((link.connected?, link)));
        let Some((connected, link)) = connected else {
            self.ledger.end(number, Ending::Unreachable, now, sky);
            return Ok(());
        };
        let input = Frame::from(self.questions.input(self.number, number));
        self.message.clear();
        let request = Request {
            session: Some(connected.session),
            client_id: connected.client_id,
            request_id: number,
            app: self.app,
            input_type: self.questions.input_type(),
            deadline: None,
            input: Input::Frame(&input),
        };
        request.encode(&mut self.message);
        send(&mut link.requests, &mut self.message).context("cannot send a query")
    }

    /// Takes what has come; false if that is nothing.
    fn hear(&mut self, weather: &Weather) -> anyhow::Result<bool> {
        for turn in 0..TURN {
            let Some(link) = &mut self.link else {
                return Ok(false);
            };
            if !recv(&mut link.answers, &mut self.message).context("cannot receive an answer")? {
                return Ok(turn > 0);
            }
            if link.connected.is_none() {
                link.connected = Some(Connected::decode(&self.message)?);
                continue;
            }
            let answer = Answer::decode(&self.message)?;
            let number = answer.request_id;
            let ending = match answer.status {
                Status::Ok => {
                    let output = Output::read(answer.output_type, answer.output);
                    let right = |output| self.questions.is_right(self.number, number, &output);
                    match output.is_ok_and(right) {
                        true => Ending::Right,
                        false => Ending::Wrong,
                    }
                }
                Status::Default => Ending::Default(answer.reason.to_owned()),
                Status::Refused => Ending::Refused(answer.reason.to_owned()),
                Status::Error => Ending::Failed(answer.reason.to_owned()),
            };
            let now = Instant::now();
            self.ledger.end(number, ending, now, weather.look(now));
        }
        Ok(true)
    }

    /// Waits for an answer, but until `wake` at most. True if a connection has broken.
    fn wait(&self, now: Instant, wake: Option<Instant>) -> anyhow::Result<bool> {
        let Some(link) = &self.link else {
            return Ok(false);
        };
        let delay = wake.map_or(LOOK, |wake| wake.saturating_duration_since(now).min(LOOK));
        self.timer.set(Some(delay))?;
        let mut items = [
            link.answers.as_poll_item(zmq::POLLIN),
            link.watchers[0].as_poll_item(zmq::POLLIN),
            link.watchers[1].as_poll_item(zmq::POLLIN),
            zmq::PollItem::from_fd(self.timer.fd(), zmq::POLLIN),
        ];
        match zmq::poll(&mut items, -1) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for an answer"),
        }
        Ok(items[1].is_readable() || items[2].is_readable())
    }

    fn hang_up(&mut self, shared: &Shared) {
        let now = Instant::now();
        self.ledger.cut_off(now, shared.weather.look(now));
        self.retire();
    }

    fn retire(&mut self) {
        if let Some(link) = self.link.take() {
            self.retired.extend(link.watchers);
            let surplus = self.retired.len().saturating_sub(RETIRED);
            self.retired.drain(..surplus);
        }
    }
}

impl Link {
    fn open(context: &zmq::Context, ports: Ports, now: Instant) -> anyhow::Result<Link> {
        let (answers, answers_watcher) = watched(context, ports.send_port)?;
        let (requests, requests_watcher) = watched(context, ports.recv_port)?;
        let mut link = Link {
            answers,
            requests,
            watchers: [answers_watcher, requests_watcher],
            opened: now,
            connected: None,
        };
        let mut message = Vec::new();
        encode_connect(&mut message);
        send(&mut link.answers, &mut message)?;
        Ok(link)
    }
}

/// A socket that connects, and one that becomes readable when its connection breaks.
fn watched(context: &zmq::Context, port: u16) -> zmq::Result<(zmq::Socket, zmq::Socket)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let socket = context.socket(zmq::DEALER)?;
    socket.set_sndhwm(0)?;
    socket.set_rcvhwm(0)?;
    socket.set_linger(0)?;
    let endpoint = format!("inproc://watch-{}", NUMBER.fetch_add(1, Relaxed));
    socket.monitor(
        &endpoint,
        i32::from(zmq::SocketEvent::DISCONNECTED.to_raw()),
    )?;
    let watcher = context.socket(zmq::PAIR)?;
    watcher.connect(&endpoint)?;
    socket.connect(&format!("tcp://127.0.0.1:{port}"))?;
    Ok((socket, watcher))
}
