//! Checks that a state dict belongs to a network, tensor by tensor.

use std::{collections::BTreeSet, fmt::Display};

use anyhow::bail;

use super::{layer::Layer, network::Network, state_dict::StateDict};

/// Maximum number of names in one line of a message.
const NAMED: usize = 8;

/// Fails for a state dict with tensors that are missing, superfluous, or of another shape or type than `layers` need.
/// The message names them.
pub(crate) fn check(dict: &StateDict, network: &Network, layers: &[Layer]) -> anyhow::Result<()> {
    let expected: Vec<_> = layers.iter().flat_map(Layer::tensors).collect();
    let mut lines = Vec::new();
    let missing = expected.iter().filter(|(name, _)| dict.get(name).is_none());
    line(&mut lines, "missing", missing.map(|(name, _)| name));

    let known = known(network, layers);
    let superfluous = dict.names().filter(|name| !known.contains(name));
    line(&mut lines, "superfluous", superfluous);

    let found = expected
        .iter()
        .filter_map(|(name, shape)| Some((name, shape, dict.get(name)?)));
    let shapes = found.clone().filter(|(_, shape, t)| **shape != t.shape());
    let shapes =
        shapes.map(|(name, shape, t)| format!("{name} ({:?} instead of {shape:?})", t.shape()));
    line(&mut lines, "of the wrong shape", shapes);
    let types = found.filter(|(_, _, tensor)| !tensor.is_float());
    let types =
        types.map(|(name, _, t)| format!("{name} ({:?} instead of F32, F16 or BF16)", t.dtype()));
    line(&mut lines, "of the wrong type", types);
    if !lines.is_empty() {
        bail!(
            "these are not the weights of torchvision's {}:{}",
            network.torchvision,
            lines.concat()
        );
    }
    Ok(())
}

/// Number of the names that belong to the network.
pub(crate) fn count_known(dict: &StateDict, network: &Network) -> usize {
    let graph = (network.graph)();
    let known = known(network, graph.layers());
    dict.names().filter(|name| known.contains(name)).count()
}

/// The names that a network's state dict may have.
struct Known {
    names: BTreeSet<String>,
    unused: &'static [&'static str],
}

fn known(network: &Network, layers: &[Layer]) -> Known {
    let expected = layers
        .iter()
        .flat_map(Layer::tensors)
        .map(|tensor| tensor.0);
    let counters = layers.iter().filter_map(Layer::counter);
    Known {
        names: expected.chain(counters).collect(),
        unused: network.unused,
    }
}

impl Known {
    fn contains(&self, name: &str) -> bool {
        self.names.contains(name) || self.unused.iter().any(|layer| name.starts_with(layer))
    }
}

/// Adds a line of names, cut off after the first few.
fn line(lines: &mut Vec<String>, what: &str, names: impl Iterator<Item = impl Display>) {
    let names: Vec<_> = names.map(|name| name.to_string()).collect();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    if !names.is_empty() {
        let first = names[..names.len().min(NAMED)].join(", ");
        lines.push(format!("\n  {what}: {first}{more}"));
    }
}
