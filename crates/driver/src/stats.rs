//! What became of the queries, counted so that nothing is dropped and nothing counted twice.
//!
//! Two questions, two populations. *What became of the queries?* looks at those sent inside the measured window, whenever
//! they were answered: [`Totals`] and latency; those sent before it have totals of their own, so that none is lost unseen. *How fast did answers come?* looks at the answers that arrived inside the
//! window, whenever they were asked for: throughput, batches and where the time went. A saturated queue has as many
//! answers to earlier queries at the window's opening as it owes at its close.

pub mod interval;

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use model::Output;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::query::{Answer, Status, Timing};

/// The measured window, from its opening (included) to its close (not included).
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// After the warm-up.
    pub opens: Instant,
    /// When sending stops.
    pub closes: Instant,
}

/// What became of the queries that were sent in some time: `sent` is the sum of the five that follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Queries sent.
    pub sent: u64,
    /// Answered by the model.
    pub ok: u64,
    /// Answered with the default output.
    pub default: u64,
    /// Not answered although nothing was stopped: the drain ended because no answer came any more.
    pub timeout: u64,
    /// Answered with an error: refused, or the model failed.
    pub error: u64,
    /// In flight when the iteration was stopped before its end.
    pub cancelled: u64,
    /// Length of that time in seconds.
    pub seconds: f64,
}

/// A query that is in flight. Whether it belongs to the window is decided once, when it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    at: Instant,
    inside: bool,
}

/// One part of the window, about a second long.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Answers by the model that arrived in it.
    pub ok: u64,
    /// Latency, in microseconds, of those among them that were sent inside the window.
    pub latency: Histogram<u64>,
}

/// Sums over the answers by the model that arrived inside the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Arrived {
    /// Answers.
    pub ok: u64,
    /// Batches they came in: each answer says of how many it was one.
    pub batches: f64,
    /// Microseconds: queued, away, waited, predicting, replying, as in [`Timing`].
    pub micros: [u64; 5],
}

/// The counts of one client, or of several put together.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The queries that were sent inside the window, by what became of them.
    pub totals: Totals,
    /// Those that were sent before it.
    pub warm_up: Totals,
    /// In microseconds, of the queries that were sent inside the window and answered by the model.
    pub latency: Histogram<u64>,
    /// What arrived inside the window.
    pub arrived: Arrived,
    /// The same in parts; see [`Span::slices`].
    pub slices: Vec<Slice>,
    /// What the first answer that was not the model's gave as its reason.
    pub first_reason: Option<String>,
    /// What the model answered, by the number of the input, where each input is sent once; else empty.
    pub outputs: Vec<(usize, Output)>,
}

impl Span {
    /// True if `at` is inside.
    pub fn contains(&self, at: Instant) -> bool {
        self.opens <= at && at < self.closes
    }

    /// The length.
    pub fn length(&self) -> Duration {
        self.closes - self.opens
    }

    /// Into how many equal slices of a second or more the window is cut.
    pub fn slices(&self) -> usize {
        (self.length().as_secs() as usize).max(1)
    }

    fn slice(&self, at: Instant) -> usize {
        let share = (at - self.opens).as_secs_f64() / self.length().as_secs_f64();
        ((share * self.slices() as f64) as usize).min(self.slices() - 1)
    }
}

impl Sent {
    /// How long it has been in flight.
    pub fn until(&self, now: Instant) -> Duration {
        now - self.at
    }
}

impl Totals {
    /// The counts of several clients, who all saw the same time.
    fn add(&mut self, other: &Totals) {
        self.sent += other.sent;
        self.ok += other.ok;
        self.default += other.default;
        self.timeout += other.timeout;
        self.error += other.error;
        self.cancelled += other.cancelled;
    }
}

impl Tally {
    /// Nothing yet.
    pub fn new() -> Tally {
        Tally {
            totals: Totals::default(),
            warm_up: Totals::default(),
            latency: histogram(),
            arrived: Arrived::default(),
            slices: Vec::new(),
            first_reason: None,
            outputs: Vec::new(),
        }
    }

    /// Counts a query, sent at `now`. What becomes of it is told by [`answered`](Tally::answered) or
    /// [`unanswered`](Tally::unanswered).
    pub fn sent(&mut self, span: &Span, now: Instant) -> Sent {
        let sent = Sent {
            at: now,
            inside: span.contains(now),
        };
        self.totals_of(sent).sent += 1;
        sent
    }

    /// Counts the answer, come at `now`, to the query `sent`.
    pub fn answered(&mut self, span: &Span, sent: Sent, now: Instant, answer: &Answer<'_>) {
        let ok = answer.status == Status::Ok;
        let micros = sent.until(now).as_micros();
        let micros = u64::try_from(micros).expect("less than 500,000 years");
        let totals = self.totals_of(sent);
        match answer.status {
            Status::Ok => totals.ok += 1,
            Status::Default => totals.default += 1,
            Status::Refused | Status::Error => totals.error += 1,
        }
        if !ok && self.first_reason.is_none() {
            self.first_reason = Some(answer.reason.to_owned());
        }
        if ok && sent.inside {
            record(&mut self.latency, micros);
        }
        if ok && span.contains(now) {
            self.arrived.add(&answer.timing);
            let slice = self.slice(span.slice(now));
            slice.ok += 1;
            if sent.inside {
                record(&mut slice.latency, micros);
            }
        }
    }

    /// Counts the query `sent` as one that got no answer; `stopped` tells whether the iteration was ended before it.
    pub fn unanswered(&mut self, sent: Sent, stopped: bool) {
        let totals = self.totals_of(sent);
        match stopped {
            true => totals.cancelled += 1,
            false => totals.timeout += 1,
        }
    }

    /// Adds what another client counted.
    pub fn merge(&mut self, other: Tally) {
        self.totals.add(&other.totals);
        self.warm_up.add(&other.warm_up);
        merge(&mut self.latency, &other.latency);
        self.arrived.ok += other.arrived.ok;
        self.arrived.batches += other.arrived.batches;
        for (mine, theirs) in self.arrived.micros.iter_mut().zip(other.arrived.micros) {
            *mine += theirs;
        }
        for (index, theirs) in other.slices.iter().enumerate() {
            let mine = self.slice(index);
            mine.ok += theirs.ok;
            merge(&mut mine.latency, &theirs.latency);
        }
        self.first_reason = self.first_reason.take().or(other.first_reason);
        self.outputs.extend(other.outputs);
    }

    /// Slice number `index`, made when it is first asked for.
    pub fn slice(&mut self, index: usize) -> &mut Slice {
        while self.slices.len() <= index {
            self.slices.push(Slice {
                ok: 0,
                latency: histogram(),
            });
        }
        &mut self.slices[index]
    }

    fn totals_of(&mut self, sent: Sent) -> &mut Totals {
        match sent.inside {
            true => &mut self.totals,
            false => &mut self.warm_up,
        }
    }
}

impl Default for Tally {
    fn default() -> Tally {
        Tally::new()
    }
}

impl Arrived {
    fn add(&mut self, timing: &Timing) {
        self.ok += 1;
        // Only an answer that did not come out of a batch says zero.
        self.batches += f64::from(timing.batch_size.max(1)).recip();
        let micros = [
            timing.queued,
            timing.away,
            timing.waited,
            timing.predicting,
            timing.replying,
        ];
        for (sum, value) in self.micros.iter_mut().zip(micros) {
            *sum = sum.saturating_add(value);
        }
    }
}

/// Microseconds to three figures, growing with what it holds.
fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three figures are a precision that there is")
}

fn record(into: &mut Histogram<u64>, micros: u64) {
    into.record(micros).expect("it grows with what it holds");
}

fn merge(into: &mut Histogram<u64>, from: &Histogram<u64>) {
    into.add(from).expect("it grows with what it holds");
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::DataType;

    fn span(seconds: u64) -> Span {
        let opens = Instant::now() + Duration::from_secs(100);
        Span {
            opens,
            closes: opens + Duration::from_secs(seconds),
        }
    }

    fn answer(status: Status, batch_size: u32) -> Answer<'static> {
        Answer {
            session: 0,
            request_id: 0,
            status,
            reason: "because",
            output_type: DataType::Floats,
            output: &[],
            timing: Timing {
                batch_size,
                queued: 5,
                predicting: 7,
                ..Timing::default()
            },
            lineage: wire::query::Lineage::default(),
        }
    }

    #[test]
    fn known_latencies_give_known_percentiles() {
        let span = span(10);
        let mut tally = Tally::new();
        for millis in 1..=1000 {
            let now = span.opens + Duration::from_millis(millis);
            let sent = tally.sent(&span, span.opens);
            tally.answered(&span, sent, now, &answer(Status::Ok, 1));
        }
        let at = |q| tally.latency.value_at_quantile(q) as f64 / 1e3;
        // Three figures: to one part in a thousand.
        for (quantile, millis) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (1.0, 1000.0)] {
            assert!(
                (at(quantile) / millis - 1.0).abs() < 1e-3,
                "{quantile}: {}",
                at(quantile)
            );
        }
        assert!((tally.latency.mean() / 500_500.0 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn queries_are_counted_by_when_they_were_sent_and_answers_by_when_they_came() {
        let span = span(10);
        let at = |seconds: i64| match u64::try_from(seconds) {
            Ok(after) => span.opens + Duration::from_secs(after),
            Err(_) => span.opens - Duration::from_secs(seconds.unsigned_abs()),
        };
        let mut tally = Tally::new();
        let ok = answer(Status::Ok, 1);
        // Both before, the answer inside, both inside, the query inside.
        for (sent, answered) in [(-2, -1), (-1, 1), (1, 2), (9, 10)] {
            let sent = tally.sent(&span, at(sent));
            tally.answered(&span, sent, at(answered), &ok);
        }
        assert_eq!((tally.totals.sent, tally.totals.ok), (2, 2));
        assert_eq!((tally.warm_up.sent, tally.warm_up.ok), (2, 2));
        assert_eq!(tally.latency.len(), 2);
        assert_eq!(tally.arrived.ok, 2);
        assert_eq!(tally.slices.iter().map(|s| s.ok).sum::<u64>(), 2);
        assert_eq!(tally.slices.iter().map(|s| s.latency.len()).sum::<u64>(), 1);
    }

    #[test]
    fn a_query_stays_what_it_was_when_sent_even_if_the_window_opens_later() {
        let unopened = span(0);
        let mut tally = Tally::new();
        let [answered, lost, cancelled] = [(); 3].map(|()| tally.sent(&unopened, Instant::now()));
        // The window that is known now contains the moment at which they were sent.
        let opened = Span {
            opens: answered.at,
            ..unopened
        };
        let now = answered.at + Duration::from_secs(1);
        tally.answered(&opened, answered, now, &answer(Status::Error, 1));
        tally.unanswered(lost, false);
        tally.unanswered(cancelled, true);
        assert_eq!(tally.totals, Totals::default());
        let totals = tally.warm_up;
        assert_eq!((totals.sent, totals.error), (3, 1));
        assert_eq!((totals.timeout, totals.cancelled), (1, 1));
        assert_eq!(tally.first_reason.as_deref(), Some("because"));
    }

    #[test]
    fn only_the_models_answers_count_as_throughput_and_latency() {
        let span = span(10);
        let mut tally = Tally::new();
        for status in [Status::Ok, Status::Default, Status::Refused, Status::Error] {
            let now = span.opens + Duration::from_secs(1);
            let sent = tally.sent(&span, span.opens);
            tally.answered(&span, sent, now, &answer(status, 1));
        }
        let totals = tally.totals;
        assert_eq!((totals.ok, totals.default, totals.error), (1, 1, 2));
        assert_eq!((tally.latency.len(), tally.arrived.ok), (1, 1));
        assert_eq!(tally.first_reason.as_deref(), Some("because"));
    }

    #[test]
    fn slices_sum_to_the_window_and_merging_adds_everything_up() {
        let span = span(3);
        let client = |offsets: &[u64]| {
            let mut tally = Tally::new();
            for &millis in offsets {
                let sent = tally.sent(&span, span.opens);
                let now = span.opens + Duration::from_millis(millis);
                tally.answered(&span, sent, now, &answer(Status::Ok, 4));
            }
            tally
        };
        let mut all = Tally::new();
        all.merge(client(&[100, 2_999]));
        all.merge(client(&[200, 999, 1_000]));
        assert_eq!(span.slices(), 3);
        let slices: Vec<_> = all.slices.iter().map(|slice| slice.ok).collect();
        assert_eq!(slices, [3, 1, 1]);
        assert_eq!((all.totals.sent, all.totals.ok, all.arrived.ok), (5, 5, 5));
        assert_eq!(all.latency.len(), 5);
        assert_eq!(all.arrived.batches, 5.0 / 4.0);
        assert_eq!(all.arrived.micros, [25, 0, 0, 35, 0]);
    }
}
