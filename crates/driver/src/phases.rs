//! What a load has shown, read into a [`Phase`] of the result.

use hdrhistogram::Histogram;

use crate::{
    load::{Load, Measured},
    results::{
        Arrivals, ClientMetrics, Estimate, Lag, Latency, Percentile, Phase, TimeBreakdown, Window,
    },
    stats::{Arrived, Slice, Span, Tally, interval},
};

/// The percentiles that are looked at.
const QUANTILES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

impl Phase {
    /// Reads what a load has shown. One that was overloaded has no latency: its answers tell how long the queue had
    /// become.
    pub fn read(load: &Load<'_>, arrivals: Arrivals, measured: &mut Measured) -> Phase {
        let Measured {
            tally,
            span,
            overloaded,
            ..
        } = measured;
        let overloaded = *overloaded;
        // Never zero: the rates of a window that did not open are zero.
        let seconds = tally.totals.seconds.max(f64::MIN_POSITIVE);
        let arrived = tally.arrived;
        let mut windows = windows(tally, span.slices(), seconds);
        if overloaded {
            windows.iter_mut().for_each(Window::without_latency);
        }
        Phase {
            kind: load.kind,
            arrivals,
            opened_seconds: (span.opens - load.since).as_secs_f64(),
            warm_up: tally.warm_up,
            totals: tally.totals,
            steady: measured.steady,
            overloaded,
            throughput: interval::throughput(&windows),
            goodput_qps: (load.objective).map(|_| arrived.good as f64 / seconds),
            latency: (!overloaded)
                .then(|| latency(&tally.latency, &tally.slices))
                .flatten(),
            lag: (load.pace.in_flight().is_none()).then(|| lag(&tally.lag)),
            mean_in_flight: tally.in_flight.as_secs_f64() / seconds,
            mean_batch: arrived.mean_batch(),
            batches: arrived.batches,
            time_breakdown: breakdown(&arrived),
            windows,
        }
    }

    /// The offered load in queries a second: as asked for, or as a trace had it inside the window. `None` in a closed
    /// loop.
    pub fn offered_qps(&self) -> Option<f64> {
        match self.arrivals {
            Arrivals::Closed { .. } => None,
            Arrivals::Poisson { rate, .. } | Arrivals::Constant { rate } => Some(rate),
            Arrivals::Trace { .. } => {
                let seconds = self.totals.seconds;
                (seconds > 0.0).then(|| self.totals.sent as f64 / seconds)
            }
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

/// The figure that a load is for, with its interval, as the first `count` slices show it: in a closed loop the throughput, in an
/// open one the 99th percentile of the latency. `None` if it cannot be stated, or there are too few slices to know its spread.
pub(crate) fn figure(
    load: &Load<'_>,
    tally: &mut Tally,
    span: &Span,
    count: usize,
) -> Option<Estimate> {
    if count < interval::PARTS {
        return None;
    }
    if load.pace.in_flight().is_some() {
        let seconds = (span.slice * count as u32).as_secs_f64();
        return Some(interval::throughput(&windows(tally, count, seconds)));
    }
    let (first, others) = tally.slices.get(..count)?.split_first()?;
    let mut whole = first.clone();
    others.iter().for_each(|slice| whole.merge(slice));
    interval::percentile(&whole.latency, &tally.slices[..count], 0.99)
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
            ok: slice.arrived.ok,
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

/// Reads a histogram of microseconds.
fn lag(micros: &Histogram<u64>) -> Lag {
    let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1e3;
    Lag {
        p50: at(0.5),
        p99: at(0.99),
        max: micros.max() as f64 / 1e3,
    }
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
        let mut tally = Tally::new(None);
        tally.slice(1).arrived.ok = 10;
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
        let tally = Tally::new(None);
        assert_eq!(latency(&tally.latency, &tally.slices), None);
        assert_eq!(breakdown(&tally.arrived), None);
    }
}
