//! Common parts of the plots, and the plots that compare points.

use std::collections::BTreeMap;

use plotly::{
    Bar, Configuration, Layout, Plot, Scatter, Trace,
    common::{
        Anchor, ColorScale, ColorScaleElement, DashType, ErrorData, ErrorType, HoverInfo, Line,
        Marker, MarkerSymbol, Mode, Orientation, Title, Visible,
    },
    configuration::{DisplayModeBar, ModeBarButtonName},
    layout::{Axis, AxisType, BarMode, HoverMode, Legend, Margin, RangeMode, TraceOrder},
};
use results::{Estimate, Rounds, Speed, TimeBreakdown, Trial, VerdictStatus};

use crate::{names::Names, text::estimate};

/// Colours that colour-blind readers can tell apart, on white and on black.
const COLORS: [&str; 6] = [
    "#2f7fd1", "#d55e00", "#009e73", "#b05fa8", "#b8860b", "#7a7f87",
];
const DASHES: [DashType; 4] = [
    DashType::Solid,
    DashType::Dash,
    DashType::DashDot,
    DashType::LongDash,
];
/// Number of lines that a reader can tell apart; a click in the legend shows the others.
pub(super) const LINES: usize = 6;

/// Section of the page with one plot, with several to choose from, or with none.
pub(super) struct PlotSection {
    /// Identifier in the document.
    pub(super) id: &'static str,
    /// Heading of the section.
    pub(super) heading: &'static str,
    /// Explanation of the plot, or why there is none.
    pub(super) reading: String,
    /// Plots with their names.
    pub(super) plots: Vec<(String, Plot)>,
}

impl PlotSection {
    /// Returns a section with one plot.
    pub(super) fn of(
        id: &'static str,
        heading: &'static str,
        reading: &str,
        plot: Plot,
    ) -> PlotSection {
        PlotSection {
            id,
            heading,
            reading: reading.to_owned(),
            plots: vec![(heading.to_owned(), plot)],
        }
    }

    /// Returns a section without a plot, which states why there are no data.
    pub(super) fn no_data(id: &'static str, heading: &'static str, why: &str) -> PlotSection {
        PlotSection {
            id,
            heading,
            reading: format!("No data: {why}"),
            plots: Vec::new(),
        }
    }
}

/// Returns the colour of line number `index`.
pub(super) fn color(index: usize) -> &'static str {
    COLORS[index % COLORS.len()]
}

/// Returns the stroke of line number `index`; the dashes change each time the colours repeat.
pub(super) fn line(index: usize) -> Line {
    let dash = &DASHES[index / COLORS.len() % DASHES.len()];
    Line::new()
        .color(color(index))
        .dash(dash.clone())
        .width(2.0)
}

/// Returns the marker of a verdict: a circle, a diamond or a hollow circle.
pub(super) fn marker(status: VerdictStatus, color: &'static str) -> Marker {
    let symbol = match status {
        VerdictStatus::Valid => MarkerSymbol::Circle,
        VerdictStatus::Suspect => MarkerSymbol::Diamond,
        VerdictStatus::Invalid => MarkerSymbol::CircleOpen,
    };
    Marker::new().symbol(symbol).color(color).size(9)
}

/// Shows the first lines, and lists the others in the legend only.
pub(super) fn visible(index: usize) -> Visible {
    match index < LINES {
        true => Visible::True,
        false => Visible::LegendOnly,
    }
}

/// Returns the error bars of 95 % intervals; those without an interval have length zero.
pub(super) fn bars(estimates: &[Estimate]) -> ErrorData {
    let lengths = |end: fn(&Estimate) -> Option<f64>| {
        let length = |e: &Estimate| end(e).map_or(0.0, |end| (end - e.value).abs());
        estimates.iter().map(length).collect()
    };
    ErrorData::new(ErrorType::Data)
        .symmetric(false)
        .array(lengths(|e| e.high))
        .array_minus(lengths(|e| e.low))
        .thickness(1.2)
        .width(4)
}

/// Returns the colour scale of heat maps, from low to high.
pub(super) fn shades() -> ColorScale {
    let shades = ["#eaf2fb", "#9cc4e8", "#2f7fd1", "#0b2e5c"]
        .into_iter()
        .enumerate();
    ColorScale::Vector(
        shades
            .map(|(index, shade)| ColorScaleElement(index as f64 / 3.0, shade.to_owned()))
            .collect(),
    )
}

/// Returns an empty plot; `height` in pixels excludes the legend above it.
pub(super) fn plot(height: usize, layout: Layout) -> Plot {
    let mut plot = Plot::new();
    plot.set_layout(
        layout
            .height(height)
            .hover_mode(HoverMode::Closest)
            .margin(Margin::new().left(64).right(16).top(32).bottom(56))
            .legend(
                Legend::new()
                    .orientation(Orientation::Horizontal)
                    .y(1.0)
                    .y_anchor(Anchor::Bottom)
                    .trace_order(TraceOrder::Normal),
            ),
    );
    plot.set_configuration(
        Configuration::new()
            .responsive(true)
            .display_mode_bar(DisplayModeBar::Hover)
            .display_logo(false)
            .mode_bar_buttons_to_remove(vec![
                ModeBarButtonName::Select2d,
                ModeBarButtonName::Lasso2d,
            ]),
    );
    plot
}

/// Returns an axis that makes room for its labels.
pub(super) fn axis(title: &str) -> Axis {
    Axis::new().title(Title::with_text(title)).auto_margin(true)
}

/// Returns a logarithmic axis with ticks at 1, 2 and 5 of each decade.
pub(super) fn logarithmic(title: &str) -> Axis {
    let decades = (-3..9).flat_map(|decade| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(decade)));
    let values: Vec<f64> = decades.collect();
    let texts = values.iter().map(ToString::to_string).collect();
    axis(title)
        .type_(AxisType::Log)
        .tick_values(values)
        .tick_text(texts)
}

/// Escapes text from a trial file, because plotly.js interprets tags in labels.
pub(super) fn plain(text: &str) -> String {
    maud::html!((text)).into_string()
}

/// Returns the text at the pointer.
fn hover(names: &Names, trial: &Trial, speed: &Speed) -> String {
    let interval = estimate(&speed.phases[0].throughput);
    let mut text = format!(
        "{}<br>{interval} queries/s<br>{}",
        plain(&names.point(trial)),
        trial.verdict.status
    );
    for reason in &trial.verdict.reasons {
        text.push_str("<br>");
        text.push_str(&plain(&reason.text));
    }
    text
}

/// Plots throughput against batch size, one line per deployment.
pub(super) fn throughput(names: &Names, results: &[(&Trial, &Speed)]) -> PlotSection {
    let mut sizes: Vec<_> = results
        .iter()
        .map(|(trial, _)| trial.node_configs[0].batch_size)
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    let x = axis("maximum batch size")
        .type_(AxisType::Log)
        .tick_values(sizes.iter().map(|&size| size as f64).collect())
        .tick_text(sizes.iter().map(usize::to_string).collect());
    let y = axis("queries/s").range_mode(RangeMode::ToZero);
    let mut plot = plot(440, Layout::new().x_axis(x).y_axis(y));
    for (index, (deployment, points)) in deployments(names, results).into_iter().enumerate() {
        plot.add_trace(medians(index, &deployment, &points));
        plot.add_traces(marks(names, index, &deployment, &points));
    }
    PlotSection::of(
        "throughput",
        "Throughput against batch size",
        "One line per number of replicas × CPUs per replica, through the median of the rounds that are not INVALID; bars are 95 % \
         intervals. Circles are VALID, diamonds SUSPECT, hollow circles INVALID.",
        plot,
    )
}

/// Trials of one deployment, with their speeds.
type Points<'a> = Vec<(&'a Trial, &'a Speed)>;

/// Returns the points with their intervals, one trace per verdict; only the first is in the legend.
fn marks(names: &Names, index: usize, deployment: &str, points: &Points) -> Vec<Box<dyn Trace>> {
    let mut traces: Vec<Box<dyn Trace>> = Vec::new();
    for status in [
        VerdictStatus::Valid,
        VerdictStatus::Suspect,
        VerdictStatus::Invalid,
    ] {
        let of = |(trial, _): &&(&Trial, &Speed)| trial.verdict.status == status;
        let points: Vec<_> = points.iter().filter(of).collect();
        if points.is_empty() {
            continue;
        }
        let sizes = points
            .iter()
            .map(|(trial, _)| trial.node_configs[0].batch_size);
        let rates = points.iter().map(|(_, speed)| speed.throughput_qps);
        let intervals: Vec<_> = points
            .iter()
            .map(|(_, speed)| speed.phases[0].throughput)
            .collect();
        let hovers = points
            .iter()
            .map(|(trial, speed)| hover(names, trial, speed));
        traces.push(
            Scatter::new(sizes.collect(), rates.collect())
                .mode(Mode::Markers)
                .name(deployment)
                .legend_group(deployment)
                .show_legend(traces.is_empty())
                .marker(marker(status, color(index)))
                .error_y(bars(&intervals))
                .hover_info(HoverInfo::Text)
                .hover_text_array(hovers.collect()),
        );
    }
    traces
}

/// Groups the results by deployment, in their order.
fn deployments<'a>(names: &Names, results: &[(&'a Trial, &'a Speed)]) -> Vec<(String, Points<'a>)> {
    let mut groups: Vec<(String, Points)> = Vec::new();
    for &(trial, speed) in results {
        let name = plain(&names.deployment(&trial.node_configs[0]));
        match groups.last_mut() {
            Some((last, points)) if *last == name => points.push((trial, speed)),
            _ => groups.push((name, vec![(trial, speed)])),
        }
    }
    groups
}

/// Returns the line through the median of each batch size, over the rounds that count.
fn medians(index: usize, deployment: &str, points: &Points) -> Box<dyn Trace> {
    let mut rounds: BTreeMap<usize, Rounds<'_>> = BTreeMap::new();
    for (trial, _) in points {
        let size = trial.node_configs[0].batch_size;
        rounds.entry(size).or_default().push(trial);
    }
    let median = |rounds: &Rounds<'_>| rounds.median(|speed| Some(speed.throughput_qps));
    let medians = rounds.into_iter();
    let medians = medians.filter_map(|(size, rounds)| Some((size, median(&rounds)?)));
    let (sizes, rates) = medians.unzip();
    Scatter::new(sizes, rates)
        .mode(Mode::Lines)
        .legend_group(deployment)
        .show_legend(false)
        .line(line(index))
        .hover_info(HoverInfo::Skip)
}

/// Reads one part of the breakdown, in microseconds.
type ReadMicros = fn(&TimeBreakdown) -> f64;

/// Parts of a query's time, in order. The wire is the time that neither frontend nor model server
/// accounts for.
const PARTS: [(&str, ReadMicros); 5] = [
    ("queued", |time| time.queued),
    ("wire", |time| {
        (time.away - time.waited - time.predicting - time.replying).max(0.0)
    }),
    ("waited", |time| time.waited),
    ("predicting", |time| time.predicting),
    ("replying", |time| time.replying),
];

/// Plots the parts of a query's time, one stacked bar per point.
pub(super) fn breakdown(names: &Names, results: &[(&Trial, &Speed)]) -> PlotSection {
    const ID: (&str, &str) = ("breakdown", "Where a query's time goes");
    // The axis starts at the bottom, and the first point must be on top.
    let (points, times): (Vec<_>, Vec<_>) = (results.iter().rev())
        .filter_map(|(trial, speed)| {
            Some((plain(&names.point(trial)), speed.phases[0].time_breakdown?))
        })
        .unzip();
    if points.is_empty() {
        return PlotSection::no_data(
            ID.0,
            ID.1,
            "no point has an answer with a breakdown of its time.",
        );
    }
    let height = 130 + 26 * points.len();
    let layout = Layout::new()
        .bar_mode(BarMode::Stack)
        .x_axis(axis("mean milliseconds per query"))
        .y_axis(axis("").type_(AxisType::Category));
    let mut plot = plot(height, layout);
    for (index, (part, micros)) in PARTS.into_iter().enumerate() {
        let millis = times.iter().map(|time| micros(time) / 1e3).collect();
        plot.add_trace(
            Bar::new(millis, points.clone())
                .orientation(Orientation::Horizontal)
                .name(part)
                .marker(Marker::new().color(color(index))),
        );
    }
    PlotSection::of(
        ID.0,
        ID.1,
        "Mean times in the first phase of a point. Queued: in the frontend, until the batch was sent. Wire: between frontend \
         and model server, both ways. Waited: in the model server, until the model began. Predicting: in the model. Replying: \
         from then until the response was sent. A closed loop with several batches in flight makes the queue long; the model \
         does not cause that time.",
        plot,
    )
}
