//! The metrics as text for Prometheus, in OpenMetrics 1.0.

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

/// Upper bounds of the buckets of durations, in microseconds.
const DURATION_BOUNDS: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 60_000_000,
];

/// Upper bounds of the buckets of batch sizes, in queries.
const SIZE_BOUNDS: [u64; 13] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096];

impl Snapshot {
    /// Returns the text that Prometheus reads.
    pub(crate) fn into_text(self) -> String {
        let mut registry = Registry::with_prefix("clipper");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry).expect("writing to a string cannot fail");
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
        let of_apps = metrics.sorted_apps().into_iter().flat_map(|(name, app)| {
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
            "Queries by status, and by reason if the model did not answer",
            std::iter::once((unknown, metrics.unknown)).chain(of_apps),
        )?;
        families.counter(
            "abandoned_queries",
            "Queries that were cancelled because their clients disconnected",
            metrics.abandoned,
        )?;
        families.counter(
            "dropped_messages",
            "Messages that were dropped: malformed, from an unknown sender, or for a disconnected client",
            self.dropped,
        )?;
        let apps = metrics.sorted_apps().into_iter();
        families.durations(
            "query_duration",
            "Time from the arrival of a query to its answer",
            apps.map(|(name, app)| ([("app", name.as_str())], &app.latency)),
        )
    }

    fn encode_models(&self, families: &mut Families<'_>) -> fmt::Result {
        let models = || self.metrics.sorted_models().into_iter();
        families.counters(
            "predictions",
            "Queries that the model answered",
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
        families.counters(
            "failed_batches",
            "Batches that failed as a whole; their queries are tried once more on another replica",
            models().map(|(model, metrics)| (labels(model), metrics.failed_batches)),
        )?;
        families.write(
            MetricInfo {
                name: "batch_size",
                help: "Queries in a batch",
                unit: None,
            },
            MetricType::Histogram,
            models().map(|(model, metrics)| (labels(model), &metrics.batch_size)),
            |encoder, sizes| buckets(encoder, sizes, &SIZE_BOUNDS, 1.0),
        )
    }

    fn encode_times(&self, families: &mut Families<'_>) -> fmt::Result {
        let models = || self.metrics.sorted_models().into_iter();
        families.durations(
            "batch_duration",
            "Time from sending a batch to its response, without its wait at the replica",
            models().map(|(model, metrics)| (labels(model), &metrics.latency)),
        )?;
        families.durations(
            "stage_duration",
            "Time of a query in each stage: queued, away (from sending its batch to the response), and of that in the model server: waited, predicting, replying",
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
            MetricInfo {
                name: "queue_queries",
                help: "Queries in the queue",
                unit: None,
            },
            loads().map(|(model, load)| (model, load.queries)),
        )?;
        families.gauges(
            MetricInfo {
                name: "queue",
                help: "Size of the inputs in the queue",
                unit: Some(&Unit::Bytes),
            },
            loads().map(|(model, load)| (model, load.bytes)),
        )?;
        families.gauges(
            MetricInfo {
                name: "replicas",
                help: "Connected replicas",
                unit: None,
            },
            loads().map(|(model, load)| (model, load.replicas)),
        )?;
        families.gauges(
            MetricInfo {
                name: "ejected_replicas",
                help: "Replicas that failed several batches in a row and get single queries as probes",
                unit: None,
            },
            loads().map(|(model, load)| (model, load.ejected)),
        )
    }
}

/// Name, help text and unit of a metric.
#[derive(Clone, Copy)]
struct MetricInfo<'a> {
    name: &'a str,
    help: &'a str,
    unit: Option<&'a Unit>,
}

/// Writes metric families; `rows` are the labels and values of a family.
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
        let info = MetricInfo {
            name,
            help,
            unit: None,
        };
        self.write(info, MetricType::Counter, rows, |mut encoder, count| {
            encoder.encode_counter::<NoLabelSet, _, u64>(&count, None)
        })
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        info: MetricInfo<'_>,
        rows: impl Iterator<Item = (L, usize)>,
    ) -> fmt::Result {
        self.write(info, MetricType::Gauge, rows, |mut encoder, value| {
            encoder.encode_gauge(&value)
        })
    }

    fn durations<'a, L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = (L, &'a Histogram<u64>)>,
    ) -> fmt::Result {
        let info = MetricInfo {
            name,
            help,
            unit: Some(&Unit::Seconds),
        };
        self.write(info, MetricType::Histogram, rows, |encoder, micros| {
            buckets(encoder, micros, &DURATION_BOUNDS, 1e6)
        })
    }

    fn write<L: EncodeLabelSet, T>(
        &mut self,
        info: MetricInfo<'_>,
        kind: MetricType,
        rows: impl Iterator<Item = (L, T)>,
        write: impl Fn(MetricEncoder<'_>, T) -> fmt::Result,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(info.name, info.help, info.unit, kind)?;
        for (labels, measured) in rows {
            write(family.encode_family(&labels)?, measured)?;
        }
        Ok(())
    }
}

fn labels(model: &ModelVersion) -> [(&str, &str); 2] {
    [("model", &model.name), ("version", &model.version)]
}

/// Writes a histogram. A bucket counts the values that are greater than the bound before its own
/// and at most its own; `scale` recorded units make one reported unit.
fn buckets(
    mut encoder: MetricEncoder<'_>,
    histogram: &Histogram<u64>,
    bounds: &[u64],
    scale: f64,
) -> fmt::Result {
    let mut buckets: Vec<(f64, u64)> = bounds.iter().map(|b| (*b as f64 / scale, 0)).collect();
    buckets.push((f64::INFINITY, 0));
    let mut sum = 0.0;
    for recorded in histogram.iter_recorded() {
        let count = recorded.count_since_last_iteration();
        let value = recorded.value_iterated_to();
        sum += value as f64 * count as f64 / scale;
        buckets[bounds.partition_point(|bound| *bound < value)].1 += count;
    }
    encoder.encode_histogram::<NoLabelSet>(sum, histogram.len(), &buckets, None)
}
