//! Detection of an offered load above capacity in an open loop, and the length of its drain. The
//! caller passes the time.
//!
//! Above capacity the queue grows for as long as queries are sent, so their latency measures the
//! length of the test. Such a load ends after a short drain, and its unanswered queries are
//! cancelled. A load within capacity waits for every answer: a query that never gets one is lost,
//! and counts as a timeout.

use std::time::{Duration, Instant};

use wire::query::{Answer, AnswerStatus, Timing};

use crate::stats::Span;

/// Growth of the queue, as a share of the queries sent, below which it empties soon after the last
/// query.
const MIN_GROWTH: f64 = 0.05;

/// Growth of the queue that chance explains, in standard deviations of the number of arrivals.
const DEVIATIONS: f64 = 2.0;

/// A served query waits for the running batch and for the one that was sent ahead, then for its
/// own.
const BATCHES: u32 = 3;

/// Shortest drain: the watcher checks ten times a second, and a stall of a busy machine must not
/// look like a queue.
const SHORTEST: Duration = Duration::from_millis(300);

/// Longest batch time to assume when no batch has ended.
const UNKNOWN: Duration = Duration::from_secs(5);

/// Counts of all clients up to some moment, warm-up included.
#[derive(Clone, Copy, Debug, Default)]
pub struct OverloadCounts {
    /// Queries sent.
    pub sent: u64,
    /// Answers of any kind.
    pub answered: u64,
    /// Answers by the model.
    pub ok: u64,
    /// Queries that the frontend refused, for instance because its queue was full.
    pub refused: u64,
    /// Sum of the batch times of the model's answers, in microseconds.
    pub batch_micros: u64,
}

/// Detects overload from the counts of one load, and decides when to end it.
#[derive(Clone, Debug)]
pub struct OverloadDetector {
    began: Instant,
    objective: Duration,
    last: OverloadCounts,
    /// Counts when the window opened.
    opened: Option<OverloadCounts>,
    /// Counts after two of the drain's three batch times.
    drained: Option<OverloadCounts>,
    detected: bool,
}

impl OverloadDetector {
    /// Creates a detector for a load that begins at `began`. The drain lasts at least as long as
    /// the objective.
    pub fn new(began: Instant, objective: Option<Duration>) -> OverloadDetector {
        OverloadDetector {
            began,
            objective: objective.unwrap_or_default(),
            last: OverloadCounts::default(),
            opened: None,
            drained: None,
            detected: false,
        }
    }

    /// Records the counts at `now`; call it several times a second. Returns true if the load is
    /// overloaded and its drain is over, that is, the objective or three batch times, whichever is
    /// longer.
    ///
    /// A load is overloaded if its queue grew during the window by more than chance explains, is
    /// not empty after three batch times, and is still being served. A queue that is not served any
    /// more holds lost queries. If there was no answer at all, the first batch is assumed to be
    /// still running.
    pub fn update(&mut self, now: Instant, span: &Span, counts: OverloadCounts) -> bool {
        if now >= span.opens {
            self.opened.get_or_insert(self.last);
        }
        self.last = counts;
        let Some(drain) = now.checked_duration_since(span.closes) else {
            return false;
        };
        let batches = self.batches(span);
        if drain >= batches {
            let is_served = |then: OverloadCounts| counts.served() > then.served();
            let waits = counts.answered < counts.sent;
            let served = counts.served() == 0 || self.drained.is_some_and(is_served);
            self.detected |= waits && served && self.has_grown();
        }
        if drain >= batches * 2 / 3 {
            self.drained.get_or_insert(counts);
        }
        self.detected && drain >= batches.max(self.objective)
    }

    /// Returns true if the offered load exceeded capacity, given the `last` counts of a load that
    /// has ended. If every query has an answer, the refused ones count as not served.
    pub fn is_overloaded(mut self, last: OverloadCounts) -> bool {
        self.last = last;
        let all_answered = last.answered >= last.sent && last.served() > 0;
        self.detected || (all_answered && self.has_grown())
    }

    /// Returns three batch times, or the shortest drain if that is longer.
    fn batches(&self, span: &Span) -> Duration {
        let batch = match self.last.batch_micros.checked_div(self.last.ok) {
            Some(micros) => Duration::from_micros(micros),
            None => (span.closes - self.began).min(UNKNOWN),
        };
        (BATCHES * batch).max(SHORTEST)
    }

    fn has_grown(&self) -> bool {
        let opened = self.opened.unwrap_or_default();
        let sent = self.last.sent.saturating_sub(opened.sent) as f64;
        let growth = self.last.unserved().saturating_sub(opened.unserved()) as f64;
        growth > f64::max(DEVIATIONS * sent.sqrt(), MIN_GROWTH * sent)
    }
}

impl OverloadCounts {
    /// Counts an answer.
    pub fn record(&mut self, answer: &Answer<'_>) {
        self.answered += 1;
        match answer.status {
            AnswerStatus::Ok => {
                self.ok += 1;
                self.batch_micros += batch_micros(&answer.timing);
            }
            AnswerStatus::Refused => self.refused += 1,
            AnswerStatus::Default | AnswerStatus::Error => {}
        }
    }

    fn served(&self) -> u64 {
        self.answered.saturating_sub(self.refused)
    }

    fn unserved(&self) -> u64 {
        self.sent.saturating_sub(self.served())
    }
}

/// Returns the time that the answer's batch took, in microseconds: from its sending to its
/// response, without the time that it waited at the replica.
fn batch_micros(timing: &Timing) -> u64 {
    let away = timing.away.saturating_sub(timing.waited);
    away.max(timing.predicting)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Counts in which every batch took half a second.
    fn counts(sent: u64, ok: u64, refused: u64) -> OverloadCounts {
        OverloadCounts {
            sent,
            answered: ok + refused,
            ok,
            refused,
            batch_micros: 500_000 * ok,
        }
    }

    /// Checks a load of ten seconds, one of them warm-up, ten times a second; `at` gives the counts
    /// after a number of seconds. Returns the second in which the load was ended, and whether it
    /// was overloaded.
    fn detect(
        objective: Option<Duration>,
        at: impl Fn(f64) -> OverloadCounts,
    ) -> (Option<f64>, bool) {
        let began = Instant::now();
        let span = Span::new(began + SECOND, began + 10 * SECOND);
        let mut overload = OverloadDetector::new(began, objective);
        let mut checks = (1..400).map(|tick| f64::from(tick) / 10.0);
        let ended = checks
            .find(|&time| overload.update(began + Duration::from_secs_f64(time), &span, at(time)));
        (ended, overload.is_overloaded(at(ended.unwrap_or(40.0))))
    }

    /// Number of queries sent at `time` seconds, at `rate` a second for ten seconds.
    fn offered(rate: f64, time: f64) -> u64 {
        (rate * time.min(10.0)) as u64
    }

    #[test]
    fn grown_queue_is_drained_for_three_batch_times() {
        let at = |time: f64| counts(offered(40.0, time), (2.0 * time) as u64, 0);
        assert_eq!(detect(None, at), (Some(11.5), true));
        assert_eq!(detect(Some(SECOND), at), (Some(11.5), true));
        assert_eq!(detect(Some(3 * SECOND), at), (Some(13.0), true));
    }

    #[test]
    fn queue_left_by_the_warm_up_is_no_overload() {
        // 200 queries are queued when the window opens, and some of them are served during it.
        let at = |time: f64| {
            let sent = offered(40.0, time) + 200;
            counts(sent, sent.min((41.0 * time) as u64), 0)
        };
        assert_eq!(detect(None, at), (None, false));
    }

    #[test]
    fn queries_refused_by_a_full_queue_count_as_not_served() {
        // 2 of 40 queries a second are served, and the queue holds 100.
        let at = |time: f64| {
            let (sent, ok) = (offered(40.0, time), (2.0 * time) as u64);
            counts(sent, ok, sent.saturating_sub(ok + 100))
        };
        assert_eq!(detect(None, at), (Some(11.5), true));
        // The queue is empty when the load ends.
        let at = |time: f64| {
            let sent = offered(40.0, time);
            counts(sent, sent / 2, sent - sent / 2)
        };
        assert_eq!(detect(None, at), (None, true));
        // Refusals alone say nothing about capacity.
        let at = |time: f64| counts(offered(40.0, time), 0, offered(40.0, time));
        assert!(!detect(None, at).1);
    }

    #[test]
    fn queue_that_is_no_longer_served_is_not_cancelled() {
        let at = |time: f64| counts(offered(40.0, time), offered(20.0, time.min(5.0)), 0);
        assert_eq!(detect(None, at), (None, false));
    }

    #[test]
    fn drain_ends_without_any_answer() {
        let at = |time: f64| counts(offered(40.0, time), 0, 0);
        assert_eq!(detect(None, at), (Some(25.0), true));
    }
}
