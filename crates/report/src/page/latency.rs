//! Plots of latency: against the offered load, and its distribution.

use plotly::{
    Layout, Scatter, Trace,
    common::{DashType, HoverInfo, Line, Mode},
    layout::{Axis, RangeMode},
};
use results::{Estimate, Latency, Phase, PhaseKind, Speed, Trial, VerdictStatus};

use super::plots::{
    LINES, PlotSection, axis, bars, color, line, logarithmic, marker, plain, plot, visible,
};
use crate::{
    names::{self, Names},
    text::estimate,
};

/// Ratio of the highest to the lowest rate above which their axis is logarithmic.
const WIDE: f64 = 20.0;

/// Sorts the results, fastest first and INVALID last, because only the first lines are shown at
/// once.
pub(super) fn ranked<'a>(results: &[(&'a Trial, &'a Speed)]) -> Vec<(&'a Trial, &'a Speed)> {
    let mut ranked = results.to_vec();
    ranked.sort_by(|(a, fast), (b, faster)| {
        let invalid = |trial: &Trial| trial.verdict.status == VerdictStatus::Invalid;
        let rates = faster.throughput_qps.total_cmp(&fast.throughput_qps);
        invalid(a).cmp(&invalid(b)).then(rates)
    });
    ranked
}

/// Plots p50 and p99 against the offered load, a line each per point.
pub(super) fn against_load(names: &Names, results: &[(&Trial, &Speed)]) -> PlotSection {
    const ID: (&str, &str) = ("latency", "Latency against offered load");
    let ranked = ranked(results).into_iter();
    let points: Vec<_> = ranked
        .map(|(trial, speed)| (trial, loads(speed)))
        .filter(|(_, loads)| !loads.is_empty())
        .collect();
    let rates = || {
        points
            .iter()
            .flat_map(|(_, loads)| loads.iter().map(|load| load.rate))
    };
    let (lowest, highest) = (
        rates().fold(f64::INFINITY, f64::min),
        rates().fold(0.0, f64::max),
    );
    if points.is_empty() {
        let why = "no phase has a percentile of the latency at a stated rate, which --mode profile, poisson, constant and \
                   single-stream measure.";
        return PlotSection::no_data(ID.0, ID.1, why);
    }
    const X: &str = "offered load, queries/s";
    let (x, left) = match highest > WIDE * lowest {
        true => (logarithmic(X), lowest),
        false => (axis(X).range_mode(RangeMode::ToZero), 0.0),
    };
    let mut plot = plot(480, Layout::new().x_axis(x).y_axis(milliseconds()));
    for (index, (trial, loads)) in points.iter().enumerate() {
        plot.add_traces(curves(
            index,
            &names.point(trial),
            trial.verdict.status,
            loads,
        ));
    }
    for objective in objectives(results) {
        plot.add_trace(objective_line(
            objective,
            vec![left, highest],
            vec![objective; 2],
        ));
    }
    PlotSection::of(
        ID.0,
        ID.1,
        &format!(
            "Latency counts from the intended time of sending. The line shows the p99 with 95 % intervals, the dotted line \
         of the same colour the p50. A percentile with too few samples has no mark. The mode single-stream is drawn at the \
         throughput that it reached. {}",
            hidden_lines(points.len())
        ),
        plot,
    )
}

/// Explains the legend if there are more points than lines.
fn hidden_lines(points: usize) -> String {
    match points > LINES {
        true => {
            format!("The {LINES} fastest points are drawn; a click in the legend shows others.")
        }
        false => String::new(),
    }
}

/// Latency of a phase, with its offered load.
struct LoadPoint<'a> {
    rate: f64,
    phase: &'a Phase,
    latency: &'a Latency,
}

/// Returns the phases that have a rate and a percentile, by rate.
fn loads(speed: &Speed) -> Vec<LoadPoint<'_>> {
    let mut loads: Vec<_> = speed.phases.iter().filter_map(load_point).collect();
    loads.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    loads
}

fn load_point(phase: &Phase) -> Option<LoadPoint<'_>> {
    let latency = phase.latency.as_ref()?;
    let has_percentile = [0.5, 0.99]
        .iter()
        .any(|quantile| latency.percentile(*quantile).is_some());
    let rate = offered(phase)?;
    has_percentile.then_some(LoadPoint {
        rate,
        phase,
        latency,
    })
}

/// Returns the offered load in queries per second; `None` for a closed loop with a queue, whose
/// length sets the latency.
fn offered(phase: &Phase) -> Option<f64> {
    let single = phase.kind == PhaseKind::SingleStream;
    phase
        .offered_qps()
        .or(single.then_some(phase.throughput.value))
}

fn curves(
    index: usize,
    name: &str,
    status: VerdictStatus,
    loads: &[LoadPoint<'_>],
) -> Vec<Box<dyn Trace>> {
    let name = plain(name);
    let at = |quantile| {
        loads
            .iter()
            .filter_map(move |load| Some((load, load.latency.percentile(quantile)?.ms)))
    };
    let curve = |quantile: f64, called: &str| {
        let (loads, values): (Vec<&LoadPoint<'_>>, Vec<Estimate>) = at(quantile).unzip();
        let hover = |(load, value): (&&LoadPoint<'_>, &Estimate)| {
            let phase = plain(&names::phase(load.phase));
            format!("{name}<br>{phase}<br>{called} {} ms", estimate(value))
        };
        let hovers = loads.iter().zip(&values).map(hover).collect();
        let x = loads.iter().map(|load| load.rate).collect();
        let trace = Scatter::new(x, values.iter().map(|value| value.value).collect())
            .mode(Mode::LinesMarkers)
            .name(&name)
            .legend_group(&name)
            .visible(visible(index))
            .hover_info(HoverInfo::Text)
            .hover_text_array(hovers);
        (trace, values)
    };
    let (p99, intervals) = curve(0.99, "p99");
    let (p50, _) = curve(0.5, "p50");
    let small = marker(status, color(index)).size(5);
    vec![
        p99.line(line(index))
            .marker(marker(status, color(index)))
            .error_y(bars(&intervals)),
        p50.line(
            Line::new()
                .color(color(index))
                .dash(DashType::Dot)
                .width(1.2),
        )
        .marker(small)
        .show_legend(false),
    ]
}

/// Plots the distribution of latency: the share of the queries that were answered within a time.
pub(super) fn distribution(names: &Names, results: &[(&Trial, &Speed)]) -> PlotSection {
    const ID: (&str, &str) = ("cdf", "Latency distribution");
    let ranked = ranked(results).into_iter();
    let points: Vec<_> = ranked
        .filter_map(|(trial, speed)| {
            let phase = speed.latency()?;
            let latency = phase.latency.as_ref()?;
            let has_samples = !latency.histogram.is_empty();
            has_samples.then_some((trial, phase, latency))
        })
        .collect();
    if points.is_empty() {
        return PlotSection::no_data(ID.0, ID.1, "no latency was measured.");
    }
    let x = milliseconds();
    let y = axis("share of the queries")
        .range(vec![0.0, 1.0])
        .tick_format(".0%");
    let mut plot = plot(480, Layout::new().x_axis(x).y_axis(y));
    for (index, (trial, phase, latency)) in points.iter().enumerate() {
        plot.add_trace(cumulated(index, &names.point(trial), phase, latency));
    }
    for objective in objectives(results) {
        plot.add_trace(objective_line(
            objective,
            vec![objective; 2],
            vec![0.0, 1.0],
        ));
    }
    PlotSection::of(
        ID.0,
        ID.1,
        &format!(
            "Share of the queries that were answered within the time on the horizontal axis. The phase is the one that \
         confirms the result of a search, else the latency phase with the highest offered load, else the only one. {}",
            hidden_lines(points.len())
        ),
        plot,
    )
}

fn cumulated(index: usize, name: &str, phase: &Phase, latency: &Latency) -> Box<dyn Trace> {
    let (x, y) = steps(latency);
    let (name, phase) = (plain(name), plain(&names::phase(phase)));
    Scatter::new(x, y)
        .mode(Mode::Lines)
        .name(&name)
        .visible(visible(index))
        .line(line(index))
        .hover_template(format!(
            "{name}<br>{phase}<br>%{{y:.1%}} within %{{x:.3~g}} ms<extra></extra>"
        ))
}

/// Returns milliseconds and the share of queries within them; steps too small to be seen are left
/// out.
fn steps(latency: &Latency) -> (Vec<f64>, Vec<f64>) {
    const VISIBLE: f64 = 0.002;
    let all: u64 = latency.histogram.iter().map(|(_, queries)| queries).sum();
    let (mut sum, mut drawn) = (0, 0.0);
    let (mut x, mut y) = (vec![latency.min], vec![0.0]);
    for &(micros, queries) in &latency.histogram {
        sum += queries;
        let share = sum as f64 / all as f64;
        if share - drawn >= VISIBLE || sum == all {
            x.push(micros as f64 / 1e3);
            y.push(share);
            drawn = share;
        }
    }
    (x, y)
}

/// Returns the distinct latency objectives (SLOs) in milliseconds.
fn objectives(results: &[(&Trial, &Speed)]) -> Vec<f64> {
    let mut objectives: Vec<_> = results
        .iter()
        .filter_map(|(trial, _)| trial.driver.objective_ms)
        .collect();
    objectives.sort_by(f64::total_cmp);
    objectives.dedup();
    objectives
}

fn objective_line(objective: f64, x: Vec<f64>, y: Vec<f64>) -> Box<dyn Trace> {
    Scatter::new(x, y)
        .mode(Mode::Lines)
        .name(format!("SLO: {objective} ms"))
        .line(Line::new().color("#c0504d").dash(DashType::Dash).width(1.5))
        .hover_info(HoverInfo::Name)
}

fn milliseconds() -> Axis {
    logarithmic("latency, ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distribution_ends_at_all_queries_and_skips_small_steps() {
        let histogram: Vec<_> = (1..=10_000).map(|micros| (micros, 1)).collect();
        let latency = Latency {
            samples: 10_000,
            mean: 5.0,
            min: 0.001,
            max: 10.0,
            percentiles: Vec::new(),
            histogram,
        };
        let (x, y) = steps(&latency);
        assert!(x.len() < 510, "{}", x.len());
        assert_eq!((x[0], y[0]), (0.001, 0.0));
        assert_eq!((x.last(), y.last()), (Some(&10.0), Some(&1.0)));
        let middle = y.iter().position(|&share| share >= 0.5).unwrap();
        assert!((x[middle] - 5.0).abs() < 0.03, "{}", x[middle]);
    }
}
