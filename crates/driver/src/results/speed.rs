//! How fast a model serves, as an iteration has measured it.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::{
    load::Measured,
    stats::{Arrived, Slice, Tally, Totals},
};

/// Throughput, latency, and what explains them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Rates and latencies over the run.
    pub client_metrics: ClientMetrics,
    /// False if the measured window opened before every replica had answered some batches.
    pub warm: bool,
    /// What became of those queries that were sent before the window: nothing else here counts them, but none of them may
    /// fail either.
    pub warm_up: Totals,
    /// Answers by the model that arrived inside the window, over its length: queries a second.
    pub throughput_qps: f64,
    /// Of the queries that were sent inside the window and answered by the model; absent if there is none.
    pub latency: Option<Latency>,
    /// Mean size of the batches whose answers arrived inside the window; absent if there is none.
    pub mean_batch: Option<f64>,
    /// Number of those batches: a fraction where a batch was cut by the window's edge.
    pub batches: f64,
    /// Where the time of the answers that arrived inside the window went, in the mean; absent if there is none.
    pub time_breakdown: Option<TimeBreakdown>,
}

/// One entry per slice of the window, each a second long or a little more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientMetrics {
    /// Answers a second.
    pub thrus: Vec<f64>,
    /// 99th percentile of the latency in seconds; null where nothing was answered.
    pub p99_lats: Vec<Option<f64>>,
    /// Mean latency in seconds; null where nothing was answered.
    pub mean_lats: Vec<Option<f64>>,
}

/// Latency in milliseconds, from just before a query is sent until its answer has been received, on a monotonic clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// All of it: `[microseconds, queries]`, to three figures, ascending.
    pub histogram: Vec<(u64, u64)>,
}

/// Mean microseconds per query. The first two add up to its time in the frontend; the last three are a part of `away`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeBreakdown {
    /// In the frontend, until its batch was sent.
    pub queued: f64,
    /// From then until the batch's response came back.
    pub away: f64,
    /// In the model server, until the model began.
    pub waited: f64,
    /// While the model computed.
    pub predicting: f64,
    /// From the model's end until the response was sent.
    pub replying: f64,
}

impl Speed {
    /// Reads what a load has shown.
    pub fn new(measured: &mut Measured) -> Speed {
        let Measured { tally, span, warm } = measured;
        // Never zero: the rates of a window that did not open are zero.
        let seconds = tally.totals.seconds.max(f64::MIN_POSITIVE);
        let arrived = tally.arrived;
        Speed {
            client_metrics: ClientMetrics::new(tally, span.slices(), seconds),
            warm: *warm,
            warm_up: tally.warm_up,
            throughput_qps: arrived.ok as f64 / seconds,
            latency: Latency::new(&tally.latency),
            mean_batch: (arrived.ok > 0).then(|| arrived.ok as f64 / arrived.batches),
            batches: arrived.batches,
            time_breakdown: TimeBreakdown::new(&arrived),
        }
    }
}

impl ClientMetrics {
    /// Reads `count` slices, each `seconds` long; a slice that nobody has counted in is empty.
    pub fn new(tally: &mut Tally, count: usize, seconds: f64) -> ClientMetrics {
        let slices: Vec<&Slice> = match count.checked_sub(1) {
            Some(last) => {
                tally.slice(last);
                tally.slices.iter().collect()
            }
            None => Vec::new(),
        };
        let seconds_of = |micros: f64| micros / 1e6;
        let of = |slice: &Slice, read: &dyn Fn(&Histogram<u64>) -> f64| {
            (!slice.latency.is_empty()).then(|| seconds_of(read(&slice.latency)))
        };
        ClientMetrics {
            thrus: slices
                .iter()
                .map(|slice| slice.ok as f64 * count as f64 / seconds)
                .collect(),
            p99_lats: slices
                .iter()
                .map(|slice| of(slice, &|l| l.value_at_quantile(0.99) as f64))
                .collect(),
            mean_lats: slices
                .iter()
                .map(|slice| of(slice, &|l| l.mean()))
                .collect(),
        }
    }
}

impl Latency {
    /// Reads a histogram of microseconds; `None` if it is empty.
    pub fn new(micros: &Histogram<u64>) -> Option<Latency> {
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1e3;
        (!micros.is_empty()).then(|| Latency {
            mean: micros.mean() / 1e3,
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: micros.max() as f64 / 1e3,
            histogram: micros
                .iter_recorded()
                .map(|step| (step.value_iterated_to(), step.count_at_value()))
                .collect(),
        })
    }
}

impl TimeBreakdown {
    /// Means of the sums; `None` if nothing arrived.
    pub fn new(arrived: &Arrived) -> Option<TimeBreakdown> {
        let [queued, away, waited, predicting, replying] =
            arrived.micros.map(|sum| sum as f64 / arrived.ok as f64);
        (arrived.ok > 0).then_some(TimeBreakdown {
            queued,
            away,
            waited,
            predicting,
            replying,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_without_answers_is_a_rate_of_zero_and_no_latency() {
        let mut tally = Tally::new();
        tally.slice(1).ok = 10;
        tally.slice(1).latency.record(2_000_000).unwrap();
        let metrics = ClientMetrics::new(&mut tally, 4, 8.0);
        assert_eq!(metrics.thrus, [0.0, 5.0, 0.0, 0.0]);
        assert_eq!(metrics.mean_lats.len(), 4);
        assert_eq!(metrics.mean_lats[0], None);
        assert!((metrics.mean_lats[1].unwrap() - 2.0).abs() < 0.002);
        let text = serde_json::to_string(&metrics).unwrap();
        assert!(text.contains("\"thrus\":[0.0,5.0,0.0,0.0]"), "{text}");
    }

    #[test]
    fn nothing_answered_is_no_latency_and_no_breakdown() {
        let tally = Tally::new();
        assert_eq!(Latency::new(&tally.latency), None);
        assert_eq!(TimeBreakdown::new(&tally.arrived), None);
    }
}
