//! The heat map of throughput over deployments and batch sizes.

use plotly::{HeatMap, Layout, Trace, layout::AxisType};
use serde::Serialize;

use super::{
    super::names::{Names, number},
    plots::{Figure, axis, plain, plot, shades},
};
use crate::results::{PointResult, Status};

/// A heat map with its numbers in the cells, which the library's own type does not know.
#[derive(Clone, Serialize)]
struct Labelled {
    #[serde(flatten)]
    map: HeatMap<String, String, Vec<Option<f64>>>,
    text: Vec<Vec<String>>,
    texttemplate: &'static str,
    hovertemplate: &'static str,
}

impl Trace for Labelled {
    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("it has no maps with keys other than text")
    }
}

/// Throughput over the grid of deployments and batch sizes; every point that was to be measured has a cell.
pub(super) fn grid(names: &Names, results: &[&PointResult]) -> Figure {
    let (mut rows, mut sizes) = (Vec::new(), Vec::new());
    for result in results {
        let node = &result.node_configs[0];
        rows.push(plain(&names.deployment(node)));
        sizes.push(node.batch_size);
    }
    rows.dedup();
    sizes.sort_unstable();
    sizes.dedup();
    let (mut z, mut text) = (Vec::new(), Vec::new());
    for row in &rows {
        let cells: Vec<_> = sizes
            .iter()
            .map(|&size| cell(names, results, row, size))
            .collect();
        z.push(cells.iter().map(|(value, _)| *value).collect::<Vec<_>>());
        text.push(cells.into_iter().map(|(_, text)| text).collect::<Vec<_>>());
    }
    let columns = sizes.iter().map(usize::to_string).collect();
    let height = 150 + 44 * rows.len();
    let map = HeatMap::new(columns, rows, z)
        .color_scale(shades())
        .show_scale(false)
        .x_gap(2.0)
        .y_gap(2.0);
    let x = axis("maximum batch size").type_(AxisType::Category);
    let y = axis("").type_(AxisType::Category);
    let mut plot = plot(height, Layout::new().x_axis(x).y_axis(y));
    plot.add_trace(Box::new(Labelled {
        map: *map,
        text,
        texttemplate: "%{text}",
        hovertemplate: "%{y}, batch %{x}: %{text} queries/s<extra></extra>",
    }));
    Figure::of(
        "grid",
        "Throughput over the grid",
        "Queries/s by replicas × CPUs of each and maximum batch size, the mean of the rounds. A question mark is SUSPECT, a cross INVALID; an empty cell was not measured.",
        plot,
    )
}

/// The mean throughput of a cell's rounds, and what is written in it.
fn cell(names: &Names, results: &[&PointResult], row: &str, size: usize) -> (Option<f64>, String) {
    let here = results.iter().filter(|result| {
        let node = &result.node_configs[0];
        node.batch_size == size && plain(&names.deployment(node)) == row
    });
    let (rates, statuses): (Vec<_>, Vec<_>) = here
        .filter_map(|result| Some((result.speed()?.throughput_qps, result.verdict.status)))
        .unzip();
    let Some(worst) = statuses.into_iter().max() else {
        return (None, String::new());
    };
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    let mark = match worst {
        Status::Valid => "",
        Status::Suspect => " ?",
        Status::Invalid => " ✕",
    };
    (Some(mean), format!("{}{mark}", number(mean)))
}
