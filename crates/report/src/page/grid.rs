//! The heat map of throughput over deployments and batch sizes.

use plotly::{HeatMap, Layout, Trace, layout::AxisType};
use results::{Rounds, Status, Trial, median, sorted};
use serde::Serialize;

use super::plots::{Figure, axis, plain, plot, shades};
use crate::{names::Names, text::number};

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
pub(super) fn grid(names: &Names, results: &[&Trial]) -> Figure {
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
        "Queries/s by replicas × CPUs of each and maximum batch size, the median of the rounds that are not INVALID. A question mark is SUSPECT, a cross INVALID in some round; an empty cell was not measured.",
        plot,
    )
}

/// The median throughput of a cell's rounds that count, or of all where none does, and what is written in it.
fn cell(names: &Names, results: &[&Trial], row: &str, size: usize) -> (Option<f64>, String) {
    let here = results.iter().copied().filter(|result| {
        let node = &result.node_configs[0];
        node.batch_size == size && plain(&names.deployment(node)) == row
    });
    let rounds: Rounds<'_> = here.collect();
    let shown = rounds.shown().into_iter().filter_map(Trial::speed);
    let rates = sorted(shown.map(|speed| speed.throughput_qps));
    let Some(rate) = median(&rates) else {
        return (None, String::new());
    };
    let ran = rounds
        .all()
        .iter()
        .filter(|round| round.not_run().is_none());
    let mark = match ran.map(|round| round.verdict.status).max() {
        None | Some(Status::Valid) => "",
        Some(Status::Suspect) => " ?",
        Some(Status::Invalid) => " ✕",
    };
    (Some(rate), format!("{}{mark}", number(rate)))
}
