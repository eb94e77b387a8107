//! What the engine counts, without locks and atomics; the HTTP threads get a copy of it to tell.

mod clipper;
mod meter;
mod prometheus;

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use scheduler::{Load, ModelVersion, Refusal, Timestamp};
use wire::rpc::Times;

use crate::{
    query_result::{QueryResult, QueryStatus},
    timeline::micros,
};
use meter::Meter;

/// Where a query's time goes: in the queue, from there until its batch's response, and in the model server before, during
/// and after the prediction.
const STAGES: [&str; 5] = ["queued", "away", "waited", "predicting", "replying"];

/// The engine's own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    predictions: Meter,
    /// Queries whose clients were gone before they were answered.
    abandoned: u64,
    /// Queries for no application, or no version of its model.
    unknown: u64,
    apps: BTreeMap<String, AppMetrics>,
    models: BTreeMap<ModelVersion, ModelMetrics>,
}

/// The metrics at a moment, and what waits then.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) metrics: Metrics,
    /// Messages that were dropped: nonsense, or for nobody.
    pub(crate) dropped: u64,
    pub(crate) now: Timestamp,
    pub(crate) loads: Vec<(ModelVersion, Load)>,
}

/// A batch that was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    /// In queries.
    pub(crate) size: usize,
    /// From when it was sent until its response.
    pub(crate) away: Duration,
    /// What the replica did when, if it told.
    pub(crate) times: Option<Times>,
}

#[derive(Clone, Debug)]
struct AppMetrics {
    latency: Histogram<u64>,
    answers: Meter,
    /// By status, and reason if that is not the model's answer.
    ended: BTreeMap<(&'static str, &'static str), u64>,
}

#[derive(Clone, Debug)]
struct ModelMetrics {
    latency: Histogram<u64>,
    batch_size: Histogram<u64>,
    predictions: Meter,
    queued: Histogram<u64>,
    /// The stages after the queue.
    away: [Histogram<u64>; 4],
    cache_lookups: u64,
    cache_hits: u64,
}

impl Metrics {
    /// A batch was answered; its queries had been `queued` so long.
    pub(crate) fn batch(
        &mut self,
        model: &ModelVersion,
        batch: Batch,
        queued: impl Iterator<Item = Duration>,
        now: Timestamp,
    ) {
        let Batch { size, away, times } = batch;
        let size = size as u64;
        self.predictions.mark(size, now);
        let metrics = self.model(model, now);
        metrics.predictions.mark(size, now);
        record(&mut metrics.batch_size, size, 1);
        for queued in queued {
            record(&mut metrics.queued, micros(queued), 1);
        }
        let away = micros(away);
        let times = times.map(|times| [times.waited(), times.predicting(), times.replying()]);
        // Not counting the time that it lay ready at the replica.
        let lay = times.map_or(0, |[waited, ..]| waited);
        record(&mut metrics.latency, away.saturating_sub(lay), size);
        let stages = std::iter::once(away).chain(times.into_iter().flatten());
        for (histogram, micros) in metrics.away.iter_mut().zip(stages) {
            record(histogram, micros, size);
        }
    }

    /// A query was answered. One of an application that has been deleted meanwhile is not counted.
    pub(crate) fn query(&mut self, app: &str, result: &QueryResult<'_>) {
        let Some(metrics) = self.apps.get_mut(app) else {
            return;
        };
        record(&mut metrics.latency, micros(result.timeline.latency()), 1);
        metrics.answers.mark(1, result.timeline.answered);
        *metrics.ended.entry(labels(&result.status)).or_default() += 1;
    }

    /// A query was not taken.
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

    /// A query was looked up in the cache.
    pub(crate) fn looked_up(&mut self, model: &ModelVersion, found: bool, now: Timestamp) {
        let metrics = self.model(model, now);
        metrics.cache_lookups += 1;
        metrics.cache_hits += u64::from(found);
    }

    /// A query's client was gone before it was answered.
    pub(crate) fn abandoned(&mut self) {
        self.abandoned += 1;
    }

    /// There is such an application, whether it is asked or not.
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

    fn model(&mut self, model: &ModelVersion, now: Timestamp) -> &mut ModelMetrics {
        if !self.models.contains_key(model) {
            self.models.insert(model.clone(), ModelMetrics::new(now));
        }
        self.models.get_mut(model).expect("it has just been added")
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

    /// Queries that got the default output.
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
            away: std::array::from_fn(|_| histogram()),
            cache_lookups: 0,
            cache_hits: 0,
        }
    }

    /// In the order of [`STAGES`].
    fn stages(&self) -> impl Iterator<Item = &Histogram<u64>> {
        std::iter::once(&self.queued).chain(&self.away)
    }
}

/// Status and reason, of which there are few: what a model says when it fails is no label.
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

/// To three digits, growing with what is recorded.
fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are allowed")
}

fn record(histogram: &mut Histogram<u64>, value: u64, count: u64) {
    histogram
        .record_n(value, count)
        .expect("a histogram that grows takes every value");
}
