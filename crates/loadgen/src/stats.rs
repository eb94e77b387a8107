//! What became of the queries, counted so that nothing is dropped and nothing counted twice.
//!
//! Two questions, two populations. *What became of the queries?* looks at those sent inside the measured window,
//! whenever they were answered: [`Totals`] and latency; those sent before it have totals of their own, so that none is
//! lost unseen. *How fast did answers come?* looks at the answers that arrived inside the window, whenever they were
//! asked for: throughput, batches and where the time went. A saturated queue has as many answers to earlier queries at
//! the window's opening as it owes at its close.
//!
//! A query is *intended* at a time, and sent then or later: in an open loop a late client does not make the system look
//! faster. Latency, the time in flight and whether a query belongs to the window all count from the intended time.

pub mod interval;
mod span;

pub use span::Span;

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use model::Output;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::query::{Answer, Status, Timing};

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
    /// Not answered when the drain of an overloaded open loop ended, or when the iteration was stopped before its end.
    pub cancelled: u64,
    /// Length of that time in seconds.
    pub seconds: f64,
}

/// A query that is in flight. Whether it belongs to the window is decided once, when it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    intended: Instant,
    inside: bool,
}

/// One part of the window, a second long or a little more.
#[derive(Clone, Debug)]
pub struct Slice {
    /// What arrived in it.
    pub arrived: Arrived,
    /// Latency, in microseconds, of those among them that were sent inside the window.
    pub latency: Histogram<u64>,
}

/// Sums over the answers by the model that arrived inside the window, or inside a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Arrived {
    /// Answers.
    pub ok: u64,
    /// Those among them that came within the objective; all, without one.
    pub good: u64,
    /// Batches they came in: each answer says of how many it was one.
    pub batches: f64,
    /// Where the time of these answers went.
    pub micros: TimeSums,
}

/// Sums in microseconds, as in [`Timing`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeSums {
    /// In the frontend, until the batch was sent.
    pub queued: u64,
    /// From then until the batch's response came back.
    pub away: u64,
    /// In the model server, until the model began.
    pub waited: u64,
    /// While the model computed.
    pub predicting: u64,
    /// From the model's end until the response was sent.
    pub replying: u64,
}

/// What the model answered to an input.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptOutput {
    /// The number of the input.
    pub input: usize,
    /// The model's output.
    pub output: Output,
}

/// A part of the window that is over.
#[derive(Clone, Debug)]
pub struct NumberedSlice {
    /// Its number in the window, from 0.
    pub number: usize,
    /// What was counted in it.
    pub slice: Slice,
}

/// The counts of one client, or of several put together.
#[derive(Clone, Debug)]
pub struct Tally {
    objective: Duration,
    /// The queries that were sent inside the window, by what became of them.
    pub totals: Totals,
    /// Those that were sent before it.
    pub warm_up: Totals,
    /// In microseconds, of the queries that were sent inside the window and answered by the model.
    pub latency: Histogram<u64>,
    /// How late they were sent, in microseconds.
    pub lag: Histogram<u64>,
    /// The time in flight inside the window, of all queries together.
    pub in_flight: Duration,
    /// What arrived inside the window.
    pub arrived: Arrived,
    /// The same in parts, from number [`taken`](Tally::taken) on.
    pub slices: Vec<Slice>,
    taken: usize,
    /// What the first answer that was not the model's gave as its reason.
    pub first_reason: Option<String>,
    /// What the model answered, where each input is sent once; else empty.
    pub outputs: Vec<KeptOutput>,
}

impl Sent {
    /// How long ago it was to be sent.
    pub fn until(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.intended)
    }
}

impl Totals {
    /// Adds other queries, sent in another time.
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
    /// Nothing yet. Answers within the objective are good ones; without one all are.
    pub fn new(objective: Option<Duration>) -> Tally {
        Tally {
            objective: objective.unwrap_or(Duration::MAX),
            totals: Totals::default(),
            warm_up: Totals::default(),
            latency: histogram(),
            lag: histogram(),
            in_flight: Duration::ZERO,
            arrived: Arrived::default(),
            slices: Vec::new(),
            taken: 0,
            first_reason: None,
            outputs: Vec::new(),
        }
    }

    /// Counts a query that was to be sent at `intended` and is sent at `now`. What becomes of it is told by
    /// [`answered`](Tally::answered) or [`unanswered`](Tally::unanswered).
    pub fn sent(&mut self, span: &Span, intended: Instant, now: Instant) -> Sent {
        let inside = span.contains(intended);
        let sent = Sent { intended, inside };
        self.totals_of(sent).sent += 1;
        if inside {
            record(&mut self.lag, micros(sent.until(now)));
        }
        sent
    }

    /// Counts the answer, come at `now`, to the query `sent`.
    pub fn answered(&mut self, span: &Span, sent: Sent, now: Instant, answer: &Answer<'_>) {
        let ok = answer.status == Status::Ok;
        let latency = sent.until(now);
        self.in_flight += span.overlap(sent.intended, now);
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

    /// Counts the query `sent` as one that has had no answer until `now`; `stopped` tells whether the phase was ended
    /// before it.
    pub fn unanswered(&mut self, span: &Span, sent: Sent, now: Instant, stopped: bool) {
        self.in_flight += span.overlap(sent.intended, now);
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
        merge(&mut self.lag, &other.lag);
        self.in_flight += other.in_flight;
        self.arrived.merge(&other.arrived);
        for (index, slice) in other.slices.iter().enumerate() {
            self.slice(other.taken + index).merge(slice);
        }
        self.first_reason = self.first_reason.take().or(other.first_reason);
        self.outputs.extend(other.outputs);
    }

    /// Slice number `index`, made when it is first asked for; it may not have been taken away.
    pub fn slice(&mut self, index: usize) -> &mut Slice {
        let index = index - self.taken;
        while self.slices.len() <= index {
            self.slices.push(Slice {
                arrived: Arrived::default(),
                latency: histogram(),
            });
        }
        &mut self.slices[index]
    }

    /// How many slices have been taken away.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Takes the slices before number `end` away, in which nothing will be counted any more; each with its number.
    pub fn take_slices(&mut self, end: usize) -> Vec<NumberedSlice> {
        let first = self.taken;
        self.taken = end.max(first);
        let count = (self.taken - first).min(self.slices.len());
        let slices = (first..).zip(self.slices.drain(..count));
        slices
            .map(|(number, slice)| NumberedSlice { number, slice })
            .collect()
    }

    fn totals_of(&mut self, sent: Sent) -> &mut Totals {
        match sent.inside {
            true => &mut self.totals,
            false => &mut self.warm_up,
        }
    }
}

impl Slice {
    /// Adds what another client counted in the same slice.
    pub fn merge(&mut self, other: &Slice) {
        self.arrived.merge(&other.arrived);
        merge(&mut self.latency, &other.latency);
    }
}

impl Arrived {
    /// The mean size of their batches; `None` without any.
    pub fn mean_batch(&self) -> Option<f64> {
        (self.ok > 0).then(|| self.ok as f64 / self.batches)
    }

    fn merge(&mut self, other: &Arrived) {
        self.ok += other.ok;
        self.good += other.good;
        self.batches += other.batches;
        self.micros.add(&other.micros);
    }

    fn add(&mut self, timing: &Timing) {
        self.ok += 1;
        // Only an answer that did not come out of a batch says zero.
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

/// Microseconds to three figures, growing with what it holds.
fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three figures are a precision that there is")
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
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
        Span::new(opens, opens + Duration::from_secs(seconds))
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
        let mut tally = Tally::new(None);
        for millis in 1..=1000 {
            let now = span.opens + Duration::from_millis(millis);
            let sent = tally.sent(&span, span.opens, span.opens);
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
        let mut tally = Tally::new(None);
        let ok = answer(Status::Ok, 1);
        // Both before, the answer inside, both inside, the query inside.
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
    fn a_query_stays_what_it_was_when_sent_even_if_the_window_opens_later() {
        let unopened = span(0);
        let mut tally = Tally::new(None);
        let at = Instant::now();
        let [answered, lost, cancelled] = [(); 3].map(|()| tally.sent(&unopened, at, at));
        // The window that is known now contains the moment at which they were sent.
        let opened = Span::new(at, unopened.closes);
        let now = at + Duration::from_secs(1);
        tally.answered(&opened, answered, now, &answer(Status::Error, 1));
        tally.unanswered(&opened, lost, now, false);
        tally.unanswered(&opened, cancelled, now, true);
        assert_eq!(tally.totals, Totals::default());
        let totals = tally.warm_up;
        assert_eq!((totals.sent, totals.error), (3, 1));
        assert_eq!((totals.timeout, totals.cancelled), (1, 1));
        assert_eq!(tally.first_reason.as_deref(), Some("because"));
    }

    #[test]
    fn only_the_models_answers_count_as_throughput_and_latency() {
        let span = span(10);
        let mut tally = Tally::new(None);
        for status in [Status::Ok, Status::Default, Status::Refused, Status::Error] {
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
    fn slices_sum_to_the_window_and_merging_adds_everything_up() {
        let span = span(3);
        let client = |offsets: &[u64]| {
            let mut tally = Tally::new(None);
            for &millis in offsets {
                let sent = tally.sent(&span, span.opens, span.opens);
                let now = span.opens + Duration::from_millis(millis);
                tally.answered(&span, sent, now, &answer(Status::Ok, 4));
            }
            tally
        };
        let mut all = Tally::new(None);
        all.merge(client(&[100, 2_999]));
        // What a client has handed over before its end arrives by itself.
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
    fn latency_counts_from_the_intended_time_and_the_delay_of_the_send_is_the_lag() {
        let span = span(10);
        let mut tally = Tally::new(Some(Duration::from_millis(25)));
        let at = |millis| span.opens + Duration::from_millis(millis);
        for (intended, sent, answered) in [(100, 100, 120), (200, 210, 230)] {
            let sent = tally.sent(&span, at(intended), at(sent));
            tally.answered(&span, sent, at(answered), &answer(Status::Ok, 1));
        }
        // 20 ms in the system each, but the second was to be sent 10 ms earlier.
        assert_eq!((tally.latency.min(), tally.lag.min()), (20_000, 0));
        let about = |micros: u64, expected: u64| micros.abs_diff(expected) <= expected / 1000;
        assert!(about(tally.latency.max(), 30_000) && about(tally.lag.max(), 10_000));
        assert_eq!((tally.arrived.ok, tally.arrived.good), (2, 1));
    }

    #[test]
    fn time_in_flight_counts_inside_the_window_only_whatever_becomes_of_the_query() {
        let span = span(10);
        let before = span.opens - Duration::from_secs(1);
        let mut tally = Tally::new(None);
        let early = tally.sent(&span, before, before);
        let second = span.opens + Duration::from_secs(2);
        tally.answered(&span, early, second, &answer(Status::Ok, 1));
        let ninth = span.opens + Duration::from_secs(9);
        let lost = tally.sent(&span, ninth, ninth);
        tally.unanswered(&span, lost, span.closes + Duration::from_secs(30), false);
        assert_eq!(tally.in_flight, Duration::from_secs(2 + 1));
        // While the window is not open, there is none.
        let mut tally = Tally::new(None);
        let unopened = Span::unopened(span.closes);
        let sent = tally.sent(&unopened, before, before);
        tally.answered(&unopened, sent, second, &answer(Status::Ok, 1));
        assert_eq!(tally.in_flight, Duration::ZERO);
    }
}
