//! A client over any of the load generator's connections that verifies each answer and accounts for
//! every query.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use loadgen::{Arrivals, Client, Error};
use model::Output;
use transport::Frame;
use wire::query::{Answer, AnswerStatus};

use crate::{
    active_faults::{ActiveFaults, FaultSnapshot},
    ledger::{Ledger, QueryEnd},
    run_state::RunState,
    send_schedule::SendSchedule,
    workload::Workload,
};

/// Maximum time between two updates of the shared state.
const UPDATE_INTERVAL: Duration = Duration::from_millis(20);

/// Maximum number of consecutive sends, or receives.
const BURST: usize = 64;

/// Maximum wait for the connection before the first query.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one application.
pub struct VerifyingClient {
    number: u32,
    workload: Arc<Workload>,
    ledger: Ledger,
    connection: Box<dyn Client>,
    max_in_flight: usize,
}

impl VerifyingClient {
    /// Creates client `number`, with at most `max_in_flight` queries in flight.
    pub fn new(
        number: u32,
        workload: Arc<Workload>,
        ledger: Ledger,
        connection: Box<dyn Client>,
        max_in_flight: usize,
    ) -> VerifyingClient {
        VerifyingClient {
            number,
            workload,
            ledger,
            connection,
            max_in_flight,
        }
    }

    /// Returns the client's ledger.
    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Sends queries until the run is stopped, then waits for those in flight, up to the ledger's timeout.
    pub fn run(&mut self, arrivals: &Arrivals, state: &RunState) -> anyhow::Result<()> {
        self.await_connection(CONNECT_TIMEOUT)?;
        let mut schedule = SendSchedule::new(arrivals, self.max_in_flight, Instant::now());
        let mut reported = self.ledger.progress();
        let mut updated = Instant::now();
        let mut stopped: Option<Instant> = None;
        loop {
            let mut now = Instant::now();
            let faults = state.faults.snapshot(now);
            if now - updated >= UPDATE_INTERVAL {
                updated = now;
                state.add_progress(self.ledger.progress(), &mut reported);
                if stopped.is_none() && state.stopped() {
                    stopped = Some(now);
                }
            }
            let mut next_send = None;
            if let Some(since) = stopped {
                if self.ledger.in_flight() == 0 || now - since > self.ledger.timeout() {
                    return Ok(());
                }
            } else {
                for _ in 0..BURST {
                    next_send = schedule.next(now, self.ledger.in_flight());
                    if next_send.is_none_or(|at| at > now) {
                        break;
                    }
                    schedule.on_sent();
                    self.send(now, faults)?;
                    now = Instant::now();
                }
            }
            if !self.receive(&state.faults)? {
                let limit = next_send.map_or(UPDATE_INTERVAL, |at| {
                    at.saturating_duration_since(now).min(UPDATE_INTERVAL)
                });
                self.connection.wait(Some(limit))?;
            }
        }
    }

    /// Connects, sends `queries` queries, and disconnects after the first answer. Gives up connecting, and
    /// waiting for the answer, after `limit`.
    pub fn send_and_disconnect(mut self, queries: usize, limit: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        if self.await_connection(limit)? {
            (0..queries).try_for_each(|_| self.send(Instant::now(), FaultSnapshot::default()))?;
        }
        while self.ledger.in_flight() == queries && start.elapsed() < limit {
            if !self.receive(&ActiveFaults::default())? {
                self.connection.wait(Some(UPDATE_INTERVAL))?;
            }
        }
        Ok(())
    }

    /// Waits for the connection; returns false if there is none within `limit`.
    fn await_connection(&mut self, limit: Duration) -> anyhow::Result<bool> {
        let start = Instant::now();
        while !self.connection.is_connected() {
            if start.elapsed() > limit {
                return Ok(false);
            }
            if !self.receive(&ActiveFaults::default())? {
                self.connection.wait(Some(UPDATE_INTERVAL))?;
            }
        }
        Ok(true)
    }

    /// Sends the next query.
    fn send(&mut self, now: Instant, faults: FaultSnapshot) -> anyhow::Result<()> {
        let number = self.ledger.send(now, faults);
        let input = Frame::from(self.workload.input(self.number, number));
        match self.connection.send(number, &input) {
            Err(Error::Unreachable) => self.ledger.end(number, QueryEnd::Unreachable, now, faults),
            sent => sent.context("cannot send a query")?,
        }
        Ok(())
    }

    /// Receives the answers that have arrived; returns false if there are none.
    fn receive(&mut self, faults: &ActiveFaults) -> anyhow::Result<bool> {
        for received in 0..BURST {
            let answer = self.connection.receive();
            let now = Instant::now();
            let faults = faults.snapshot(now);
            let end = match answer {
                Ok(None) => return Ok(received > 0),
                Ok(Some(answer)) => {
                    let end = query_end(&self.workload, self.number, &answer);
                    self.ledger.end(answer.request_id, end, now, faults);
                    continue;
                }
                Err(Error::Disconnected) => QueryEnd::Disconnected,
                Err(Error::Unreachable) => QueryEnd::Unreachable,
                Err(Error::TimedOut) => QueryEnd::Lost,
                Err(error) => return Err(error).context("cannot receive an answer"),
            };
            self.ledger.end_all(&end, now, faults);
        }
        Ok(true)
    }
}

/// Classifies an answer to a query of client number `client`.
fn query_end(workload: &Workload, client: u32, answer: &Answer<'_>) -> QueryEnd {
    let reason = || answer.reason.to_owned();
    match answer.status {
        AnswerStatus::Ok => {
            let output = Output::read(answer.output_type, answer.output);
            let correct = |output| workload.is_correct(client, answer.request_id, &output);
            match output.is_ok_and(correct) {
                true => QueryEnd::Correct,
                false => QueryEnd::Wrong,
            }
        }
        AnswerStatus::Default => QueryEnd::Default(reason()),
        AnswerStatus::Refused => QueryEnd::Refused(reason()),
        AnswerStatus::Error => QueryEnd::Failed(reason()),
    }
}
