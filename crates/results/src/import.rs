//! Result files of the original driver: what can honestly be said from them.
//!
//! It closed a window after a fixed number of answers and noted its rate. So the rate of the whole is the harmonic mean
//! of the windows' rates, which is answers divided by time; their plain mean, which it reported, is higher. A
//! percentile of the whole cannot be had from those of its parts.

use std::{fs, path::Path};

use loadgen::stats::interval;
use serde::Deserialize;
use serde_json::Value;

use crate::{folder::NotRead, speed::ClientMetrics};

/// One file: a model, or a pipeline of several.
#[derive(Debug)]
pub struct Original {
    /// What was deployed.
    pub nodes: Vec<Node>,
    /// Answers divided by time, over all clients, in queries a second; `None` without a window.
    pub throughput_qps: Option<f64>,
    /// What it called throughput: the mean of its windows' rates.
    pub mean_of_rates: Option<f64>,
    /// Mean latency from the sending, in milliseconds.
    pub mean_ms: Option<f64>,
    /// The 99th percentile of the first and of the last window, in milliseconds.
    pub windows_p99_ms: Option<(f64, f64)>,
    /// Mean size of the batches, as the frontend counted, for a single model.
    pub mean_batch: Option<f64>,
    /// Answers, as the frontend counted, for a single model.
    pub answers: Option<u64>,
}

/// A model of the original's.
#[derive(Debug, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Replicas.
    pub num_replicas: Option<usize>,
    /// Cores of each.
    pub cpus_per_replica: Option<usize>,
    /// The maximum batch size.
    pub batch_size: Option<usize>,
}

/// The keys of a file that are read.
#[derive(Deserialize)]
struct Keys {
    node_configs: Vec<Value>,
    client_metrics: Clients,
    #[serde(default)]
    clipper_metrics: Value,
}

/// Its first versions wrote down one client, later ones a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Clients {
    One(ClientMetrics),
    Several(Vec<ClientMetrics>),
}

impl Original {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or is no result of the original driver.
    pub fn read(file: &Path) -> Result<Original, NotRead> {
        Original::parse(&fs::read(file)?)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// If it is no result of the original driver.
    pub fn parse(text: &[u8]) -> Result<Original, NotRead> {
        let keys: Keys = serde_json::from_slice(text)?;
        // Some lists have an entry on the load among the models.
        let nodes = keys.node_configs.into_iter();
        let nodes: Vec<Node> = nodes
            .filter_map(|node| serde_json::from_value(node).ok())
            .collect();
        let clients = match keys.client_metrics {
            Clients::One(client) => vec![client],
            Clients::Several(clients) => clients,
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
            [] => return Err(NotRead::Empty("node_configs")),
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

/// `None` if some value is not above zero.
fn harmonic_mean(values: &[f64]) -> Option<f64> {
    let inverse: Vec<_> = values.iter().map(|value| value.recip()).collect();
    let sound = values.iter().all(|value| *value > 0.0);
    mean(&inverse).filter(|_| sound).map(f64::recip)
}

/// Of the first client: the others' windows are not of the same times.
fn first_and_last(clients: &[ClientMetrics]) -> Option<(f64, f64)> {
    let windows = &clients.first()?.p99_lats;
    let (first, last) = (windows.first()?.as_ref()?, windows.last()?.as_ref()?);
    Some((first * 1e3, last * 1e3))
}

/// A value of Clipper's metrics: lists of objects with one name each, and numbers as text.
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

    fn read(json: &Value) -> Result<Original, NotRead> {
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
    fn throughput_is_answers_divided_by_time_and_the_mean_of_rates_stands_beside_it() {
        let original = read(&file()).unwrap();
        // 50 answers a window: 150 of them in 0.5 + 0.5 + 0.125 seconds.
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
    fn the_rates_of_several_clients_add_up() {
        let mut several = file();
        several["client_metrics"] = json!([client(&[100.0]), client(&[50.0, 50.0])]);
        let original = read(&several).unwrap();
        assert_eq!(original.throughput_qps, Some(150.0));
        several["client_metrics"] = json!([client(&[100.0]), client(&[])]);
        assert_eq!(read(&several).unwrap().throughput_qps, None);
    }

    #[test]
    fn what_a_file_does_not_say_is_absent() {
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
    fn a_pipeline_has_no_mean_batch_and_its_entry_on_the_load_is_no_model() {
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
    fn odd_files_are_refused_and_never_a_panic() {
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
