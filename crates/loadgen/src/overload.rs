//! Whether an open loop offers more than is served, and how long it then waits for its last answers. It is told the
//! time.
//!
//! Above capacity the queue grows for as long as queries are sent, so their latency says how long the test ran. Such a
//! load ends after a short drain, and what is unanswered then is cancelled. A load that is served waits for every
//! answer: there a query that never gets one is lost, and shows as that.

use std::time::{Duration, Instant};

use wire::query::{Answer, Status, Timing};

use crate::stats::Span;

/// A queue that grew by less than this share of the queries sent ends soon after them.
const SHARE: f64 = 0.05;

/// A queue grows by chance, too: by a standard deviation or two of the number of arrivals.
const DEVIATIONS: f64 = 2.0;

/// A query that is served waits for the batch that computes and for the one that was sent ahead, then its own computes.
const BATCHES: u32 = 3;

/// The drain of a fast model: the watcher looks ten times a second, and a stall of a busy machine must not look like a
/// queue.
const SHORTEST: Duration = Duration::from_millis(300);

/// The most that a batch is taken to need where none has ended.
const UNKNOWN: Duration = Duration::from_secs(5);

/// What all clients have done until some moment, warm-up included.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Queries sent.
    pub sent: u64,
    /// Answers of any kind.
    pub answered: u64,
    /// Answers by the model.
    pub ok: u64,
    /// Queries that the frontend refused, for instance because its queue was full.
    pub refused: u64,
    /// The sum over the model's answers of how long their batches took, in microseconds.
    pub batch_micros: u64,
}

/// Looks at the counts of one load, and says when to end it.
#[derive(Clone, Debug)]
pub struct Overload {
    began: Instant,
    objective: Duration,
    last: Counts,
    /// When the window opened.
    opened: Option<Counts>,
    /// When two of the drain's three batch times were over.
    drained: Option<Counts>,
    found: bool,
}

impl Overload {
    /// Of a load that begins at `began`; queries that take no longer than the objective are worth waiting for.
    pub fn new(began: Instant, objective: Option<Duration>) -> Overload {
        Overload {
            began,
            objective: objective.unwrap_or_default(),
            last: Counts::default(),
            opened: None,
            drained: None,
            found: false,
        }
    }

    /// Takes in the counts at `now`; call it some times a second. True if the load is to end now because it is
    /// overloaded: its drain, of the objective or three batch times, whichever is longer, is over.
    ///
    /// Overloaded is a load whose queue has grown over the window by more than chance explains, that is still there
    /// after three batch times, and that is being served. A queue that nobody serves any more holds lost queries; but
    /// where there never was an answer, the first batch takes longer than all of this.
    pub fn tell(&mut self, now: Instant, span: &Span, counts: Counts) -> bool {
        if now >= span.opens {
            self.opened.get_or_insert(self.last);
        }
        self.last = counts;
        let Some(drain) = now.checked_duration_since(span.closes) else {
            return false;
        };
        let batches = self.batches(span);
        if drain >= batches {
            let is_served = |then: Counts| counts.served() > then.served();
            let waits = counts.answered < counts.sent;
            let served = counts.served() == 0 || self.drained.is_some_and(is_served);
            self.found |= waits && served && self.has_grown();
        }
        if drain >= batches * 2 / 3 {
            self.drained.get_or_insert(counts);
        }
        self.found && drain >= batches.max(self.objective)
    }

    /// True if more was offered than was served, by the `last` counts of a load that has ended. Where every query has
    /// an answer, those that the frontend refused were not served.
    pub fn is_found(mut self, last: Counts) -> bool {
        self.last = last;
        let all_answered = last.answered >= last.sent && last.served() > 0;
        self.found || (all_answered && self.has_grown())
    }

    /// Three batch times.
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
        growth > f64::max(DEVIATIONS * sent.sqrt(), SHARE * sent)
    }
}

impl Counts {
    /// Counts an answer.
    pub fn answered(&mut self, answer: &Answer<'_>) {
        self.answered += 1;
        match answer.status {
            Status::Ok => {
                self.ok += 1;
                self.batch_micros += batch_micros(&answer.timing);
            }
            Status::Refused => self.refused += 1,
            Status::Default | Status::Error => {}
        }
    }

    fn served(&self) -> u64 {
        self.answered.saturating_sub(self.refused)
    }

    fn unserved(&self) -> u64 {
        self.sent.saturating_sub(self.served())
    }
}

/// How long the batch of an answer took: from its sending to its response, without the time that it lay ready at the
/// replica.
fn batch_micros(timing: &Timing) -> u64 {
    let away = timing.away.saturating_sub(timing.waited);
    away.max(timing.predicting)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Each answer took half a second.
    fn counts(sent: u64, ok: u64, refused: u64) -> Counts {
        Counts {
            sent,
            answered: ok + refused,
            ok,
            refused,
            batch_micros: 500_000 * ok,
        }
    }

    /// A load of ten seconds, one of them warm-up, that has been looked at ten times a second; `at` gives the counts
    /// after so many seconds. When it was ended, and whether it was overloaded.
    fn watched(objective: Option<Duration>, at: impl Fn(f64) -> Counts) -> (Option<f64>, bool) {
        let began = Instant::now();
        let span = Span::new(began + SECOND, began + 10 * SECOND);
        let mut overload = Overload::new(began, objective);
        let mut looks = (1..400).map(|tick| f64::from(tick) / 10.0);
        let ended = looks
            .find(|&time| overload.tell(began + Duration::from_secs_f64(time), &span, at(time)));
        (ended, overload.is_found(at(ended.unwrap_or(40.0))))
    }

    /// So many a second until the tenth second.
    fn offered(rate: f64, time: f64) -> u64 {
        (rate * time.min(10.0)) as u64
    }

    #[test]
    fn a_grown_queue_is_drained_for_three_batch_times() {
        let at = |time: f64| counts(offered(40.0, time), (2.0 * time) as u64, 0);
        assert_eq!(watched(None, at), (Some(11.5), true));
        assert_eq!(watched(Some(SECOND), at), (Some(11.5), true));
        assert_eq!(watched(Some(3 * SECOND), at), (Some(13.0), true));
    }

    #[test]
    fn what_the_warm_up_left_behind_is_no_overload() {
        // 200 had queued up when the window opened, and a few of them are served in its course.
        let at = |time: f64| {
            let sent = offered(40.0, time) + 200;
            counts(sent, sent.min((41.0 * time) as u64), 0)
        };
        assert_eq!(watched(None, at), (None, false));
    }

    #[test]
    fn queries_that_a_full_queue_refused_were_not_served() {
        // Of 40 a second 2 are served; the queue takes 100.
        let at = |time: f64| {
            let (sent, ok) = (offered(40.0, time), (2.0 * time) as u64);
            counts(sent, ok, sent.saturating_sub(ok + 100))
        };
        assert_eq!(watched(None, at), (Some(11.5), true));
        // Nothing waits any more when the load ends.
        let at = |time: f64| {
            let sent = offered(40.0, time);
            counts(sent, sent / 2, sent - sent / 2)
        };
        assert_eq!(watched(None, at), (None, true));
        // Nothing but refusals says nothing about capacity.
        let at = |time: f64| counts(offered(40.0, time), 0, offered(40.0, time));
        assert!(!watched(None, at).1);
    }

    #[test]
    fn a_queue_that_nobody_serves_any_more_is_not_cancelled() {
        let at = |time: f64| counts(offered(40.0, time), offered(20.0, time.min(5.0)), 0);
        assert_eq!(watched(None, at), (None, false));
    }

    #[test]
    fn without_any_answer_the_drain_has_an_end() {
        let at = |time: f64| counts(offered(40.0, time), 0, 0);
        assert_eq!(watched(None, at), (Some(25.0), true));
    }
}
