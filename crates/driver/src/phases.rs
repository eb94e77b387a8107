//! What a load has shown, read into a [`Phase`] of the result.

use hdrhistogram::Histogram;

use crate::{
    load::Measured,
    results::{
        Arrivals, ClientMetrics, Latency, Percentile, Phase, PhaseKind, TimeBreakdown, Window,
    },
    stats::{Arrived, Slice, Tally, interval},
};

/// The percentiles that are looked at.
const QUANTILES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

impl Phase {
    /// Reads what a load has shown.
    pub fn read(kind: PhaseKind, arrivals: Arrivals, measured: &mut Measured) -> Phase {
        let Measured { tally, span, warm } = measured;
        // Never zero: the rates of a window that did not open are zero.
        let seconds = tally.totals.seconds.max(f64::MIN_POSITIVE);
        let arrived = tally.arrived;
        let windows = windows(tally, span.slices(), seconds);
        Phase {
            kind,
            arrivals,
            opened_seconds: tally.warm_up.seconds,
            warm_up: tally.warm_up,
            totals: tally.totals,
            steady: *warm,
            throughput: interval::throughput(&windows),
            goodput_qps: None,
            latency: latency(&tally.latency, &tally.slices),
            lag: None,
            mean_in_flight: 0.0,
            mean_batch: (arrived.ok > 0).then(|| arrived.ok as f64 / arrived.batches),
            batches: arrived.batches,
            time_breakdown: breakdown(&arrived),
            windows,
        }
    }

    /// Its windows with the original's keys.
    pub fn client_metrics(&self) -> ClientMetrics {
        let windows = || self.windows.iter();
        let seconds = |ms: Option<f64>| Some(ms? / 1e3);
        ClientMetrics {
            thrus: windows().map(|w| w.ok as f64 / w.seconds).collect(),
            p99_lats: windows().map(|w| seconds(w.p99_ms)).collect(),
            mean_lats: windows().map(|w| seconds(w.mean_ms)).collect(),
        }
    }
}

/// Reads `count` equal parts of a window of `seconds`; one that nobody has counted in is empty.
fn windows(tally: &mut Tally, count: usize, seconds: f64) -> Vec<Window> {
    if let Some(last) = count.checked_sub(1) {
        tally.slice(last);
    }
    let each = seconds / count as f64;
    let window = |(index, slice): (usize, &Slice)| {
        let of = |micros: f64| (!slice.latency.is_empty()).then_some(micros / 1e3);
        Window {
            begins: each * index as f64,
            seconds: each,
            ok: slice.ok,
            mean_ms: of(slice.latency.mean()),
            p99_ms: of(slice.latency.value_at_quantile(0.99) as f64),
        }
    };
    tally
        .slices
        .iter()
        .take(count)
        .enumerate()
        .map(window)
        .collect()
}

/// Reads a histogram of microseconds, and its parts in time; `None` if it is empty.
fn latency(micros: &Histogram<u64>, slices: &[Slice]) -> Option<Latency> {
    let percentile = |quantile| {
        let ms = interval::percentile(micros, slices, quantile)?;
        Some(Percentile { quantile, ms })
    };
    (!micros.is_empty()).then(|| Latency {
        samples: micros.len(),
        mean: micros.mean() / 1e3,
        min: micros.min() as f64 / 1e3,
        max: micros.max() as f64 / 1e3,
        percentiles: QUANTILES.into_iter().filter_map(percentile).collect(),
        histogram: micros
            .iter_recorded()
            .map(|step| (step.value_iterated_to(), step.count_at_value()))
            .collect(),
    })
}

/// Means of the sums; `None` if nothing arrived.
fn breakdown(arrived: &Arrived) -> Option<TimeBreakdown> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_window_without_answers_is_a_rate_of_zero_and_no_latency() {
        let mut tally = Tally::new();
        tally.slice(1).ok = 10;
        tally.slice(1).latency.record(2_000_000).unwrap();
        let windows = windows(&mut tally, 4, 8.0);
        let counts: Vec<_> = windows.iter().map(|window| window.ok).collect();
        assert_eq!(counts, [0, 10, 0, 0]);
        assert_eq!(windows[1].begins, 2.0);
        assert_eq!(windows[0].mean_ms, None);
        assert!((windows[1].mean_ms.unwrap() - 2000.0).abs() < 2.0);
    }

    #[test]
    fn nothing_answered_is_no_latency_and_no_breakdown() {
        let tally = Tally::new();
        assert_eq!(latency(&tally.latency, &tally.slices), None);
        assert_eq!(breakdown(&tally.arrived), None);
    }
}
