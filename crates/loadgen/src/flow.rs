//! A client without its sockets and clock: what it sends when, what is in flight, and what is counted.
//!
//! It is told the time, and says what to do next. In an open loop no send waits for an answer: a query that is due is
//! sent, however many are in flight. Only memory bounds their number, at about 50 bytes each; a system that does not
//! keep up shows as what it is. None that was intended is skipped: a late client sends what it owes as fast as it can,
//! and each counts from its intended time.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use model::Output;
use rustc_hash::FxBuildHasher;
use wire::query::Answer;

use crate::{
    pacer::Pacer,
    stats::{KeptOutput, NumberedSlice, Sent, Span, Tally},
};

/// A client that is this late when the window closes leaves out the rest: it will not make good what it owes.
const LATEST: Duration = Duration::from_secs(1);

/// What one client has in flight, and its counts.
pub struct Flow {
    began: Instant,
    pacer: Pacer,
    /// True if it sends each input once: then silence ends it at any time, because no window closes.
    once: bool,
    patience: Duration,
    next_id: u32,
    in_flight: HashMap<u32, Sent, FxBuildHasher>,
    tally: Tally,
    last_answer: Instant,
    slowest: Duration,
}

/// What a client is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send the query with this number, now: it is counted as sent. Numbers count from zero.
    Send(u32),
    /// Wait for an answer, but until this time at most; `None`: nothing is due before one comes.
    Wait(Option<Instant>),
    /// End.
    End,
}

/// The slices of the window that are over: nothing will be counted in them any more.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The number of the first slice that is not over.
    pub end: usize,
    /// Those in which something has been counted since the last time.
    pub slices: Vec<NumberedSlice>,
}

impl Flow {
    /// A client that begins at `began`. It gives answers up that have not come when there has been none for so long as
    /// `patience`, or twice the slowest answer's time if that is longer.
    pub fn new(began: Instant, pacer: Pacer, patience: Duration, tally: Tally) -> Flow {
        Flow {
            began,
            once: pacer.is_once(),
            pacer,
            patience,
            next_id: 0,
            in_flight: HashMap::default(),
            tally,
            last_answer: began,
            slowest: Duration::ZERO,
        }
    }

    /// What to do at `now`. Call it again after each send and each answer.
    pub fn next(&mut self, now: Instant, span: &Span) -> Next {
        let since = now.saturating_duration_since(self.began);
        let due = self.pacer.next(since, self.in_flight.len());
        let due = due
            .map(|at| self.began + at)
            .filter(|at| *at < span.closes && now < span.closes + LATEST);
        match due {
            Some(at) if at <= now => {
                self.pacer.sent();
                let id = self.next_id;
                self.next_id = id.wrapping_add(1);
                self.in_flight.insert(id, self.tally.sent(span, at, now));
                Next::Send(id)
            }
            None if self.in_flight.is_empty() || self.has_lost_patience(now, span) => Next::End,
            later => Next::Wait(later),
        }
    }

    /// Counts an answer that came at `now`; false if nobody waits for it, because it came twice.
    pub fn answered(&mut self, now: Instant, span: &Span, answer: &Answer<'_>) -> bool {
        let Some(sent) = self.in_flight.remove(&answer.request_id) else {
            return false;
        };
        self.last_answer = now;
        self.slowest = self.slowest.max(sent.until(now));
        self.tally.answered(span, sent, now, answer);
        true
    }

    /// The slices that have ended since the last call, if any has.
    pub fn finished(&mut self, now: Instant, span: &Span) -> Option<Finished> {
        let slices = &mut self.tally;
        (now >= span.slice_begins(slices.taken() + 1)).then(|| {
            let end = span.slice_at(now);
            Finished {
                end,
                slices: slices.take_slices(end),
            }
        })
    }

    /// True if it sends each input once.
    pub fn is_once(&self) -> bool {
        self.once
    }

    /// Keeps what the model answered to an input, by the input's number.
    pub fn keep(&mut self, input: usize, output: Output) {
        self.tally.outputs.push(KeptOutput { input, output });
    }

    /// Counts what has no answer at the end, which `stopped` tells to be early, and gives the counts.
    pub fn end(mut self, now: Instant, span: &Span, stopped: bool) -> Tally {
        for sent in self.in_flight.into_values() {
            self.tally.unanswered(span, sent, now, stopped);
        }
        self.tally
    }

    fn has_lost_patience(&self, now: Instant, span: &Span) -> bool {
        let drains = if self.once { self.began } else { span.closes };
        let silent = now.saturating_duration_since(self.last_answer.max(drains));
        silent > self.patience.max(2 * self.slowest)
    }
}
