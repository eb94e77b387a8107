//! What the frontend counts, as text for Prometheus: OpenMetrics 1.0.

use std::fmt;

use hdrhistogram::Histogram;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, text::encode},
    metrics::MetricType,
    registry::{Registry, Unit},
};
use scheduler::ModelVersion;

use super::{STAGES, Snapshot};

/// In microseconds.
const DURATIONS: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 60_000_000,
];

/// In queries.
const SIZES: [u64; 13] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096];

impl Snapshot {
    /// The text that Prometheus reads (OpenMetrics 1.0).
    pub(crate) fn into_text(self) -> String {
        let mut registry = Registry::with_prefix("clipper");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry).expect("text goes into any memory");
        text
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        self.encode_queries(&mut families)?;
        self.encode_models(&mut families)?;
        self.encode_times(&mut families)?;
        self.encode_loads(&mut families)
    }
}

impl Snapshot {
    fn encode_queries(&self, families: &mut Families<'_>) -> fmt::Result {
        let metrics = &self.metrics;
        let unknown = [
            ("app", ""),
            ("status", "refused"),
            ("reason", "unknown application or version"),
        ];
        let of_apps = metrics.apps.iter().flat_map(|(name, app)| {
            let ended = app.ended.iter();
            ended.map(move |((status, reason), count)| {
                let labels = [
                    ("app", name.as_str()),
                    ("status", status),
                    ("reason", reason),
                ];
                (labels, *count)
            })
        });
        families.counters(
            "answers",
            "Queries by how they ended, and why if not with the model's answer",
            std::iter::once((unknown, metrics.unknown)).chain(of_apps),
        )?;
        families.counter(
            "abandoned_queries",
            "Queries whose clients were gone before they were answered",
            metrics.abandoned,
        )?;
        families.counter(
            "dropped_messages",
            "Messages that were dropped: nonsense, of nobody who is known, or for a client that is gone",
            self.dropped,
        )?;
        let apps = metrics.apps.iter();
        families.durations(
            "query_duration",
            "From a query's arrival until its answer",
            apps.map(|(name, app)| ([("app", name.as_str())], &app.latency)),
        )
    }

    fn encode_models(&self, families: &mut Families<'_>) -> fmt::Result {
        let models = || self.metrics.models.iter();
        families.counters(
            "predictions",
            "Queries that the model has answered",
            models().map(|(model, metrics)| (labels(model), metrics.predictions.count)),
        )?;
        families.counters(
            "cache_lookups",
            "Queries that were looked up in the prediction cache",
            models().map(|(model, metrics)| (labels(model), metrics.cache_lookups)),
        )?;
        families.counters(
            "cache_hits",
            "Queries that were answered from the prediction cache",
            models().map(|(model, metrics)| (labels(model), metrics.cache_hits)),
        )?;
        families.write(
            About {
                name: "batch_size",
                help: "Queries in a batch",
                unit: None,
            },
            MetricType::Histogram,
            models().map(|(model, metrics)| (labels(model), &metrics.batch_size)),
            |encoder, sizes| buckets(encoder, sizes, &SIZES, 1.0),
        )
    }

    fn encode_times(&self, families: &mut Families<'_>) -> fmt::Result {
        let models = || self.metrics.models.iter();
        families.durations(
            "batch_duration",
            "From when a batch was sent until its response, less the time that it lay ready at the replica",
            models().map(|(model, metrics)| (labels(model), &metrics.latency)),
        )?;
        families.durations(
            "stage_duration",
            "Where queries' time went: queued, away (from sending to the response), and of that in the model server: waited, predicting, replying",
            models().flat_map(|(model, metrics)| {
                let [name, version] = labels(model);
                let stages = STAGES.iter().zip(metrics.stages());
                stages.map(move |(stage, histogram)| ([name, version, ("stage", *stage)], histogram))
            }),
        )
    }

    fn encode_loads(&self, families: &mut Families<'_>) -> fmt::Result {
        let loads = || self.loads.iter().map(|(model, load)| (labels(model), load));
        families.gauges(
            About {
                name: "queue_queries",
                help: "Queries that wait for a replica",
                unit: None,
            },
            loads().map(|(model, load)| (model, load.queries)),
        )?;
        families.gauges(
            About {
                name: "queue",
                help: "Inputs that wait for a replica",
                unit: Some(&Unit::Bytes),
            },
            loads().map(|(model, load)| (model, load.bytes)),
        )?;
        families.gauges(
            About {
                name: "replicas",
                help: "Replicas that are connected",
                unit: None,
            },
            loads().map(|(model, load)| (model, load.replicas)),
        )
    }
}

/// What a metric is.
#[derive(Clone, Copy)]
struct About<'a> {
    name: &'a str,
    help: &'a str,
    unit: Option<&'a Unit>,
}

/// Writes metrics with all that is known under each: labels and what is measured.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let kind = MetricType::Counter;
        let mut counter = self.0.encode_descriptor(name, help, None, kind)?;
        counter.encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let about = About {
            name,
            help,
            unit: None,
        };
        self.write(about, MetricType::Counter, rows, |mut encoder, count| {
            encoder.encode_counter::<NoLabelSet, _, u64>(&count, None)
        })
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        about: About<'_>,
        rows: impl Iterator<Item = (L, usize)>,
    ) -> fmt::Result {
        self.write(about, MetricType::Gauge, rows, |mut encoder, value| {
            encoder.encode_gauge(&value)
        })
    }

    fn durations<'a, L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = (L, &'a Histogram<u64>)>,
    ) -> fmt::Result {
        let about = About {
            name,
            help,
            unit: Some(&Unit::Seconds),
        };
        self.write(about, MetricType::Histogram, rows, |encoder, micros| {
            buckets(encoder, micros, &DURATIONS, 1e6)
        })
    }

    fn write<L: EncodeLabelSet, T>(
        &mut self,
        about: About<'_>,
        kind: MetricType,
        rows: impl Iterator<Item = (L, T)>,
        write: impl Fn(MetricEncoder<'_>, T) -> fmt::Result,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(about.name, about.help, about.unit, kind)?;
        for (labels, measured) in rows {
            write(family.encode_family(&labels)?, measured)?;
        }
        Ok(())
    }
}

fn labels(model: &ModelVersion) -> [(&str, &str); 2] {
    [("model", &model.name), ("version", &model.version)]
}

/// A bucket holds what is above the bound before its own, and not above its own; `per` of what is recorded make
/// one of what is told.
fn buckets(
    mut encoder: MetricEncoder<'_>,
    histogram: &Histogram<u64>,
    bounds: &[u64],
    per: f64,
) -> fmt::Result {
    let mut buckets: Vec<(f64, u64)> = bounds.iter().map(|b| (*b as f64 / per, 0)).collect();
    buckets.push((f64::INFINITY, 0));
    let mut sum = 0.0;
    for recorded in histogram.iter_recorded() {
        let count = recorded.count_since_last_iteration();
        let value = recorded.value_iterated_to();
        sum += value as f64 * count as f64 / per;
        buckets[bounds.partition_point(|bound| *bound < value)].1 += count;
    }
    encoder.encode_histogram::<NoLabelSet>(sum, histogram.len(), &buckets, None)
}
