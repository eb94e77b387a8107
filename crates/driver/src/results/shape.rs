//! What distinguishes one point of a sweep from another.

use std::{collections::BTreeMap, fmt};

use super::{Arrivals, NodeConfig, PointResult};

/// What was asked for at a point. Rounds of one point have the same, and so have the points that two sweeps may be
/// compared at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// The model.
    pub model: String,
    /// What computed it, without its version; empty if no replica told.
    pub engine: String,
    /// The type of its inputs.
    pub input_type: String,
    /// Replicas.
    pub replicas: usize,
    /// Cores that each may use.
    pub cpus_per_replica: usize,
    /// How many of them have a GPU.
    pub gpus: usize,
    /// The maximum batch size.
    pub batch_size: usize,
    /// How queries were sent, with the rate if one was asked for: `profile`, `poisson 80/s`; `accuracy` if no speed was
    /// measured.
    pub mode: String,
}

/// The rounds of each point.
pub type Points<'a> = BTreeMap<Shape, Vec<&'a PointResult>>;

/// Puts the rounds of a point together, in the order of the results.
pub fn by_shape(results: &[PointResult]) -> Points<'_> {
    let mut points = Points::new();
    for result in results {
        points.entry(result.shape()).or_default().push(result);
    }
    points
}

impl PointResult {
    /// What was asked for.
    pub fn shape(&self) -> Shape {
        let node = self.node_configs.first();
        let text = |read: fn(&NodeConfig) -> &String| node.map(read).cloned().unwrap_or_default();
        let count = |read: fn(&NodeConfig) -> usize| node.map_or(0, read);
        let mut told = self
            .replicas
            .iter()
            .filter_map(|r| r.replica.metadata.as_ref());
        let engine = told
            .next()
            .and_then(|told| told.model.engine.split(' ').next());
        Shape {
            model: text(|node| &node.name),
            engine: engine.unwrap_or_default().to_owned(),
            input_type: text(|node| &node.input_type),
            replicas: count(|node| node.num_replicas),
            cpus_per_replica: count(|node| node.cpus_per_replica),
            gpus: count(|node| node.gpus.len()),
            batch_size: count(|node| node.batch_size),
            mode: self.mode(),
        }
    }

    fn mode(&self) -> String {
        let Some(speed) = self.speed() else {
            return "accuracy".to_owned();
        };
        match speed.phases.first().map(|phase| &phase.arrivals) {
            Some(Arrivals::Poisson { rate, .. } | Arrivals::Constant { rate }) => {
                format!("{} {rate}/s", speed.mode)
            }
            _ => speed.mode.clone(),
        }
    }
}

/// For instance `vgg (onnxruntime), 2 replicas x 1 CPU, batch 4, profile`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.model)?;
        if !self.engine.is_empty() {
            write!(f, " ({})", self.engine)?;
        }
        let (replicas, cpus) = (self.replicas, self.cpus_per_replica);
        let plural = |count| if count == 1 { "" } else { "s" };
        write!(
            f,
            ", {replicas} replica{} x {cpus} CPU{}",
            plural(replicas),
            plural(cpus)
        )?;
        if self.gpus > 0 {
            write!(f, ", {} GPU{}", self.gpus, plural(self.gpus))?;
        }
        write!(f, ", batch {}, {}", self.batch_size, self.mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::{accurate, phase, whole};

    #[test]
    fn a_shape_reads_as_what_was_asked_for() {
        let mut result = whole();
        assert_eq!(
            result.shape().to_string(),
            "noop, 2 replicas x 1 CPU, batch 4, saturate"
        );
        result.node_configs[0].gpus = vec![0];
        phase(&mut result).arrivals = Arrivals::Constant { rate: 80.0 };
        assert_eq!(
            result.shape().to_string(),
            "noop, 2 replicas x 1 CPU, 1 GPU, batch 4, saturate 80/s"
        );
        assert_eq!(accurate().shape().mode, "accuracy");
    }
}
