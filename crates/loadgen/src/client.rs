//! One client of a load, on its own thread: a connection, and the [`ClientState`] that decides what
//! to do with it.

use std::{
    sync::mpsc::Sender,
    time::{Duration, Instant},
};

use model::Output;
use transport::Frame;
use wire::query::{Answer, AnswerStatus};

use crate::{
    client_state::{ClientState, FinishedSlices, NextAction},
    error::Error,
    load::Load,
    pacer::{Pacer, Partition},
    shared::SharedState,
    stats::Tally,
};

/// Sends in a row before a client checks for an answer, so that a late client still timestamps its
/// answers promptly.
const SENDS: usize = 64;

/// Longest wait of a client before it reads the shared state again.
pub(crate) const MAX_WAIT: Duration = Duration::from_millis(20);

/// Connection over which one client sends queries and receives answers. Each protocol implements it
/// in a file of its own.
pub trait Client: Send {
    /// Returns true once queries can be sent.
    fn is_connected(&self) -> bool;

    /// Sends query number `id` with this input, without waiting for an answer.
    ///
    /// # Errors
    /// `Unreachable` if the client is not connected and nothing was sent, or an error of the
    /// connection.
    fn send(&mut self, id: u32, input: &Frame) -> Result<(), Error>;

    /// Returns the next answer that has arrived, if any, without waiting.
    ///
    /// # Errors
    /// `Disconnected`, `Unreachable` or `TimedOut` if the queries in flight will get no answer; the
    /// client remains usable. Any other error if a socket fails, or the answer cannot be decoded.
    fn receive(&mut self) -> Result<Option<Answer<'_>>, Error>;

    /// Waits for an answer, for `limit` or 20 ms at most; it may return earlier.
    ///
    /// # Errors
    /// If the connection fails.
    fn wait(&mut self, limit: Option<Duration>) -> Result<(), Error>;
}

/// Message from a client thread to the watcher thread.
pub(crate) enum WorkerReport {
    /// Complete slices of the window, from the client with this index.
    Finished(usize, FinishedSlices),
    /// The client has ended, with all of its counts.
    Done(Result<Box<Tally>, Error>),
}

/// A client and the inputs that it sends.
pub(crate) struct Worker<'a, C> {
    client: C,
    load: &'a Load<'a>,
    index: usize,
    /// All inputs, rotated so that this client's first one is at the front.
    inputs: Vec<Frame>,
    /// Index of this client's first input among all.
    first: usize,
}

impl<'a, C: Client> Worker<'a, C> {
    /// Creates client number `index` of the load. Each client begins with another input, so that a
    /// batch of several clients' queries does not repeat one input.
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

    /// Sends and receives until the client ends or all are stopped. Complete slices go to `reports`
    /// at once.
    pub(crate) fn run(
        mut self,
        shared: &SharedState,
        reports: &Sender<WorkerReport>,
    ) -> Result<Tally, Error> {
        let tally = Tally::new(self.load.objective);
        let timeout = self.load.answer_timeout;
        let mut state = ClientState::new(shared.began, self.pacer(), timeout, tally);
        let counters = &shared.counters[self.index];
        let mut now = Instant::now();
        'load: while !shared.stopped() {
            let span = shared.span();
            let mut wake = Some(now);
            for _ in 0..SENDS {
                match state.next_action(now, &span) {
                    NextAction::Send(id) => {
                        counters.on_sent();
                        let input = &self.inputs[id as usize % self.inputs.len()];
                        self.client.send(id, input)?;
                    }
                    NextAction::Wait(until) => {
                        wake = until;
                        break;
                    }
                    NextAction::End => break 'load,
                }
                now = Instant::now();
            }
            if let Some(finished) = state.take_finished_slices(now, &span) {
                // The receiver is dropped once another client has failed; ignore send errors.
                let _ = reports.send(WorkerReport::Finished(self.index, finished));
            }
            if let Some(answer) = self.client.receive()? {
                now = Instant::now();
                if state.on_answer(now, &span, &answer) {
                    counters.on_answer(&answer);
                    keep_output(&mut state, &answer, self.first)?;
                }
            } else {
                let limit = wake.map(|at| at.saturating_duration_since(now));
                self.client.wait(limit)?;
                now = Instant::now();
            }
        }
        Ok(state.finish(now, &shared.span(), shared.stopped()))
    }

    fn pacer(&self) -> Pacer {
        let partition = Partition {
            client: self.index,
            clients: self.load.clients(),
        };
        match (self.load.send_once, self.load.arrivals.in_flight()) {
            (true, Some(in_flight)) => Pacer::send_once(in_flight, self.inputs.len(), partition),
            _ => Pacer::new(&self.load.arrivals, self.load.seed, partition),
        }
    }
}

/// Keeps the model's output if each input is sent once. `first` is the index of the client's first
/// input among all.
fn keep_output(state: &mut ClientState, answer: &Answer<'_>, first: usize) -> Result<(), Error> {
    if answer.status == AnswerStatus::Ok && state.sends_once() {
        let output = Output::read(answer.output_type, answer.output);
        let output = output.map_err(|error| Error::Unreadable(error.to_string()))?;
        state.keep_output(first + answer.request_id as usize, output);
    }
    Ok(())
}
