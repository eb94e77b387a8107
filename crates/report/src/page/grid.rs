//! Heat map of throughput over deployments and batch sizes.

use plotly::{HeatMap, Layout, Trace, layout::AxisType};
use results::{Rounds, Trial, VerdictStatus, median, sorted};
use serde::Serialize;

use super::plots::{PlotSection, axis, plain, plot, shades};
use crate::{names::Names, text::number};

/// Heat map with texts in its cells, which the type of the library lacks.
#[derive(Clone, Serialize)]
struct LabelledHeatMap {
    #[serde(flatten)]
    map: HeatMap<String, String, Vec<Option<f64>>>,
    text: Vec<Vec<String>>,
    texttemplate: &'static str,
    hovertemplate: &'static str,
}

impl Trace for LabelledHeatMap {
    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("all keys are text")
    }
}

/// Plots throughput over the grid of deployments and batch sizes; a point that was not measured has
/// an empty cell.
pub(super) fn grid(names: &Names, trials: &[&Trial]) -> PlotSection {
    let (mut rows, mut sizes) = (Vec::new(), Vec::new());
    for trial in trials {
        let node = &trial.node_configs[0];
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
            .map(|&size| cell(names, trials, row, size))
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
    plot.add_trace(Box::new(LabelledHeatMap {
        map: *map,
        text,
        texttemplate: "%{text}",
        hovertemplate: "%{y}, batch %{x}: %{text} queries/s<extra></extra>",
    }));
    PlotSection::of(
        "grid",
        "Throughput over the grid",
        "Queries/s by number of replicas × CPUs per replica and by maximum batch size: the median of the rounds that are not INVALID. A question mark marks a SUSPECT round, a cross an INVALID one; an empty cell was not measured.",
        plot,
    )
}

/// Returns the median throughput of the rounds that count, or of all rounds if none counts, and the
/// text of the cell.
fn cell(names: &Names, trials: &[&Trial], row: &str, size: usize) -> (Option<f64>, String) {
    let here = trials.iter().copied().filter(|trial| {
        let node = &trial.node_configs[0];
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
        None | Some(VerdictStatus::Valid) => "",
        Some(VerdictStatus::Suspect) => " ?",
        Some(VerdictStatus::Invalid) => " ✕",
    };
    (Some(rate), format!("{}{mark}", number(rate)))
}
