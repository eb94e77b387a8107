//! What the engine counts, and Clipper's JSON of it: every leaf is a string.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use scheduler::{ModelVersion, Now};
use serde_json::{Map, Value, json};

/// The engine's own: no locks, no atomics.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    predictions: Meter,
    /// Queries whose clients were gone before they were computed.
    abandoned: u64,
    apps: BTreeMap<String, AppMetrics>,
    models: BTreeMap<ModelVersion, ModelMetrics>,
}

#[derive(Debug)]
struct AppMetrics {
    latency: Histogram<u64>,
    answers: Meter,
    defaults: u64,
}

#[derive(Debug)]
struct ModelMetrics {
    latency: Histogram<u64>,
    batch_size: Histogram<u64>,
    predictions: Meter,
}

impl Metrics {
    /// A batch was answered after `latency`, not counting the time that it lay ready at the replica.
    pub(crate) fn batch(&mut self, model: &ModelVersion, size: usize, latency: Duration, now: Now) {
        if !self.models.contains_key(model) {
            self.models.insert(model.clone(), ModelMetrics::new(now));
        }
        if let Some(metrics) = self.models.get_mut(model) {
            let size = size as u64;
            record(&mut metrics.latency, micros(latency), size);
            record(&mut metrics.batch_size, size, 1);
            metrics.predictions.mark(size, now);
            self.predictions.mark(size, now);
        }
    }

    /// A query was answered after `latency`.
    pub(crate) fn query(&mut self, app: &str, latency: Duration, default: bool, now: Now) {
        if !self.apps.contains_key(app) {
            self.apps.insert(app.to_owned(), AppMetrics::new(now));
        }
        if let Some(metrics) = self.apps.get_mut(app) {
            record(&mut metrics.latency, micros(latency), 1);
            metrics.answers.mark(1, now);
            metrics.defaults += u64::from(default);
        }
    }

    /// A query's client was gone before it was computed.
    pub(crate) fn abandoned(&mut self) {
        self.abandoned += 1;
    }

    /// The report of `GET /metrics`.
    pub(crate) fn to_json(&self, now: Now) -> Value {
        let mut report = Report::default();
        let all = "internal:aggregate_num_predictions";
        report.counter(all.into(), self.predictions.count);
        let all = "internal:aggregate_model_throughput";
        report.meter(all.into(), &self.predictions, now);
        report.counter("internal:abandoned_queries".into(), self.abandoned);
        for (name, app) in &self.apps {
            let name = format!("app:{name}");
            report.counter(format!("{name}:num_predictions"), app.answers.count);
            let ratio = app.defaults as f64 / app.answers.count as f64;
            report.ratio(format!("{name}:default_prediction_ratio"), ratio);
            report.meter(format!("{name}:prediction_throughput"), &app.answers, now);
            report.histogram(
                format!("{name}:prediction_latency"),
                "microseconds",
                &app.latency,
            );
        }
        for (model, metrics) in &self.models {
            let name = format!("model:{model}");
            let predictions = &metrics.predictions;
            report.counter(format!("{name}:num_predictions"), predictions.count);
            report.meter(format!("{name}:prediction_throughput"), predictions, now);
            let latency = &metrics.latency;
            report.histogram(
                format!("{name}:prediction_latency"),
                "microseconds",
                latency,
            );
            report.histogram(format!("{name}:batch_size"), "queries", &metrics.batch_size);
        }
        report.into_json()
    }
}

impl AppMetrics {
    fn new(now: Now) -> AppMetrics {
        AppMetrics {
            latency: histogram(),
            answers: Meter::new(now),
            defaults: 0,
        }
    }
}

impl ModelMetrics {
    fn new(now: Now) -> ModelMetrics {
        ModelMetrics {
            latency: histogram(),
            batch_size: histogram(),
            predictions: Meter::new(now),
        }
    }
}

/// To three digits, growing with what is recorded.
fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are allowed")
}

fn record(histogram: &mut Histogram<u64>, value: u64, count: u64) {
    histogram
        .record_n(value, count)
        .expect("a histogram that grows takes every value");
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Counts events, and averages their rate over the last 1, 5 and 15 minutes with decaying weight, in steps of 5 s.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    started: Now,
    count: u64,
    ticked: Now,
    count_at_tick: u64,
    /// Events per second; `None` before the first tick.
    rates: Option<[f64; 3]>,
}

impl Meter {
    const TICK: Duration = Duration::from_secs(5);
    const MINUTES: [f64; 3] = [1.0, 5.0, 15.0];

    fn new(now: Now) -> Meter {
        Meter {
            started: now,
            ticked: now,
            ..Meter::default()
        }
    }

    fn mark(&mut self, count: u64, now: Now) {
        self.tick(now);
        self.count += count;
    }

    /// Catches up with the time: the first step holds what was counted, those after it nothing.
    fn tick(&mut self, now: Now) {
        let since = now.saturating_sub(self.ticked);
        let steps = u32::try_from(since.as_secs() / Meter::TICK.as_secs()).unwrap_or(u32::MAX);
        if steps == 0 {
            return;
        }
        let new = (self.count - self.count_at_tick) as f64 / Meter::TICK.as_secs_f64();
        let old = self.rates;
        self.rates = Some(std::array::from_fn(|index| {
            let step = -Meter::TICK.as_secs_f64() / 60.0 / Meter::MINUTES[index];
            let first = old.map_or(new, |old| new + (old[index] - new) * step.exp());
            first * (step * f64::from(steps - 1)).exp()
        }));
        self.count_at_tick = self.count;
        self.ticked = self.ticked.saturating_add(Meter::TICK * steps);
    }

    /// Events per second since it was started.
    fn mean(&self, now: Now) -> f64 {
        self.count as f64 / now.saturating_sub(self.started).as_secs_f64()
    }
}

/// Clipper's report: one list per kind, each element an object with one key.
#[derive(Default)]
struct Report {
    counters: Vec<Value>,
    ratios: Vec<Value>,
    meters: Vec<Value>,
    histograms: Vec<Value>,
}

impl Report {
    fn counter(&mut self, name: String, count: u64) {
        self.counters
            .push(json!({ name: { "count": count.to_string() } }));
    }

    fn ratio(&mut self, name: String, ratio: f64) {
        self.ratios
            .push(json!({ name: { "ratio": ratio.to_string() } }));
    }

    fn meter(&mut self, name: String, meter: &Meter, now: Now) {
        let mut caught_up = *meter;
        caught_up.tick(now);
        let [one, five, fifteen] = caught_up.rates.unwrap_or([-1.0; 3]).map(|r| r.to_string());
        self.meters.push(json!({ name: {
            "unit": "events per second",
            "rate": meter.mean(now).to_string(),
            "rate_1min": one,
            "rate_5min": five,
            "rate_15min": fifteen,
        } }));
    }

    fn histogram(&mut self, name: String, unit: &str, histogram: &Histogram<u64>) {
        self.histograms.push(json!({ name: {
            "unit": unit,
            "size": histogram.len().to_string(),
            "min": histogram.min().to_string(),
            "max": histogram.max().to_string(),
            "mean": histogram.mean().to_string(),
            "std_dev": histogram.stdev().to_string(),
            "p50": histogram.value_at_quantile(0.50).to_string(),
            "p95": histogram.value_at_quantile(0.95).to_string(),
            "p99": histogram.value_at_quantile(0.99).to_string(),
        } }));
    }

    /// A kind without a metric is absent.
    fn into_json(self) -> Value {
        let kinds = [
            ("counters", self.counters),
            ("ratio_counters", self.ratios),
            ("meters", self.meters),
            ("histograms", self.histograms),
        ];
        let kinds = kinds.into_iter().filter(|(_, metrics)| !metrics.is_empty());
        let report: Map<String, Value> = kinds
            .map(|(kind, metrics)| (kind.to_owned(), Value::Array(metrics)))
            .collect();
        Value::Object(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_has_clippers_shape_with_strings_for_numbers() {
        let model = ModelVersion {
            name: "noop".into(),
            version: "1".into(),
        };
        let mut metrics = Metrics::default();
        let at = Duration::from_secs(1);
        metrics.batch(&model, 3, Duration::from_micros(50), at);
        for default in [false, false, true] {
            metrics.query("a", Duration::from_micros(70), default, at);
        }
        let report = metrics.to_json(Duration::from_secs(2));
        let find = |kind: &str, name: &str, leaf: &str| {
            let list = report[kind].as_array().unwrap();
            let found = list.iter().find_map(|entry| entry.get(name)).unwrap();
            found[leaf].as_str().unwrap().to_owned()
        };
        assert_eq!(find("counters", "app:a:num_predictions", "count"), "3");
        assert_eq!(find("histograms", "model:noop:1:batch_size", "p99"), "3");
        assert_eq!(find("histograms", "app:a:prediction_latency", "p50"), "70");
        assert_eq!(find("meters", "app:a:prediction_throughput", "rate"), "3");
        assert_eq!(
            find("meters", "app:a:prediction_throughput", "rate_1min"),
            "-1"
        );
        let ratio = find("ratio_counters", "app:a:default_prediction_ratio", "ratio");
        assert!(ratio.starts_with("0.333"), "{ratio}");
    }

    #[test]
    fn a_meter_starts_with_the_first_rate_and_decays_without_events() {
        let mut meter = Meter::default();
        meter.mark(50, Duration::from_secs(1));
        meter.tick(Duration::from_secs(5));
        assert_eq!(meter.rates, Some([10.0; 3]));
        meter.tick(Duration::from_secs(65));
        let [one, five, fifteen] = meter.rates.unwrap();
        let mut stepwise = Meter::default();
        stepwise.mark(50, Duration::from_secs(1));
        (1..=13).for_each(|step| stepwise.tick(Meter::TICK * step));
        let [slow, ..] = stepwise.rates.unwrap();
        assert!((one - slow).abs() < 1e-9, "{one} {slow}");
        assert!((one - 10.0 * (-1.0_f64).exp()).abs() < 1e-9, "{one}");
        assert!(one < five && five < fifteen && fifteen < 10.0);
    }
}
