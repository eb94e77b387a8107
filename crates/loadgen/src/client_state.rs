//! State machine of one client: what it sends when, what is in flight, and what it counts. It has
//! no sockets, and the caller passes the time.
//!
//! In an open loop no send waits for an answer: a query that is due is sent, however many are in
//! flight. Memory alone bounds their number, at about 50 bytes each, so a system that does not keep
//! up is measured as such. No intended query is skipped: a late client sends the overdue ones as
//! fast as it can, and each counts from its intended time.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use model::Output;
use rustc_hash::FxBuildHasher;
use wire::query::Answer;

use crate::{
    pacer::Pacer,
    stats::{KeptOutput, NumberedSlice, SentQuery, Span, Tally},
};

/// A client that is this late when the window closes skips its overdue queries: it cannot catch up.
const MAX_LATENESS: Duration = Duration::from_secs(1);

/// Queries in flight and counts of one client.
pub struct ClientState {
    began: Instant,
    pacer: Pacer,
    /// With `send_once` no window closes, so silence may end the client at any time.
    send_once: bool,
    answer_timeout: Duration,
    next_id: u32,
    in_flight: HashMap<u32, SentQuery, FxBuildHasher>,
    tally: Tally,
    last_answer: Instant,
    slowest: Duration,
}

/// Next step of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAction {
    /// Sends the query with this number now; it is already counted as sent. Numbers start at zero.
    Send(u32),
    /// Waits for an answer, until this time at most; `None` if nothing is due before an answer
    /// arrives.
    Wait(Option<Instant>),
    /// Ends the client.
    End,
}

/// Slices of the window that are complete: nothing more will be counted in them.
#[derive(Clone, Debug)]
pub struct FinishedSlices {
    /// Number of the first slice that is not complete.
    pub end: usize,
    /// Complete slices since the last call that have counts.
    pub slices: Vec<NumberedSlice>,
}

impl ClientState {
    /// Creates a client that begins at `began`. It gives up missing answers after a silence of
    /// `answer_timeout`, or of twice the highest latency seen if that is longer.
    pub fn new(
        began: Instant,
        pacer: Pacer,
        answer_timeout: Duration,
        tally: Tally,
    ) -> ClientState {
        ClientState {
            began,
            send_once: pacer.sends_once(),
            pacer,
            answer_timeout,
            next_id: 0,
            in_flight: HashMap::default(),
            tally,
            last_answer: began,
            slowest: Duration::ZERO,
        }
    }

    /// Returns the step to take at `now`. Call it again after each send and each answer.
    pub fn next_action(&mut self, now: Instant, span: &Span) -> NextAction {
        let since = now.saturating_duration_since(self.began);
        let due = self.pacer.next(since, self.in_flight.len());
        let due = due
            .map(|at| self.began + at)
            .filter(|at| *at < span.closes && now < span.closes + MAX_LATENESS);
        match due {
            Some(at) if at <= now => {
                self.pacer.on_sent();
                let id = self.next_id;
                self.next_id = id.wrapping_add(1);
                self.in_flight.insert(id, self.tally.sent(span, at, now));
                NextAction::Send(id)
            }
            None if self.in_flight.is_empty() || self.has_timed_out(now, span) => NextAction::End,
            later => NextAction::Wait(later),
        }
    }

    /// Counts an answer that arrived at `now`. Returns false for a duplicate, which is not counted.
    pub fn on_answer(&mut self, now: Instant, span: &Span, answer: &Answer<'_>) -> bool {
        let Some(sent) = self.in_flight.remove(&answer.request_id) else {
            return false;
        };
        self.last_answer = now;
        self.slowest = self.slowest.max(sent.until(now));
        self.tally.answered(span, sent, now, answer);
        true
    }

    /// Takes the slices that were completed since the last call; `None` if there are none.
    pub fn take_finished_slices(&mut self, now: Instant, span: &Span) -> Option<FinishedSlices> {
        let slices = &mut self.tally;
        (now >= span.slice_start(slices.taken() + 1)).then(|| {
            let end = span.slice_at(now);
            FinishedSlices {
                end,
                slices: slices.take_slices(end),
            }
        })
    }

    /// Returns true if the client sends each input once.
    pub fn sends_once(&self) -> bool {
        self.send_once
    }

    /// Keeps the model's output for the input with this number.
    pub fn keep_output(&mut self, input: usize, output: Output) {
        self.tally.outputs.push(KeptOutput { input, output });
    }

    /// Counts the queries without an answer and returns the counts. `stopped` is true if the load
    /// was ended early.
    pub fn finish(mut self, now: Instant, span: &Span, stopped: bool) -> Tally {
        for sent in self.in_flight.into_values() {
            self.tally.unanswered(span, sent, now, stopped);
        }
        self.tally
    }

    fn has_timed_out(&self, now: Instant, span: &Span) -> bool {
        let drains = if self.send_once {
            self.began
        } else {
            span.closes
        };
        let silent = now.saturating_duration_since(self.last_answer.max(drains));
        silent > self.answer_timeout.max(2 * self.slowest)
    }
}
