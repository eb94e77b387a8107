//! Compares the frontend with bare programs that do the minimum: the same load and the same no-op
//! model server, measured in turns, medians of several rounds.
//!
//! A third side is the load generator's own limit: its rate against a server that answers at once.
//!
//! `cargo bench -p benches --bench frontend [-- --rounds N --seconds S --parent FILE]`: `FILE`, an
//! earlier build of the frontend, replaces the bare programs, to measure the effect of a change.

mod rest;
mod running;

use std::{env, error::Error, str::FromStr};

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use loadgen::{
    Estimate,
    stats::interval::{self, median},
};

use running::{Rate, RunningProgram};

/// Loads over ZeroMQ: floats per input, maximum batch, batches in flight at the model server,
/// queries in flight.
const ZMQ: [(usize, usize, usize, usize); 7] = [
    (10, 32, 2, 64),
    (10, 32, 2, 512),
    (10, 1, 2, 64),
    (10, 1, 9, 64),
    (10, 1, 2, 1),
    (2_048, 32, 2, 64),
    (150_528, 8, 2, 32),
];

/// Loads over REST with JSON: floats per input, connections. The maximum batch is 32, with two
/// batches in flight at the model server.
const REST: [(usize, usize); 3] = [(10, 64), (2_048, 64), (10, 1)];

fn main() -> anyhow::Result<()> {
    let rounds = argument("--rounds", 5)?;
    let seconds = argument("--seconds", 2)?;
    let parent = argument("--parent", String::new())?;
    let or_parent = |bare| match &parent[..] {
        "" => bare,
        parent => parent,
    };
    build()?;
    println!("Medians of {rounds} rounds of {seconds} s; the programs run in turns.");
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "protocol",
        "floats",
        "max batch",
        "batches in flight",
        "queries in flight",
        "answers/s",
        if parent.is_empty() { "bare" } else { "parent" },
        "ratio",
        "95 % interval",
        "generator",
        "mean batch",
        "p50, ms",
        "p99, ms",
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let rows = ZMQ.len() + REST.len();
    let seconds_per_row = 3 * rounds * (seconds + 1);
    let log_start = |row: usize| eprintln!("measuring row {row} of {rows}, {seconds_per_row} s");
    for (index, (floats, batch, batches, in_flight)) in ZMQ.into_iter().enumerate() {
        log_start(index + 1);
        let sides = [("frontend", batch), (or_parent("bare"), batch), ("bare", 0)];
        let rates = measure(rounds, sides, batches, |running| {
            running.measure(floats, in_flight, seconds)
        })?;
        table.add_row(row("ZeroMQ", [floats, batch, batches, in_flight], rates));
    }
    for (index, (floats, connections)) in REST.into_iter().enumerate() {
        log_start(ZMQ.len() + index + 1);
        let max_batch = if parent.is_empty() { 0 } else { 32 };
        let sides = [
            ("frontend", 32),
            (or_parent("bare_http"), max_batch),
            ("bare_http", 0),
        ];
        let mut turn = 0;
        let rates = measure(rounds, sides, 2, |running| {
            turn += 1;
            rest::measure(&running.http(), floats, connections, seconds, turn % 3 == 0)
        })?;
        table.add_row(row("REST", [floats, 32, 2, connections], rates));
    }
    println!("{table}");
    Ok(())
}

/// Results of the frontend, of the other program and of the load generator alone: medians of the
/// rounds.
struct Comparison {
    frontend: Rate,
    other: Rate,
    generator: Rate,
    /// Rate of the frontend divided by that of the other program, from the ratio in each round.
    ratio: Estimate,
}

/// Measures three programs in turns: the frontend, the other one, and a server that answers at
/// once.
fn measure(
    rounds: u64,
    sides: [(&str, usize); 3],
    batches: usize,
    mut measure_one: impl FnMut(&RunningProgram) -> anyhow::Result<Rate>,
) -> anyhow::Result<Comparison> {
    let mut rates = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        for (rates, (program, batch)) in rates.iter_mut().zip(sides) {
            let running = RunningProgram::start(program, batch, batches)?;
            rates.push(measure_one(&running)?);
        }
    }
    let ratio = ratio(&rates[0], &rates[1]);
    let [frontend, other, generator] = rates.map(|rates| medians(&rates));
    Ok(Comparison {
        frontend,
        other,
        generator,
        ratio,
    })
}

fn medians(rates: &[Rate]) -> Rate {
    Rate {
        per_second: median_of(rates, |rate| rate.per_second),
        mean_batch: median_of(rates, |rate| rate.mean_batch),
        p50_ms: median_of(rates, |rate| rate.p50_ms),
        p99_ms: median_of(rates, |rate| rate.p99_ms),
    }
}

/// Returns the geometric mean of the rounds' ratios, with Student's 95 % confidence interval of
/// their logarithms. A single round has no interval.
fn ratio(numerators: &[Rate], denominators: &[Rate]) -> Estimate {
    let rounds = numerators.iter().zip(denominators);
    let logarithms: Vec<f64> = rounds
        .map(|(a, b)| (a.per_second / b.per_second).ln())
        .collect();
    let (count, mean) = (logarithms.len() as f64, interval::mean(&logarithms));
    let degrees_of_freedom = count - 1.0;
    let half_width = (degrees_of_freedom > 0.0).then(|| {
        let error = (interval::squared_deviations(&logarithms) / degrees_of_freedom / count).sqrt();
        interval::student_factor(degrees_of_freedom) * error
    });
    Estimate {
        value: mean.exp(),
        low: half_width.map(|half| (mean - half).exp()),
        high: half_width.map(|half| (mean + half).exp()),
    }
}

fn row(protocol: &str, sizes: [usize; 4], comparison: Comparison) -> Vec<String> {
    let Comparison {
        frontend,
        other,
        generator,
        ratio,
    } = comparison;
    let interval = match (ratio.low, ratio.high) {
        (Some(low), Some(high)) => format!("{low:.2} to {high:.2}"),
        _ => "-".to_owned(),
    };
    let mut row = vec![protocol.to_owned()];
    let mean_batch = match frontend.mean_batch {
        mean if mean.is_nan() => String::new(),
        mean => format!("{mean:.1}"),
    };
    row.extend(sizes.map(|size| size.to_string()));
    row.extend([
        format!("{:.0}", frontend.per_second),
        format!("{:.0}", other.per_second),
        format!("{:.2}", ratio.value),
        interval,
        format!("{:.0}", generator.per_second),
        mean_batch,
        format!("{:.2}", frontend.p50_ms),
        format!("{:.2}", frontend.p99_ms),
    ]);
    row
}

/// Builds the programs to measure.
fn build() -> anyhow::Result<()> {
    let mut cargo = host::machine::cargo(env!("CARGO"));
    // `--workspace` selects the same feature flags as `make`.
    cargo.args(["build", "--release", "--quiet", "--workspace"]);
    cargo.args(
        ["frontend", "noop", "bare", "bare_http"]
            .iter()
            .flat_map(|program| ["--bin", program]),
    );
    anyhow::ensure!(
        cargo.status()?.success(),
        "cannot build the programs to measure: cargo failed"
    );
    Ok(())
}

/// Returns the value of a flag of the command line.
fn argument<T>(flag: &str, default: T) -> anyhow::Result<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    let mut arguments = env::args().skip_while(|argument| argument != flag).skip(1);
    match arguments.next() {
        Some(value) => value
            .parse()
            .with_context(|| format!("invalid value of {flag}: {value}")),
        None => Ok(default),
    }
}

fn median_of(rates: &[Rate], value: impl Fn(&Rate) -> f64) -> f64 {
    let values: Vec<f64> = rates.iter().map(value).collect();
    median(&values).expect("at least one round was measured")
}
