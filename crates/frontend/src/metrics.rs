//! The metrics. The engine counts without locks and atomics; the HTTP threads get a copy to report.

mod clipper;
mod meter;
mod prometheus;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use hdrhistogram::Histogram;
use scheduler::{ModelVersion, QueueLoad, Refusal, Timestamp};
use wire::rpc::Times;

use crate::{
    query_result::{QueryResult, QueryStatus},
    timeline::micros,
};
use meter::Meter;

/// The stages of a query: in the queue, from sending to its batch's response, and in the model
/// server before, during and after the prediction.
const STAGES: [&str; 5] = ["queued", "away", "waited", "predicting", "replying"];

/// The engine's metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    predictions: Meter,
    /// Number of queries that were cancelled because their clients disconnected.
    abandoned: u64,
    /// Number of queries to an unknown application or model version.
    unknown: u64,
    apps: HashMap<String, AppMetrics>,
    models: HashMap<ModelVersion, ModelMetrics>,
}

/// A copy of the metrics, and the queue depths.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) metrics: Metrics,
    /// Number of dropped messages: malformed, or without a recipient.
    pub(crate) dropped: u64,
    pub(crate) now: Timestamp,
    pub(crate) loads: Vec<(ModelVersion, QueueLoad)>,
}

/// The figures of an answered batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchRecord {
    /// Number of queries.
    pub(crate) size: usize,
    /// Time from sending the batch to its response.
    pub(crate) at_replica: Duration,
    /// The model server's points in time; `None` if it does not state them.
    pub(crate) times: Option<Times>,
}

#[derive(Clone, Debug)]
struct AppMetrics {
    /// Time from arrival to answer, in microseconds.
    latency: Histogram<u64>,
    answers: Meter,
    /// Number of queries by status and reason; the reason is empty if the model answered.
    ended: BTreeMap<(&'static str, &'static str), u64>,
}

#[derive(Clone, Debug)]
struct ModelMetrics {
    /// Time from sending a batch to its response, without its wait at the replica, in microseconds.
    latency: Histogram<u64>,
    batch_size: Histogram<u64>,
    predictions: Meter,
    /// Time in the queue, in microseconds.
    queued: Histogram<u64>,
    /// Time in each stage after the queue, in microseconds.
    later_stages: [Histogram<u64>; 4],
    cache_lookups: u64,
    cache_hits: u64,
    /// Number of batches that failed as a whole.
    failed_batches: u64,
}

impl Metrics {
    /// Counts an answered batch; `queued` are the times that its queries spent in the queue.
    pub(crate) fn batch(
        &mut self,
        model: &ModelVersion,
        batch: BatchRecord,
        queued: impl Iterator<Item = Duration>,
        now: Timestamp,
    ) {
        let BatchRecord {
            size,
            at_replica,
            times,
        } = batch;
        let size = size as u64;
        self.predictions.mark(size, now);
        let metrics = self.model(model, now);
        metrics.predictions.mark(size, now);
        record(&mut metrics.batch_size, size, 1);
        for queued in queued {
            record(&mut metrics.queued, micros(queued), 1);
        }
        let at_replica = micros(at_replica);
        let times = times.map(|times| [times.waited(), times.predicting(), times.replying()]);
        let waited = times.map_or(0, |[waited, ..]| waited);
        record(
            &mut metrics.latency,
            at_replica.saturating_sub(waited),
            size,
        );
        let stages = std::iter::once(at_replica).chain(times.into_iter().flatten());
        for (histogram, micros) in metrics.later_stages.iter_mut().zip(stages) {
            record(histogram, micros, size);
        }
    }

    /// Counts a query that has ended, unless its application was deleted meanwhile.
    pub(crate) fn query(&mut self, app: &str, result: &QueryResult<'_>) {
        let Some(metrics) = self.apps.get_mut(app) else {
            return;
        };
        record(&mut metrics.latency, micros(result.timeline.latency()), 1);
        metrics.answers.mark(1, result.timeline.answered);
        *metrics.ended.entry(labels(&result.status)).or_default() += 1;
    }

    /// Counts a refused query.
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        match refusal {
            Refusal::InputType { app, .. }
            | Refusal::ModelInputType { app, .. }
            | Refusal::Overloaded { app, .. }
            | Refusal::Stopping { app } => {
                if let Some(metrics) = self.apps.get_mut(&app.name) {
                    let labels = refusal_labels(refusal);
                    *metrics.ended.entry(labels).or_default() += 1;
                }
            }
            Refusal::UnknownApp | Refusal::UnknownVersion(_) => self.unknown += 1,
        }
    }

    /// Counts a lookup in the prediction cache.
    pub(crate) fn looked_up(&mut self, model: &ModelVersion, found: bool, now: Timestamp) {
        let metrics = self.model(model, now);
        metrics.cache_lookups += 1;
        metrics.cache_hits += u64::from(found);
    }

    /// Counts a batch that failed as a whole.
    pub(crate) fn batch_failed(&mut self, model: &ModelVersion, now: Timestamp) {
        self.model(model, now).failed_batches += 1;
    }

    /// Counts a query that was cancelled because its client disconnected.
    pub(crate) fn abandoned(&mut self) {
        self.abandoned += 1;
    }

    /// Adds an application, so that it is reported before its first query.
    pub(crate) fn add_app(&mut self, app: &str, now: Timestamp) {
        let metrics = self.apps.entry(app.to_owned());
        metrics.or_insert_with(|| AppMetrics::new(now));
    }

    pub(crate) fn remove_app(&mut self, app: &str) {
        self.apps.remove(app);
    }

    pub(crate) fn remove_model(&mut self, model: &ModelVersion) {
        self.models.remove(model);
    }

    /// Returns the metrics of the applications, by name.
    fn sorted_apps(&self) -> Vec<(&String, &AppMetrics)> {
        sorted(&self.apps)
    }

    /// Returns the metrics of the model versions, by name and version.
    fn sorted_models(&self) -> Vec<(&ModelVersion, &ModelMetrics)> {
        sorted(&self.models)
    }

    fn model(&mut self, model: &ModelVersion, now: Timestamp) -> &mut ModelMetrics {
        if !self.models.contains_key(model) {
            self.models.insert(model.clone(), ModelMetrics::new(now));
        }
        self.models
            .get_mut(model)
            .expect("the entry was added above")
    }
}

impl AppMetrics {
    fn new(now: Timestamp) -> AppMetrics {
        AppMetrics {
            latency: histogram(),
            answers: Meter::new(now),
            ended: BTreeMap::new(),
        }
    }

    /// Returns the number of queries that got the default output.
    fn defaults(&self) -> u64 {
        let counts = self.ended.iter();
        let defaults = counts.filter(|((status, _), _)| matches!(*status, "default" | "error"));
        defaults.map(|(_, count)| count).sum()
    }
}

impl ModelMetrics {
    fn new(now: Timestamp) -> ModelMetrics {
        ModelMetrics {
            latency: histogram(),
            batch_size: histogram(),
            predictions: Meter::new(now),
            queued: histogram(),
            later_stages: std::array::from_fn(|_| histogram()),
            cache_lookups: 0,
            cache_hits: 0,
            failed_batches: 0,
        }
    }

    /// Returns the histograms in the order of [`STAGES`].
    fn stages(&self) -> impl Iterator<Item = &Histogram<u64>> {
        std::iter::once(&self.queued).chain(&self.later_stages)
    }
}

/// Returns the entries of a map in the order of their keys.
fn sorted<K: Ord, V>(map: &HashMap<K, V>) -> Vec<(&K, &V)> {
    let mut entries: Vec<(&K, &V)> = map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

/// Returns status and reason as labels. There are few: the error text of a model is not a label.
fn labels(status: &QueryStatus) -> (&'static str, &'static str) {
    match status {
        QueryStatus::Ok => ("ok", ""),
        QueryStatus::Default(reason) => ("default", reason.as_str()),
        QueryStatus::Failed(_) => ("error", "model failed"),
        QueryStatus::Refused(refusal) => refusal_labels(refusal),
    }
}

fn refusal_labels(refusal: &Refusal) -> (&'static str, &'static str) {
    let reason = match refusal {
        Refusal::UnknownApp => "unknown application",
        Refusal::InputType { .. } | Refusal::ModelInputType { .. } => "input type",
        Refusal::UnknownVersion(_) => "unknown version",
        Refusal::Overloaded { .. } => "overloaded",
        Refusal::Stopping { .. } => "stopping",
    };
    ("refused", reason)
}

/// Creates a histogram with three significant digits that grows with its values.
fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are valid")
}

fn record(histogram: &mut Histogram<u64>, value: u64, count: u64) {
    histogram
        .record_n(value, count)
        .expect("a resizable histogram takes every value");
}
