//! What the plots of a page have in common, and those that compare points.

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
use results::{Estimate, Rounds, Speed, Status, TimeBreakdown, Trial};

use crate::{names::Names, text::estimate};

/// Told apart by the colour-blind, and on white as on black.
const COLORS: [&str; 6] = [
    "#2f7fd1", "#d55e00", "#009e73", "#b05fa8", "#b8860b", "#7a7f87",
];
const DASHES: [DashType; 4] = [
    DashType::Solid,
    DashType::Dash,
    DashType::DashDot,
    DashType::LongDash,
];
/// More lines than these cannot be told apart: the others wait in the legend.
pub(super) const LINES: usize = 6;

/// One plot, or several of which one is chosen.
pub(super) struct Figure {
    /// For the document.
    pub(super) id: &'static str,
    /// What it shows.
    pub(super) heading: &'static str,
    /// How to read it, or why there is none.
    pub(super) reading: String,
    /// The plots with their names.
    pub(super) plots: Vec<(String, Plot)>,
}

impl Figure {
    /// Of one plot.
    pub(super) fn of(id: &'static str, heading: &'static str, reading: &str, plot: Plot) -> Figure {
        Figure {
            id,
            heading,
            reading: reading.to_owned(),
            plots: vec![(heading.to_owned(), plot)],
        }
    }

    /// Of none, and why.
    pub(super) fn none(id: &'static str, heading: &'static str, why: &str) -> Figure {
        Figure {
            id,
            heading,
            reading: why.to_owned(),
            plots: Vec::new(),
        }
    }
}

/// The colour of line number `index`.
pub(super) fn color(index: usize) -> &'static str {
    COLORS[index % COLORS.len()]
}

/// The stroke of line number `index`: another one each time the colours begin anew.
pub(super) fn line(index: usize) -> Line {
    let dash = &DASHES[index / COLORS.len() % DASHES.len()];
    Line::new()
        .color(color(index))
        .dash(dash.clone())
        .width(2.0)
}

/// Markers tell the verdict: circles, diamonds, hollow circles.
pub(super) fn marker(status: Status, color: &'static str) -> Marker {
    let symbol = match status {
        Status::Valid => MarkerSymbol::Circle,
        Status::Suspect => MarkerSymbol::Diamond,
        Status::Invalid => MarkerSymbol::CircleOpen,
    };
    Marker::new().symbol(symbol).color(color).size(9)
}

/// The first lines are shown, the others wait in the legend.
pub(super) fn visible(index: usize) -> Visible {
    match index < LINES {
        true => Visible::True,
        false => Visible::LegendOnly,
    }
}

/// The ends of 95 % intervals; none where there is too little to say.
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

/// From little to much.
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

/// A plot of that height in pixels without its legend, which is above it.
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

/// An axis with that title, which makes room for its labels.
pub(super) fn axis(title: &str) -> Axis {
    Axis::new().title(Title::with_text(title)).auto_margin(true)
}

/// A logarithmic one, with 1, 2 and 5 of each decade.
pub(super) fn logarithmic(title: &str) -> Axis {
    let decades = (-3..9).flat_map(|decade| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(decade)));
    let values: Vec<f64> = decades.collect();
    let texts = values.iter().map(ToString::to_string).collect();
    axis(title)
        .type_(AxisType::Log)
        .tick_values(values)
        .tick_text(texts)
}

/// Text that came in a result file: plotly.js reads tags in labels.
pub(super) fn plain(text: &str) -> String {
    maud::html!((text)).into_string()
}

/// What is said of a point where the pointer is.
fn hover(names: &Names, result: &Trial, speed: &Speed) -> String {
    let interval = estimate(&speed.phases[0].throughput);
    let mut text = format!(
        "{}<br>{interval} queries/s<br>{}",
        plain(&names.point(result)),
        result.verdict.status
    );
    for reason in &result.verdict.reasons {
        text.push_str("<br>");
        text.push_str(&plain(&reason.text));
    }
    text
}

/// Throughput against batch size, one line per deployment.
pub(super) fn throughput(names: &Names, results: &[(&Trial, &Speed)]) -> Figure {
    let mut sizes: Vec<_> = results
        .iter()
        .map(|(r, _)| r.node_configs[0].batch_size)
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
    Figure::of(
        "throughput",
        "Throughput against batch size",
        "One line per replicas × CPUs of each, through the median of the rounds that are not INVALID; bars are 95 % intervals. \
         Circles are VALID, diamonds SUSPECT, hollow circles INVALID.",
        plot,
    )
}

type Points<'a> = Vec<(&'a Trial, &'a Speed)>;

/// The points with their intervals, one trace per verdict; the first one stands in the legend.
fn marks(names: &Names, index: usize, deployment: &str, points: &Points) -> Vec<Box<dyn Trace>> {
    let mut traces: Vec<Box<dyn Trace>> = Vec::new();
    for status in [Status::Valid, Status::Suspect, Status::Invalid] {
        let of = |(result, _): &&(&Trial, &Speed)| result.verdict.status == status;
        let points: Vec<_> = points.iter().filter(of).collect();
        if points.is_empty() {
            continue;
        }
        let sizes = points.iter().map(|(r, _)| r.node_configs[0].batch_size);
        let rates = points.iter().map(|(_, s)| s.throughput_qps);
        let intervals: Vec<_> = points.iter().map(|(_, s)| s.phases[0].throughput).collect();
        let hovers = points.iter().map(|(r, s)| hover(names, r, s));
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

/// By deployment, in the order in which they come.
fn deployments<'a>(names: &Names, results: &[(&'a Trial, &'a Speed)]) -> Vec<(String, Points<'a>)> {
    let mut groups: Vec<(String, Points)> = Vec::new();
    for &(result, speed) in results {
        let name = plain(&names.deployment(&result.node_configs[0]));
        match groups.last_mut() {
            Some((last, points)) if *last == name => points.push((result, speed)),
            _ => groups.push((name, vec![(result, speed)])),
        }
    }
    groups
}

/// The line through the median of each batch size's rounds that count.
fn medians(index: usize, deployment: &str, points: &Points) -> Box<dyn Trace> {
    let mut rounds: BTreeMap<usize, Rounds<'_>> = BTreeMap::new();
    for (result, _) in points {
        let size = result.node_configs[0].batch_size;
        rounds.entry(size).or_default().push(result);
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

/// Reads one part of it.
type Micros = fn(&TimeBreakdown) -> f64;

/// Where the time of a query goes, in its order. The wire is what frontend and model server do not account for.
const PARTS: [(&str, Micros); 5] = [
    ("queued", |time| time.queued),
    ("wire", |time| {
        (time.away - time.waited - time.predicting - time.replying).max(0.0)
    }),
    ("waited", |time| time.waited),
    ("predicting", |time| time.predicting),
    ("replying", |time| time.replying),
];

/// Where the time went, one stacked bar per point.
pub(super) fn breakdown(names: &Names, results: &[(&Trial, &Speed)]) -> Figure {
    const ID: (&str, &str) = ("breakdown", "Where a query's time goes");
    // From below: the first point is to be on top.
    let (points, times): (Vec<_>, Vec<_>) = (results.iter().rev())
        .filter_map(|(result, speed)| {
            Some((plain(&names.point(result)), speed.phases[0].time_breakdown?))
        })
        .unzip();
    if points.is_empty() {
        return Figure::none(
            ID.0,
            ID.1,
            "No point has an answer that says where its time went.",
        );
    }
    let height = 130 + 26 * points.len();
    let layout = Layout::new()
        .bar_mode(BarMode::Stack)
        .x_axis(axis("milliseconds per query, in the mean"))
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
    Figure::of(
        ID.0,
        ID.1,
        "In the first phase, under full load: queued in the frontend until the batch was sent, on the wire both ways, waited \
         in the model server until the model began, predicting, replying. A long queue is what a closed loop with \
         several batches in flight makes; it is not the model's time.",
        plot,
    )
}
