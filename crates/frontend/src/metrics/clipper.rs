//! The metrics as Clipper's JSON, in which every leaf is a string.

use hdrhistogram::Histogram;
use scheduler::Timestamp;
use serde_json::{Map, Value, json};

use super::{AppMetrics, Meter, ModelMetrics, STAGES, Snapshot, histogram};

const MICROSECONDS: &str = "microseconds";

impl Snapshot {
    /// Returns the report for `GET /metrics`.
    pub(crate) fn to_json(&self) -> Value {
        let Snapshot { metrics, now, .. } = self;
        let mut report = ClipperReport::default();
        report.counter(
            "internal:aggregate_num_predictions",
            metrics.predictions.count,
        );
        report.meter(
            "internal:aggregate_model_throughput",
            &metrics.predictions,
            *now,
        );
        report.counter("internal:abandoned_queries", metrics.abandoned);
        let models = || metrics.models.values();
        let lookups = models().map(|model| model.cache_lookups).sum();
        let hits = models().map(|model| model.cache_hits).sum();
        report.counter("internal:prediction_cache_lookups", lookups);
        report.ratio("internal:prediction_cache_hit_ratio", hits, lookups);
        let mut queued = histogram();
        for model in models() {
            queued
                .add(&model.queued)
                .expect("a resizable histogram takes every value");
        }
        report.histogram("internal:rpc_request_queueing_delay", MICROSECONDS, &queued);
        for (name, app) in metrics.sorted_apps() {
            report.app(&format!("app:{name}"), app, *now);
        }
        for (model, metrics) in metrics.sorted_models() {
            report.model(&format!("model:{model}"), metrics, *now);
        }
        report.into_json()
    }
}

/// Clipper's report: one list per kind of metric, each element an object with one key.
#[derive(Default)]
struct ClipperReport {
    counters: Vec<Value>,
    ratios: Vec<Value>,
    meters: Vec<Value>,
    histograms: Vec<Value>,
}

impl ClipperReport {
    fn app(&mut self, name: &str, app: &AppMetrics, now: Timestamp) {
        let answers = &app.answers;
        self.counter(&format!("{name}:num_predictions"), answers.count);
        let ratio = format!("{name}:default_prediction_ratio");
        self.ratio(&ratio, app.defaults(), answers.count);
        self.meter(&format!("{name}:prediction_throughput"), answers, now);
        self.histogram(
            &format!("{name}:prediction_latency"),
            MICROSECONDS,
            &app.latency,
        );
    }

    fn model(&mut self, name: &str, model: &ModelMetrics, now: Timestamp) {
        let predictions = &model.predictions;
        self.counter(&format!("{name}:num_predictions"), predictions.count);
        self.meter(&format!("{name}:prediction_throughput"), predictions, now);
        let ratio = format!("{name}:cache_hit_ratio");
        self.ratio(&ratio, model.cache_hits, model.cache_lookups);
        self.histogram(
            &format!("{name}:prediction_latency"),
            MICROSECONDS,
            &model.latency,
        );
        self.histogram(&format!("{name}:batch_size"), "queries", &model.batch_size);
        for (stage, histogram) in STAGES.iter().zip(model.stages()) {
            self.histogram(&format!("{name}:{stage}"), MICROSECONDS, histogram);
        }
    }

    fn counter(&mut self, name: &str, count: u64) {
        self.counters
            .push(json!({ name: { "count": count.to_string() } }));
    }

    fn ratio(&mut self, name: &str, count: u64, of: u64) {
        let ratio = count as f64 / of as f64;
        self.ratios.push(json!({ name: { "ratio": text(ratio) } }));
    }

    fn meter(&mut self, name: &str, meter: &Meter, now: Timestamp) {
        let [one, five, fifteen] = meter.rates(now).unwrap_or([-1.0; 3]).map(text);
        self.meters.push(json!({ name: {
            "unit": "events per second",
            "rate": text(meter.mean(now)),
            "rate_1min": one,
            "rate_5min": five,
            "rate_15min": fifteen,
        } }));
    }

    fn histogram(&mut self, name: &str, unit: &str, histogram: &Histogram<u64>) {
        self.histograms.push(json!({ name: {
            "unit": unit,
            "size": histogram.len().to_string(),
            "min": histogram.min().to_string(),
            "max": histogram.max().to_string(),
            "mean": text(histogram.mean()),
            "std_dev": text(histogram.stdev()),
            "p50": histogram.value_at_quantile(0.50).to_string(),
            "p95": histogram.value_at_quantile(0.95).to_string(),
            "p99": histogram.value_at_quantile(0.99).to_string(),
        } }));
    }

    /// Returns the report as JSON; a kind without metrics is absent.
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

/// Formats a number as C++ does: `nan` and `inf` in lower case.
fn text(number: f64) -> String {
    number.to_string().to_lowercase()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use scheduler::{DefaultReason, ModelVersion};

    use super::*;
    use crate::{
        metrics::{BatchRecord, Metrics},
        query_result::{QueryResult, QueryStatus},
        timeline::Timeline,
    };

    #[test]
    fn the_report_has_clippers_shape_with_strings_for_numbers() {
        let model = ModelVersion {
            name: "noop".into(),
            version: "1".into(),
        };
        let mut metrics = Metrics::default();
        let at = Duration::from_secs(1);
        let batch = BatchRecord {
            size: 3,
            at_replica: Duration::from_micros(50),
            times: None,
        };
        metrics.batch(
            &model,
            batch,
            [Duration::from_micros(20); 3].into_iter(),
            at,
        );
        metrics.add_app("a", at);
        metrics.add_app("b", at);
        let none = QueryStatus::Default(DefaultReason::NoReplica);
        for status in [QueryStatus::Ok, QueryStatus::Ok, none] {
            let timeline = Timeline::unsent(at - Duration::from_micros(70), at);
            metrics.query("a", &QueryResult::without_output(status, b"", timeline));
        }
        let report = Snapshot {
            dropped: 0,
            metrics,
            now: Duration::from_secs(2),
            loads: Vec::new(),
        }
        .to_json();
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
        // Ratios without a denominator.
        for (name, ratio) in [
            ("app:b:default_prediction_ratio", "nan"),
            ("internal:prediction_cache_hit_ratio", "nan"),
        ] {
            assert_eq!(find("ratio_counters", name, "ratio"), ratio);
        }
        let delay = find("histograms", "internal:rpc_request_queueing_delay", "p50");
        assert_eq!(delay, "20");
    }
}
