//! One client of a load, on its own thread: a connection, and a [`Flow`] that says what to do with it.

use std::{
    sync::mpsc::Sender,
    time::{Duration, Instant},
};

use model::Output;
use transport::Frame;
use wire::query::{Answer, Status};

use crate::{
    error::Error,
    flow::{Finished, Flow, Next},
    load::Load,
    pacer::{Pacer, Part},
    shared::Shared,
    stats::Tally,
};

/// So many sends in a row, then it looks for an answer: their times must not suffer from a client that is behind.
const SENDS: usize = 64;

/// A client looks at what it shares with the others so often at least.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// A connection over which one client thread sends queries and receives answers; one file per protocol implements it.
pub trait Client: Send {
    /// True once queries can be sent.
    fn is_connected(&self) -> bool;

    /// Sends query number `id` with this input, without waiting for an answer.
    ///
    /// # Errors
    /// `Unreachable` if it is not connected, and nothing was sent; else if the connection fails.
    fn send(&mut self, id: u32, input: &Frame) -> Result<(), Error>;

    /// Returns the next answer that has come, if any, without waiting.
    ///
    /// # Errors
    /// `Disconnected`, `Unreachable` or `TimedOut` if no answer will come any more to the queries in flight; the client
    /// then goes on. Else if a socket fails, or the answer cannot be decoded.
    fn receive(&mut self) -> Result<Option<Answer<'_>>, Error>;

    /// Waits until there is an answer, but no longer than `limit` or 20 ms; it may return earlier.
    ///
    /// # Errors
    /// If the connection fails.
    fn wait(&mut self, limit: Option<Duration>) -> Result<(), Error>;
}

/// What a client reports to the thread that watches.
pub(crate) enum Report {
    /// Slices of the window that are over, from the client with this number.
    Finished(usize, Finished),
    /// The client has ended, with all that it counted.
    Ended(Result<Box<Tally>, Error>),
}

/// A client with what it sends.
pub(crate) struct Worker<'a, C> {
    client: C,
    load: &'a Load<'a>,
    index: usize,
    /// All inputs, its first one first.
    inputs: Vec<Frame>,
    /// The number of its first input among all.
    first: usize,
}

impl<'a, C: Client> Worker<'a, C> {
    /// Client number `index` of the load. Each begins with another input, so that a batch of several clients' queries
    /// is no repetition.
    pub(crate) fn new(
        client: C,
        load: &'a Load<'a>,
        inputs: &[Frame],
        index: usize,
    ) -> Worker<'a, C> {
        let mut inputs = inputs.to_vec();
        let first = index * inputs.len() / load.clients();
        inputs.rotate_left(first);
        Worker {
            client,
            load,
            index,
            inputs,
            first,
        }
    }

    /// Sends and receives until the flow ends, or all are stopped. Slices that are over go to `reports` at once.
    pub(crate) fn run(mut self, shared: &Shared, reports: &Sender<Report>) -> Result<Tally, Error> {
        let tally = Tally::new(self.load.objective);
        let mut flow = Flow::new(shared.began, self.pacer(), self.load.patience, tally);
        let counters = &shared.counters[self.index];
        let mut now = Instant::now();
        'load: while !shared.stopped() {
            let span = shared.span();
            let mut wake = Some(now);
            for _ in 0..SENDS {
                match flow.next(now, &span) {
                    Next::Send(id) => {
                        counters.sent();
                        let input = &self.inputs[id as usize % self.inputs.len()];
                        self.client.send(id, input)?;
                    }
                    Next::Wait(until) => {
                        wake = until;
                        break;
                    }
                    Next::End => break 'load,
                }
                now = Instant::now();
            }
            if let Some(finished) = flow.finished(now, &span) {
                // Nobody listens any more once another client has failed.
                let _ = reports.send(Report::Finished(self.index, finished));
            }
            if let Some(answer) = self.client.receive()? {
                now = Instant::now();
                if flow.answered(now, &span, &answer) {
                    counters.answered(&answer);
                    keep(&mut flow, &answer, self.first)?;
                }
            } else {
                let limit = wake.map(|at| at.saturating_duration_since(now));
                self.client.wait(limit)?;
                now = Instant::now();
            }
        }
        Ok(flow.end(now, &shared.span(), shared.stopped()))
    }

    fn pacer(&self) -> Pacer {
        let part = Part {
            client: self.index,
            clients: self.load.clients(),
        };
        match (self.load.once, self.load.arrivals.in_flight()) {
            (true, Some(in_flight)) => Pacer::once(in_flight, self.inputs.len(), part),
            _ => Pacer::new(&self.load.arrivals, self.load.seed, part),
        }
    }
}

/// Keeps what the model answered, where each input is sent once; `first` is the number of the client's first input
/// among all.
fn keep(flow: &mut Flow, answer: &Answer<'_>, first: usize) -> Result<(), Error> {
    if answer.status == Status::Ok && flow.is_once() {
        let output = Output::read(answer.output_type, answer.output);
        let output = output.map_err(|error| Error::Unreadable(error.to_string()))?;
        flow.keep(first + answer.request_id as usize, output);
    }
    Ok(())
}
