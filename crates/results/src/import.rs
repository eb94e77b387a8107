//! Figures from result files of the original driver.
//!
//! The original closed a window after a fixed number of answers and recorded its rate. The overall
//! rate (answers divided by time) is therefore the harmonic mean of the windows' rates; their
//! arithmetic mean, which the original reported, is higher. Percentiles of windows do not combine
//! into an overall percentile.

use std::{fs, path::Path};

use loadgen::stats::interval;
use serde::Deserialize;
use serde_json::Value;

use crate::{folder::ReadError, speed::ClientMetrics};

/// A result file of the original driver: of one model, or of a pipeline of several.
#[derive(Debug)]
pub struct Original {
    /// Deployed models.
    pub nodes: Vec<OriginalNode>,
    /// Answers divided by time, over all clients, in queries/s; `None` without a window.
    pub throughput_qps: Option<f64>,
    /// Throughput as the original reported it: the arithmetic mean of the windows' rates, in
    /// queries/s.
    pub mean_of_rates: Option<f64>,
    /// Mean latency from the send, in milliseconds.
    pub mean_ms: Option<f64>,
    /// 99th percentiles of the first and the last window, in milliseconds.
    pub windows_p99_ms: Option<(f64, f64)>,
    /// Mean size of the batches by the frontend's metrics, for a single model.
    pub mean_batch: Option<f64>,
    /// Number of answers by the frontend's metrics, for a single model.
    pub answers: Option<u64>,
}

/// A model in a result file of the original driver.
#[derive(Debug, Deserialize)]
pub struct OriginalNode {
    /// Name of the model.
    pub name: String,
    /// Number of replicas.
    pub num_replicas: Option<usize>,
    /// Cores of each replica.
    pub cpus_per_replica: Option<usize>,
    /// Maximum batch size.
    pub batch_size: Option<usize>,
}

/// The keys of the file that are read.
#[derive(Deserialize)]
struct OriginalKeys {
    node_configs: Vec<Value>,
    client_metrics: MetricsByClient,
    #[serde(default)]
    clipper_metrics: Value,
}

/// Metrics of one client, as the first versions of the original wrote them, or of several.
#[derive(Deserialize)]
#[serde(untagged)]
enum MetricsByClient {
    One(ClientMetrics),
    Several(Vec<ClientMetrics>),
}

impl Original {
    /// Reads a file.
    ///
    /// # Errors
    /// If the file cannot be read or is not of the original driver.
    pub fn read(file: &Path) -> Result<Original, ReadError> {
        Original::parse(&fs::read(file)?)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// If the text is not of the original driver.
    pub fn parse(text: &[u8]) -> Result<Original, ReadError> {
        let keys: OriginalKeys = serde_json::from_slice(text)?;
        // Some lists have an entry about the load among the models.
        let nodes = keys.node_configs.into_iter();
        let nodes: Vec<OriginalNode> = nodes
            .filter_map(|node| serde_json::from_value(node).ok())
            .collect();
        let clients = match keys.client_metrics {
            MetricsByClient::One(client) => vec![client],
            MetricsByClient::Several(clients) => clients,
        };
        let rates = |each: fn(&[f64]) -> Option<f64>| {
            clients.iter().map(|client| each(&client.thrus)).sum()
        };
        let means = clients
            .iter()
            .flat_map(|client| &client.mean_lats)
            .flatten()
            .copied();
        let only = match &nodes[..] {
            [] => return Err(ReadError::Empty("node_configs")),
            [only] => Some(only.name.as_str()),
            _ => None,
        };
        let metric = |list: &str, name: &str, value: &str| {
            metric(
                &keys.clipper_metrics,
                list,
                &name.replace('*', only?),
                value,
            )
        };
        Ok(Original {
            throughput_qps: rates(harmonic_mean),
            mean_of_rates: rates(mean),
            mean_ms: mean(&means.collect::<Vec<_>>()).map(|seconds| seconds * 1e3),
            windows_p99_ms: first_and_last(&clients),
            mean_batch: metric("histograms", "model:*:1:batch_size", "mean"),
            answers: metric("counters", "app:*:num_predictions", "count").map(|count| count as u64),
            nodes,
        })
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| interval::mean(values))
}

/// Returns `None` if a value is not above zero.
fn harmonic_mean(values: &[f64]) -> Option<f64> {
    let inverse: Vec<_> = values.iter().map(|value| value.recip()).collect();
    let sound = values.iter().all(|value| *value > 0.0);
    mean(&inverse).filter(|_| sound).map(f64::recip)
}

/// Returns the p99 of the first client only: the windows of the others cover different times.
fn first_and_last(clients: &[ClientMetrics]) -> Option<(f64, f64)> {
    let windows = &clients.first()?.p99_lats;
    let (first, last) = (windows.first()?.as_ref()?, windows.last()?.as_ref()?);
    Some((first * 1e3, last * 1e3))
}

/// Returns a value of Clipper's metrics: lists of objects with one name each, and numbers as text.
fn metric(metrics: &Value, list: &str, name: &str, value: &str) -> Option<f64> {
    let mut entries = metrics.get(list)?.as_array()?.iter();
    let number = entries.find_map(|entry| entry.get(name)?.get(value))?;
    match number {
        Value::String(text) => text.parse().ok(),
        number => number.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(json: &Value) -> Result<Original, ReadError> {
        Original::parse(json.to_string().as_bytes())
    }

    fn node(name: &str) -> Value {
        json!({"name": name, "num_replicas": 2, "cpus_per_replica": 1, "batch_size": 8, "model_image": "model-comp/x",
               "input_type": "floats", "allocated_cpus": [14], "gpus": [], "slo": 500_000})
    }

    fn client(rates: &[f64]) -> Value {
        let latencies: Vec<_> = (1..=rates.len()).map(|window| window as f64).collect();
        json!({"thrus": rates, "p99_lats": latencies, "mean_lats": latencies})
    }

    fn file() -> Value {
        json!({
            "node_configs": [node("lgbm")],
            "client_metrics": client(&[100.0, 100.0, 400.0]),
            "clipper_metrics": {
                "histograms": [{"app:lgbm:prediction_latency": {"mean": "3"}}, {"model:lgbm:1:batch_size": {"mean": "4.96"}}],
                "counters": [{"app:lgbm:num_predictions": {"count": "150"}}]
            }
        })
    }

    #[test]
    fn throughput_is_answers_divided_by_time() {
        let original = read(&file()).unwrap();
        // 50 answers in each window: 150 in 0.5 + 0.5 + 0.125 seconds.
        let qps = original.throughput_qps.unwrap();
        assert!((qps - 150.0 / 1.125).abs() < 1e-9, "{qps}");
        assert_eq!(original.mean_of_rates, Some(200.0));
        assert_eq!(original.mean_ms, Some(2000.0));
        assert_eq!(original.windows_p99_ms, Some((1000.0, 3000.0)));
        assert_eq!(
            (original.mean_batch, original.answers),
            (Some(4.96), Some(150))
        );
        assert_eq!(original.nodes[0].num_replicas, Some(2));
    }

    #[test]
    fn rates_of_several_clients_add_up() {
        let mut several = file();
        several["client_metrics"] = json!([client(&[100.0]), client(&[50.0, 50.0])]);
        let original = read(&several).unwrap();
        assert_eq!(original.throughput_qps, Some(150.0));
        several["client_metrics"] = json!([client(&[100.0]), client(&[])]);
        assert_eq!(read(&several).unwrap().throughput_qps, None);
    }

    #[test]
    fn missing_figures_are_absent() {
        let mut empty = file();
        empty["client_metrics"] = client(&[]);
        empty.as_object_mut().unwrap().remove("clipper_metrics");
        let original = read(&empty).unwrap();
        assert_eq!(
            (original.throughput_qps, original.mean_of_rates),
            (None, None)
        );
        assert_eq!((original.mean_ms, original.windows_p99_ms), (None, None));
        assert_eq!((original.mean_batch, original.answers), (None, None));
        let mut stalled = file();
        stalled["client_metrics"] = client(&[100.0, 0.0]);
        assert_eq!(read(&stalled).unwrap().throughput_qps, None);
    }

    #[test]
    fn pipeline_has_no_mean_batch() {
        let mut pipeline = file();
        pipeline["node_configs"] = json!([{"request_delay": 0.012}, node("lgbm"), node("vgg")]);
        let original = read(&pipeline).unwrap();
        let names: Vec<_> = original
            .nodes
            .iter()
            .map(|node| node.name.as_str())
            .collect();
        assert_eq!(names, ["lgbm", "vgg"]);
        assert_eq!((original.mean_batch, original.answers), (None, None));
    }

    #[test]
    fn refuses_malformed_files_without_a_panic() {
        let without = |key: &str| {
            let mut file = file();
            file.as_object_mut().unwrap().remove(key);
            file
        };
        for odd in [
            json!(null),
            json!([]),
            json!({}),
            without("node_configs"),
            without("client_metrics"),
            json!({"node_configs": [], "client_metrics": client(&[1.0])}),
            json!({"node_configs": ["vgg"], "client_metrics": client(&[1.0])}),
            json!({"node_configs": [node("vgg")], "client_metrics": {"thrus": ["fast"], "p99_lats": [], "mean_lats": []}}),
        ] {
            assert!(read(&odd).is_err(), "{odd}");
        }
        let mut odd = file();
        for metrics in [
            json!("text"),
            json!({"histograms": 3}),
            json!({"counters": [7, {"app:lgbm:num_predictions": []}]}),
        ] {
            odd["clipper_metrics"] = metrics;
            assert_eq!(read(&odd).unwrap().answers, None);
        }
    }
}
