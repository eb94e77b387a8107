//! Counts of a load. Every query is counted exactly once.
//!
//! There are two populations:
//!
//! - Queries sent inside the measured window, whenever they are answered, give [`Totals`] and
//!   latency. Queries sent before it have totals of their own, so that every query is accounted
//!   for.
//! - Answers that arrive inside the window, whenever their queries were sent, give throughput,
//!   batch sizes and the time breakdown. With a saturated queue, answers to earlier queries at the
//!   opening balance those missing at the close.
//!
//! A query has an *intended* send time, and is sent then or later. Latency, time in flight and
//! membership in the window all count from the intended time: in an open loop a late client does
//! not make the system look faster.

pub mod interval;
mod span;

pub use span::Span;

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use model::Output;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::query::{Answer, AnswerStatus, Timing};

/// Queries sent during some period, by how they ended: `sent` is the sum of the five counts that
/// follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Queries sent.
    pub sent: u64,
    /// Queries answered by the model.
    pub ok: u64,
    /// Queries answered with the default output.
    pub default: u64,
    /// Queries without an answer when the drain ended because no more answers arrived.
    pub timeout: u64,
    /// Queries answered with an error: refused, or the model failed.
    pub error: u64,
    /// Queries without an answer when the drain of an overloaded open loop ended, or when the load
    /// was stopped early.
    pub cancelled: u64,
    /// Length of the period in seconds.
    pub seconds: f64,
}

/// Query in flight. Its membership in the window is decided once, when it is sent.
#[derive(Clone, Copy, Debug)]
pub struct SentQuery {
    intended: Instant,
    inside: bool,
}

/// Slice of the window, a second long or a little more.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Sums over the answers that arrived in the slice.
    pub arrived: AnswerSums,
    /// Latency, in microseconds, of those answers whose queries were sent inside the window.
    pub latency: Histogram<u64>,
}

/// Sums over the model's answers that arrived inside the window, or inside a slice of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AnswerSums {
    /// Number of answers.
    pub ok: u64,
    /// Answers within the latency objective; all of them without an objective.
    pub good: u64,
    /// Number of batches: each answer adds one over the size of its batch.
    pub batches: f64,
    /// Time breakdown of the answers.
    pub micros: TimeSums,
}

/// Sums of the fields of [`Timing`], in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeSums {
    /// Time in the frontend until the batch was sent.
    pub queued: u64,
    /// Time from then until the batch's response arrived.
    pub away: u64,
    /// Time in the model server until the model began.
    pub waited: u64,
    /// Computing time of the model.
    pub predicting: u64,
    /// Time from the model's end until the response was sent.
    pub replying: u64,
}

/// Output of the model for one input.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptOutput {
    /// Number of the input.
    pub input: usize,
    /// Output of the model.
    pub output: Output,
}

/// Slice of the window with its number.
#[derive(Clone, Debug)]
pub struct NumberedSlice {
    /// Number in the window, from 0.
    pub number: usize,
    /// Counts of the slice.
    pub slice: Slice,
}

/// Counts of one client, or of several merged.
#[derive(Clone, Debug)]
pub struct Tally {
    objective: Duration,
    /// Queries sent inside the window.
    pub totals: Totals,
    /// Queries sent before the window.
    pub warm_up: Totals,
    /// Latency, in microseconds, of the queries sent inside the window and answered by the model.
    pub latency: Histogram<u64>,
    /// Delay of the sends inside the window after their intended times, in microseconds.
    pub lag: Histogram<u64>,
    /// Sum over all queries of the time in flight inside the window.
    pub in_flight: Duration,
    /// Sums over the answers that arrived inside the window.
    pub arrived: AnswerSums,
    /// The same by slice, from number [`taken`](Tally::taken) on.
    pub slices: Vec<Slice>,
    taken: usize,
    /// Reason in the first answer that was not the model's.
    pub first_reason: Option<String>,
    /// Outputs of the model if each input is sent once; otherwise empty.
    pub outputs: Vec<KeptOutput>,
}

impl SentQuery {
    /// Returns the time from the intended send until `now`.
    pub fn until(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.intended)
    }
}

impl Totals {
    /// Adds the queries of another period.
    pub fn add(&mut self, other: &Totals) {
        self.sent += other.sent;
        self.ok += other.ok;
        self.default += other.default;
        self.timeout += other.timeout;
        self.error += other.error;
        self.cancelled += other.cancelled;
        self.seconds += other.seconds;
    }
}

impl Tally {
    /// Creates empty counts. Answers within `objective` count as goodput; without one, all do.
    pub fn new(objective: Option<Duration>) -> Tally {
        Tally {
            objective: objective.unwrap_or(Duration::MAX),
            totals: Totals::default(),
            warm_up: Totals::default(),
            latency: histogram(),
            lag: histogram(),
            in_flight: Duration::ZERO,
            arrived: AnswerSums::default(),
            slices: Vec::new(),
            taken: 0,
            first_reason: None,
            outputs: Vec::new(),
        }
    }

    /// Counts a query that was intended at `intended` and is sent at `now`. Exactly one call of
    /// [`answered`](Tally::answered) or [`unanswered`](Tally::unanswered) must follow.
    pub fn sent(&mut self, span: &Span, intended: Instant, now: Instant) -> SentQuery {
        let inside = span.contains(intended);
        let sent = SentQuery { intended, inside };
        self.totals_of(sent).sent += 1;
        if inside {
            record(&mut self.lag, micros(sent.until(now)));
        }
        sent
    }

    /// Counts an answer to `sent` that arrived at `now`.
    pub fn answered(&mut self, span: &Span, sent: SentQuery, now: Instant, answer: &Answer<'_>) {
        let ok = answer.status == AnswerStatus::Ok;
        let latency = sent.until(now);
        self.in_flight += span.overlap(sent.intended, now);
        let totals = self.totals_of(sent);
        match answer.status {
            AnswerStatus::Ok => totals.ok += 1,
            AnswerStatus::Default => totals.default += 1,
            AnswerStatus::Refused | AnswerStatus::Error => totals.error += 1,
        }
        if !ok && self.first_reason.is_none() {
            self.first_reason = Some(answer.reason.to_owned());
        }
        if ok && sent.inside {
            record(&mut self.latency, micros(latency));
        }
        if ok && span.contains(now) {
            let objective = self.objective;
            self.arrived.add(&answer.timing);
            self.arrived.good += u64::from(latency <= objective);
            let slice = self.slice(span.slice_at(now));
            slice.arrived.add(&answer.timing);
            slice.arrived.good += u64::from(latency <= objective);
            if sent.inside {
                record(&mut slice.latency, micros(latency));
            }
        }
    }

    /// Counts `sent` as a query without an answer at `now`: cancelled if the load was `stopped`,
    /// else timed out.
    pub fn unanswered(&mut self, span: &Span, sent: SentQuery, now: Instant, stopped: bool) {
        self.in_flight += span.overlap(sent.intended, now);
        let totals = self.totals_of(sent);
        match stopped {
            true => totals.cancelled += 1,
            false => totals.timeout += 1,
        }
    }

    /// Adds the counts of another client.
    pub fn merge(&mut self, other: Tally) {
        self.totals.add(&other.totals);
        self.warm_up.add(&other.warm_up);
        merge(&mut self.latency, &other.latency);
        merge(&mut self.lag, &other.lag);
        self.in_flight += other.in_flight;
        self.arrived.merge(&other.arrived);
        for (index, slice) in other.slices.iter().enumerate() {
            self.slice(other.taken + index).merge(slice);
        }
        self.first_reason = self.first_reason.take().or(other.first_reason);
        self.outputs.extend(other.outputs);
    }

    /// Returns slice number `index` and creates it if necessary; it must not have been taken.
    pub fn slice(&mut self, index: usize) -> &mut Slice {
        let index = index - self.taken;
        while self.slices.len() <= index {
            self.slices.push(Slice {
                arrived: AnswerSums::default(),
                latency: histogram(),
            });
        }
        &mut self.slices[index]
    }

    /// Returns the number of slices that have been taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Takes the slices before number `end`, in which nothing more will be counted.
    pub fn take_slices(&mut self, end: usize) -> Vec<NumberedSlice> {
        let first = self.taken;
        self.taken = end.max(first);
        let count = (self.taken - first).min(self.slices.len());
        let slices = (first..).zip(self.slices.drain(..count));
        slices
            .map(|(number, slice)| NumberedSlice { number, slice })
            .collect()
    }

    fn totals_of(&mut self, sent: SentQuery) -> &mut Totals {
        match sent.inside {
            true => &mut self.totals,
            false => &mut self.warm_up,
        }
    }
}

impl Slice {
    /// Adds the counts of another client in the same slice.
    pub fn merge(&mut self, other: &Slice) {
        self.arrived.merge(&other.arrived);
        merge(&mut self.latency, &other.latency);
    }
}

impl AnswerSums {
    /// Returns the mean batch size; `None` without answers.
    pub fn mean_batch(&self) -> Option<f64> {
        (self.ok > 0).then(|| self.ok as f64 / self.batches)
    }

    fn merge(&mut self, other: &AnswerSums) {
        self.ok += other.ok;
        self.good += other.good;
        self.batches += other.batches;
        self.micros.add(&other.micros);
    }

    fn add(&mut self, timing: &Timing) {
        self.ok += 1;
        // The batch size is zero for an answer without a batch.
        self.batches += f64::from(timing.batch_size.max(1)).recip();
        self.micros.add(&TimeSums {
            queued: timing.queued,
            away: timing.away,
            waited: timing.waited,
            predicting: timing.predicting,
            replying: timing.replying,
        });
    }
}

impl TimeSums {
    fn add(&mut self, other: &TimeSums) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.queued, other.queued);
        add(&mut self.away, other.away);
        add(&mut self.waited, other.waited);
        add(&mut self.predicting, other.predicting);
        add(&mut self.replying, other.replying);
    }
}

/// Creates a histogram of microseconds with three significant digits that grows with its values.
fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three significant digits are a valid precision")
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn record(into: &mut Histogram<u64>, micros: u64) {
    into.record(micros)
        .expect("the histogram grows with its values");
}

fn merge(into: &mut Histogram<u64>, from: &Histogram<u64>) {
    into.add(from).expect("the histogram grows with its values");
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::DataType;

    fn span(seconds: u64) -> Span {
        let opens = Instant::now() + Duration::from_secs(100);
        Span::new(opens, opens + Duration::from_secs(seconds))
    }

    fn answer(status: AnswerStatus, batch_size: u32) -> Answer<'static> {
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
        let mut tally = Tally::new(None);
        for millis in 1..=1000 {
            let now = span.opens + Duration::from_millis(millis);
            let sent = tally.sent(&span, span.opens, span.opens);
            tally.answered(&span, sent, now, &answer(AnswerStatus::Ok, 1));
        }
        let at = |q| tally.latency.value_at_quantile(q) as f64 / 1e3;
        // Three significant digits are exact to one part in a thousand.
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
    fn queries_count_by_send_time_and_answers_by_arrival_time() {
        let span = span(10);
        let at = |seconds: i64| match u64::try_from(seconds) {
            Ok(after) => span.opens + Duration::from_secs(after),
            Err(_) => span.opens - Duration::from_secs(seconds.unsigned_abs()),
        };
        let mut tally = Tally::new(None);
        let ok = answer(AnswerStatus::Ok, 1);
        // Both before the window, the answer inside, both inside, the query inside.
        for (sent, answered) in [(-2, -1), (-1, 1), (1, 2), (9, 10)] {
            let sent = tally.sent(&span, at(sent), at(sent));
            tally.answered(&span, sent, at(answered), &ok);
        }
        assert_eq!((tally.totals.sent, tally.totals.ok), (2, 2));
        assert_eq!((tally.warm_up.sent, tally.warm_up.ok), (2, 2));
        assert_eq!(tally.latency.len(), 2);
        assert_eq!(tally.arrived.ok, 2);
        assert_eq!(tally.slices.iter().map(|s| s.arrived.ok).sum::<u64>(), 2);
        assert_eq!(tally.slices.iter().map(|s| s.latency.len()).sum::<u64>(), 1);
    }

    #[test]
    fn window_membership_is_decided_at_the_send() {
        let unopened = span(0);
        let mut tally = Tally::new(None);
        let at = Instant::now();
        let [answered, lost, cancelled] = [(); 3].map(|()| tally.sent(&unopened, at, at));
        // The window that is opened now contains their send time.
        let opened = Span::new(at, unopened.closes);
        let now = at + Duration::from_secs(1);
        tally.answered(&opened, answered, now, &answer(AnswerStatus::Error, 1));
        tally.unanswered(&opened, lost, now, false);
        tally.unanswered(&opened, cancelled, now, true);
        assert_eq!(tally.totals, Totals::default());
        let totals = tally.warm_up;
        assert_eq!((totals.sent, totals.error), (3, 1));
        assert_eq!((totals.timeout, totals.cancelled), (1, 1));
        assert_eq!(tally.first_reason.as_deref(), Some("because"));
    }

    #[test]
    fn only_model_answers_count_as_throughput_and_latency() {
        let span = span(10);
        let mut tally = Tally::new(None);
        for status in [
            AnswerStatus::Ok,
            AnswerStatus::Default,
            AnswerStatus::Refused,
            AnswerStatus::Error,
        ] {
            let now = span.opens + Duration::from_secs(1);
            let sent = tally.sent(&span, span.opens, span.opens);
            tally.answered(&span, sent, now, &answer(status, 1));
        }
        let totals = tally.totals;
        assert_eq!((totals.ok, totals.default, totals.error), (1, 1, 2));
        assert_eq!((tally.latency.len(), tally.arrived.ok), (1, 1));
        assert_eq!(tally.first_reason.as_deref(), Some("because"));
    }

    #[test]
    fn merged_slices_sum_to_the_window() {
        let span = span(3);
        let client = |offsets: &[u64]| {
            let mut tally = Tally::new(None);
            for &millis in offsets {
                let sent = tally.sent(&span, span.opens, span.opens);
                let now = span.opens + Duration::from_millis(millis);
                tally.answered(&span, sent, now, &answer(AnswerStatus::Ok, 4));
            }
            tally
        };
        let mut all = Tally::new(None);
        all.merge(client(&[100, 2_999]));
        // Slices that a client has already reported arrive separately.
        let mut second = client(&[200, 999, 1_001]);
        for NumberedSlice { number, slice } in second.take_slices(2) {
            all.slice(number).merge(&slice);
        }
        all.merge(second);
        assert_eq!(span.slices(), 3);
        let slices: Vec<_> = all.slices.iter().map(|slice| slice.arrived.ok).collect();
        assert_eq!(slices, [3, 1, 1]);
        assert_eq!((all.totals.sent, all.totals.ok, all.arrived.ok), (5, 5, 5));
        assert_eq!(all.latency.len(), 5);
        assert_eq!(all.arrived.batches, 5.0 / 4.0);
        let micros = all.arrived.micros;
        assert_eq!((micros.queued, micros.predicting), (25, 35));
        assert_eq!((micros.away, micros.waited, micros.replying), (0, 0, 0));
    }

    #[test]
    fn latency_counts_from_the_intended_time() {
        let span = span(10);
        let mut tally = Tally::new(Some(Duration::from_millis(25)));
        let at = |millis| span.opens + Duration::from_millis(millis);
        for (intended, sent, answered) in [(100, 100, 120), (200, 210, 230)] {
            let sent = tally.sent(&span, at(intended), at(sent));
            tally.answered(&span, sent, at(answered), &answer(AnswerStatus::Ok, 1));
        }
        // Each is in the system for 20 ms, but the second was intended 10 ms earlier.
        assert_eq!((tally.latency.min(), tally.lag.min()), (20_000, 0));
        let about = |micros: u64, expected: u64| micros.abs_diff(expected) <= expected / 1000;
        assert!(about(tally.latency.max(), 30_000) && about(tally.lag.max(), 10_000));
        assert_eq!((tally.arrived.ok, tally.arrived.good), (2, 1));
    }

    #[test]
    fn time_in_flight_counts_only_inside_the_window() {
        let span = span(10);
        let before = span.opens - Duration::from_secs(1);
        let mut tally = Tally::new(None);
        let early = tally.sent(&span, before, before);
        let second = span.opens + Duration::from_secs(2);
        tally.answered(&span, early, second, &answer(AnswerStatus::Ok, 1));
        let ninth = span.opens + Duration::from_secs(9);
        let lost = tally.sent(&span, ninth, ninth);
        tally.unanswered(&span, lost, span.closes + Duration::from_secs(30), false);
        assert_eq!(tally.in_flight, Duration::from_secs(2 + 1));
        // Nothing counts while the window is not open.
        let mut tally = Tally::new(None);
        let unopened = Span::unopened(span.closes);
        let sent = tally.sent(&unopened, before, before);
        tally.answered(&unopened, sent, second, &answer(AnswerStatus::Ok, 1));
        assert_eq!(tally.in_flight, Duration::ZERO);
    }
}
