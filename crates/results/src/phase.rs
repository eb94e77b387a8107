//! Reads the outcome of a load into a [`Phase`] of the result.

use hdrhistogram::Histogram;
use loadgen::{
    Arrivals, Load, LoadResult, Window,
    stats::{AnswerSums, Slice, interval},
    windows,
};

use crate::speed::{ClientMetrics, Lag, Latency, Percentile, Phase, PhaseKind, TimeBreakdown};

/// Percentiles of a result.
const QUANTILES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

impl Phase {
    /// Reads the outcome of a load. An overloaded phase has no latency: it would reflect the length
    /// of the queue.
    pub fn read(kind: PhaseKind, load: &Load<'_>, measured: &mut LoadResult) -> Phase {
        let LoadResult {
            tally,
            span,
            overloaded,
            ..
        } = measured;
        let overloaded = *overloaded;
        // Not zero, so that the rates of a window that did not open are zero.
        let seconds = tally.totals.seconds.max(f64::MIN_POSITIVE);
        let arrived = tally.arrived;
        let mut windows = windows(tally, span.slices(), seconds);
        if overloaded {
            windows.iter_mut().for_each(Window::without_latency);
        }
        Phase {
            kind,
            arrivals: load.arrivals.clone(),
            opened_seconds: (span.opens - load.trial_start).as_secs_f64(),
            warm_up: tally.warm_up,
            totals: tally.totals,
            steady: measured.steady,
            overloaded,
            throughput: interval::throughput(&windows),
            goodput_qps: (load.objective).map(|_| arrived.good as f64 / seconds),
            latency: (!overloaded)
                .then(|| latency(&tally.latency, &tally.slices))
                .flatten(),
            lag: (load.arrivals.in_flight().is_none()).then(|| lag(&tally.lag)),
            mean_in_flight: tally.in_flight.as_secs_f64() / seconds,
            mean_batch: arrived.mean_batch(),
            batches: arrived.batches,
            time_breakdown: breakdown(&arrived),
            windows,
        }
    }

    /// Returns the offered load in queries/s: as requested, or as a trace has it inside the window.
    /// `None` in a closed loop.
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

    /// Returns the parts of the window with Clipper's keys.
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

/// Reads a histogram of microseconds and its slices in time; `None` if it is empty.
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

/// Returns the means of the sums; `None` if no answer arrived.
fn breakdown(arrived: &AnswerSums) -> Option<TimeBreakdown> {
    let mean = |sum: u64| sum as f64 / arrived.ok as f64;
    let sums = &arrived.micros;
    (arrived.ok > 0).then(|| TimeBreakdown {
        queued: mean(sums.queued),
        away: mean(sums.away),
        waited: mean(sums.waited),
        predicting: mean(sums.predicting),
        replying: mean(sums.replying),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen::stats::Tally;

    #[test]
    fn without_answers_there_is_no_latency() {
        let tally = Tally::new(None);
        assert_eq!(latency(&tally.latency, &tally.slices), None);
        assert_eq!(breakdown(&tally.arrived), None);
    }
}
