//! Plot of the resources that a point used over time.

use plotly::{
    HeatMap, Layout, Plot, Scatter,
    common::Mode,
    layout::{Axis, AxisType, RangeMode, Shape, ShapeLayer, ShapeLine, ShapeType},
};
use results::{Phase, Resources, Speed, Trial};

use super::plots::{PlotSection, axis, color, line, plain, plot, shades};
use crate::names::Names;

/// Plots the resources of each point, the fastest first.
pub(super) fn timeline(names: &Names, ranked: &[(&Trial, &Speed)]) -> PlotSection {
    const ID: (&str, &str) = ("resources", "CPU, memory and GPUs over time");
    let sampled = |(trial, speed): &(&Trial, &Speed)| {
        let resources = trial.resources.as_ref()?;
        let name = names.point(trial);
        (!resources.seconds.is_empty()).then(|| (name, of_point(resources, &speed.phases)))
    };
    let plots: Vec<_> = ranked.iter().filter_map(sampled).collect();
    if plots.is_empty() {
        return PlotSection::no_data(ID.0, ID.1, "no point has samples of its resources.");
    }
    PlotSection {
        id: ID.0,
        heading: ID.1,
        reading: "From top to bottom: CPU use of each process in cores, CPU use of each core, resident memory, and use of the \
                  GPUs if there are any. The measured windows are shaded; between them the load warmed up or ended."
            .to_owned(),
        plots,
    }
}

/// Panels of the plot, from the top.
enum Panel {
    Cpu,
    Cores,
    Memory,
    Gpus,
}

fn of_point(resources: &Resources, phases: &[Phase]) -> Plot {
    let mut panels = vec![Panel::Cpu, Panel::Cores, Panel::Memory];
    if !resources.gpus.is_empty() {
        panels.push(Panel::Gpus);
    }
    let count = panels.len();
    let x = axis("seconds under load")
        .anchor(format!("y{count}"))
        .range_mode(RangeMode::ToZero);
    let mut layout = Layout::new().x_axis(x);
    for (index, panel) in panels.iter().enumerate() {
        let axis = panel.axis().domain(&domain(index, count));
        layout = match index {
            0 => layout.y_axis(axis),
            1 => layout.y_axis2(axis),
            2 => layout.y_axis3(axis),
            _ => layout.y_axis4(axis),
        };
    }
    let mut plot = plot(
        140 + 160 * count,
        layout.shapes(phases.iter().map(shade).collect()),
    );
    for (index, panel) in panels.iter().enumerate() {
        panel.draw(&mut plot, resources, &format!("y{}", index + 1));
    }
    plot
}

/// Returns the range of panel number `index` as shares of the height; 0 is the bottom.
fn domain(index: usize, count: usize) -> [f64; 2] {
    const GAP: f64 = 0.06;
    let each = (1.0 + GAP) / count as f64;
    let top = 1.0 - each * index as f64;
    [(top - each + GAP).max(0.0), top]
}

impl Panel {
    fn axis(&self) -> Axis {
        match self {
            Panel::Cpu => axis("CPU, cores").range_mode(RangeMode::ToZero),
            Panel::Cores => axis("core").type_(AxisType::Category),
            Panel::Memory => axis("memory, MiB").range_mode(RangeMode::ToZero),
            Panel::Gpus => axis("GPU busy").range(vec![0.0, 1.0]).tick_format(".0%"),
        }
    }

    fn draw(&self, plot: &mut Plot, resources: &Resources, y_axis: &str) {
        let seconds = &resources.seconds;
        let mut lines = |index: usize, name: &str, values: &[f64], legend: bool| {
            let name = plain(name);
            plot.add_trace(
                Scatter::new(seconds.clone(), rounded(values))
                    .mode(Mode::Lines)
                    .name(&name)
                    .legend_group(&name)
                    .show_legend(legend)
                    .line(line(index))
                    .y_axis(y_axis),
            );
        };
        let processes = resources.processes.iter().enumerate();
        match self {
            Panel::Cpu => {
                processes
                    .for_each(|(index, process)| lines(index, &process.name, &process.cpu, true));
                if resources.stolen.iter().any(|&share| share > 0.01) {
                    let cores = resources.cores.len() as f64;
                    let stolen: Vec<_> =
                        resources.stolen.iter().map(|share| share * cores).collect();
                    lines(
                        resources.processes.len(),
                        "stolen by the host",
                        &stolen,
                        true,
                    );
                }
            }
            Panel::Memory => processes
                .for_each(|(index, process)| lines(index, &process.name, &process.rss_mib, false)),
            Panel::Gpus => {
                for (index, gpu) in resources.gpus.iter().enumerate() {
                    lines(
                        resources.processes.len() + 1 + index,
                        &format!("GPU {}: {}", gpu.index, gpu.name),
                        &gpu.busy,
                        true,
                    );
                }
            }
            Panel::Cores => plot.add_trace(cores(resources).y_axis(y_axis)),
        }
    }
}

/// Returns the heat map of the cores; a busy core is dark.
fn cores(resources: &Resources) -> Box<HeatMap<f64, String, Vec<f64>>> {
    let rows = resources
        .cores
        .iter()
        .map(|core| core.core.to_string())
        .collect();
    let busy = resources
        .cores
        .iter()
        .map(|core| rounded(&core.busy))
        .collect();
    HeatMap::new(resources.seconds.clone(), rows, busy)
        .color_scale(shades())
        .zmin(0.0)
        .zmax(1.0)
        .show_scale(false)
        .hover_template("core %{y}, %{x:.0f} s: %{z:.0%} busy<extra></extra>")
}

/// Rounds to three decimals, which keeps the page small.
fn rounded(values: &[f64]) -> Vec<f64> {
    values
        .iter()
        .map(|value| (value * 1e3).round() / 1e3)
        .collect()
}

/// Returns the shaded window of a phase.
fn shade(phase: &Phase) -> Shape {
    Shape::new()
        .shape_type(ShapeType::Rect)
        .x_ref("x")
        .y_ref("paper")
        .x0(phase.opened_seconds)
        .x1(phase.opened_seconds + phase.totals.seconds)
        .y0(0.0)
        .y1(1.0)
        .layer(ShapeLayer::Below)
        .fill_color(color(5))
        .opacity(0.14)
        .line(ShapeLine::new().width(0.0))
        .name(phase.kind.name())
}
