//! The plots of latency: against the offered load, and all of it.

use plotly::{
    Layout, Scatter, Trace,
    common::{DashType, HoverInfo, Line, Mode},
    layout::{Axis, RangeMode},
};
use results::{Estimate, Latency, Phase, PhaseKind, Speed, Status, Trial};

use super::plots::{
    Figure, LINES, axis, bars, color, line, logarithmic, marker, plain, plot, visible,
};
use crate::{
    names::{self, Names},
    text::estimate,
};

/// The rates of two phases lie further apart than this: then their axis is logarithmic.
const WIDE: f64 = 20.0;

/// Fastest first, INVALID last: the first ones are drawn at once.
pub(super) fn ranked<'a>(results: &[(&'a Trial, &'a Speed)]) -> Vec<(&'a Trial, &'a Speed)> {
    let mut ranked = results.to_vec();
    ranked.sort_by(|(a, fast), (b, faster)| {
        let invalid = |result: &Trial| result.verdict.status == Status::Invalid;
        let rates = faster.throughput_qps.total_cmp(&fast.throughput_qps);
        invalid(a).cmp(&invalid(b)).then(rates)
    });
    ranked
}

/// p50 and p99 against the offered load, a line each per point.
pub(super) fn against_load(names: &Names, results: &[(&Trial, &Speed)]) -> Figure {
    const ID: (&str, &str) = ("latency", "Latency against offered load");
    let ranked = ranked(results).into_iter();
    let points: Vec<_> = ranked
        .map(|(result, speed)| (result, loads(speed)))
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
        let why = "No phase measured the latency at a stated rate: --mode profile, poisson, constant and single-stream do.";
        return Figure::none(ID.0, ID.1, why);
    }
    const X: &str = "offered load, queries/s";
    let (x, left) = match highest > WIDE * lowest {
        true => (logarithmic(X), lowest),
        false => (axis(X).range_mode(RangeMode::ToZero), 0.0),
    };
    let mut plot = plot(480, Layout::new().x_axis(x).y_axis(milliseconds()));
    for (index, (result, loads)) in points.iter().enumerate() {
        plot.add_traces(curves(
            index,
            &names.point(result),
            result.verdict.status,
            loads,
        ));
    }
    for objective in objectives(results) {
        plot.add_trace(limit(objective, vec![left, highest], vec![objective; 2]));
    }
    Figure::of(
        ID.0,
        ID.1,
        &format!(
            "From the intended time of sending: p99 as a line with 95 % intervals, p50 dotted in the same colour; no mark where \
         there are too few samples. A query of a single stream stands at the rate that it came to. {}",
            waiting(points.len())
        ),
        plot,
    )
}

/// What is said where there are more points than lines.
fn waiting(points: usize) -> String {
    match points > LINES {
        true => {
            format!("The {LINES} fastest points are drawn; a click in the legend shows others.")
        }
        false => String::new(),
    }
}

/// A phase in which the latency answers to a rate.
struct Load<'a> {
    rate: f64,
    phase: &'a Phase,
    latency: &'a Latency,
}

/// By rate.
fn loads(speed: &Speed) -> Vec<Load<'_>> {
    let load = |phase| {
        Some(Load {
            rate: offered(phase)?,
            phase,
            latency: phase.latency.as_ref()?,
        })
    };
    let mut loads: Vec<_> = speed.phases.iter().filter_map(load).collect();
    loads.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    loads
}

/// Queries a second; `None` in a closed loop with a queue, whose latency is as long as the queue was made.
fn offered(phase: &Phase) -> Option<f64> {
    let single = phase.kind == PhaseKind::SingleStream;
    phase
        .offered_qps()
        .or(single.then_some(phase.throughput.value))
}

fn curves(index: usize, name: &str, status: Status, loads: &[Load]) -> Vec<Box<dyn Trace>> {
    let name = plain(name);
    let at = |quantile| {
        loads
            .iter()
            .filter_map(move |load| Some((load, load.latency.percentile(quantile)?.ms)))
    };
    let curve = |quantile: f64, called: &str| {
        let (loads, values): (Vec<&Load>, Vec<Estimate>) = at(quantile).unzip();
        let hover = |(load, value): (&&Load, &Estimate)| {
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

/// Which share of the queries was answered within which time.
pub(super) fn distribution(names: &Names, results: &[(&Trial, &Speed)]) -> Figure {
    const ID: (&str, &str) = ("cdf", "All latencies");
    let ranked = ranked(results).into_iter();
    let points: Vec<_> = ranked
        .filter_map(|(result, speed)| {
            let phase = speed.latency()?;
            Some((result, phase, phase.latency.as_ref()?))
        })
        .collect();
    if points.is_empty() {
        return Figure::none(ID.0, ID.1, "No query was answered by a model.");
    }
    let x = milliseconds();
    let y = axis("share of the queries")
        .range(vec![0.0, 1.0])
        .tick_format(".0%");
    let mut plot = plot(480, Layout::new().x_axis(x).y_axis(y));
    for (index, (result, phase, latency)) in points.iter().enumerate() {
        plot.add_trace(cumulated(index, &names.point(result), phase, latency));
    }
    for objective in objectives(results) {
        plot.add_trace(limit(objective, vec![objective; 2], vec![0.0, 1.0]));
    }
    Figure::of(
        ID.0,
        ID.1,
        &format!(
            "Each line says which share of the queries was answered within that time: in the confirmed or the busiest latency phase \
         of the point, else in its only phase. {}",
            waiting(points.len())
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

/// Milliseconds and the share of queries within them; steps too small to be seen are left out.
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

/// Every objective that there was.
fn objectives(results: &[(&Trial, &Speed)]) -> Vec<f64> {
    let mut objectives: Vec<_> = results
        .iter()
        .filter_map(|(result, _)| result.driver.objective_ms)
        .collect();
    objectives.sort_by(f64::total_cmp);
    objectives.dedup();
    objectives
}

fn limit(objective: f64, x: Vec<f64>, y: Vec<f64>) -> Box<dyn Trace> {
    Scatter::new(x, y)
        .mode(Mode::Lines)
        .name(format!("objective: {objective} ms"))
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
    fn the_steps_of_a_distribution_end_at_all_queries_and_leave_out_what_cannot_be_seen() {
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
