//! The frontend against bare programs that do as little as can be done: the same load, the same no-op model server, in
//! turns, medians of several rounds. Beside them what the load generator gets from a server that answers at once.
//!
//! `cargo bench -p benches --bench frontend [-- --rounds N --seconds S --parent FILE]`; the file is an earlier build of the frontend,
//! which takes the place of the bare programs: what a change has brought.

mod rest;
mod served;

use std::{env, error::Error, str::FromStr};

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use loadgen::{
    Estimate,
    stats::interval::{self, median},
};

use served::{Rate, Served};

/// Over ZeroMQ: floats per input, maximum batch, batches that the model server may have, queries in flight.
const ZMQ: [(usize, usize, usize, usize); 7] = [
    (10, 32, 2, 64),
    (10, 32, 2, 512),
    (10, 1, 2, 64),
    (10, 1, 9, 64),
    (10, 1, 2, 1),
    (2_048, 32, 2, 64),
    (150_528, 8, 2, 32),
];

/// Over REST, as JSON: floats per input, connections. The maximum batch is 32, the model server may have two.
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
    println!("medians of {rounds} rounds of {seconds} s, in turns");
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "",
        "floats",
        "batch",
        "batches",
        "in flight",
        "answers/s",
        "bare",
        "ratio",
        "95 %",
        "generator",
        "mean batch",
        "p50, ms",
        "p99, ms",
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let rows = ZMQ.len() + REST.len();
    let started =
        |row: usize| eprintln!("row {row} of {rows}, {} s each", 3 * rounds * (seconds + 1));
    for (index, (floats, batch, batches, in_flight)) in ZMQ.into_iter().enumerate() {
        started(index + 1);
        let sides = [("frontend", batch), (or_parent("bare"), batch), ("bare", 0)];
        let rates = measure(rounds, sides, batches, |served| {
            served.measure(floats, in_flight, seconds)
        })?;
        table.add_row(row("ZeroMQ", [floats, batch, batches, in_flight], rates));
    }
    for (index, (floats, connections)) in REST.into_iter().enumerate() {
        started(ZMQ.len() + index + 1);
        let other = if parent.is_empty() { 0 } else { 32 };
        let sides = [
            ("frontend", 32),
            (or_parent("bare_http"), other),
            ("bare_http", 0),
        ];
        let mut turn = 0;
        let rates = measure(rounds, sides, 2, |served| {
            turn += 1;
            rest::measure(&served.http(), floats, connections, seconds, turn % 3 == 0)
        })?;
        table.add_row(row("REST", [floats, 32, 2, connections], rates));
    }
    println!("{table}");
    Ok(())
}

/// Results of the frontend, of another program and of the load generator alone.
struct Sides {
    /// Medians of the rounds.
    frontend: Rate,
    other: Rate,
    generator: Rate,
    /// The frontend's rate as a multiple of the other's, from the ratio in each round.
    ratio: Estimate,
}

/// Measures three programs in turns.
fn measure(
    rounds: u64,
    sides: [(&str, usize); 3],
    batches: usize,
    mut one: impl FnMut(&Served) -> anyhow::Result<Rate>,
) -> anyhow::Result<Sides> {
    let mut rates = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        for (rates, (program, batch)) in rates.iter_mut().zip(sides) {
            rates.push(one(&Served::start(program, batch, batches)?)?);
        }
    }
    let ratio = ratio(&rates[0], &rates[1]);
    let [frontend, other, generator] = rates.map(|rates| medians(&rates));
    Ok(Sides {
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

/// The geometric mean of the rounds' ratios, with Student's 95 % interval of their logarithms; none of a single round.
fn ratio(of: &[Rate], to: &[Rate]) -> Estimate {
    let rounds = of.iter().zip(to);
    let logarithms: Vec<f64> = rounds
        .map(|(of, to)| (of.per_second / to.per_second).ln())
        .collect();
    let (count, mean) = (logarithms.len() as f64, interval::mean(&logarithms));
    let freedom = count - 1.0;
    let half = (freedom > 0.0).then(|| {
        let error = (interval::squares(&logarithms) / freedom / count).sqrt();
        interval::student(freedom) * error
    });
    Estimate {
        value: mean.exp(),
        low: half.map(|half| (mean - half).exp()),
        high: half.map(|half| (mean + half).exp()),
    }
}

fn row(protocol: &str, sizes: [usize; 4], sides: Sides) -> Vec<String> {
    let Sides {
        frontend,
        other,
        generator,
        ratio,
    } = sides;
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

fn build() -> anyhow::Result<()> {
    let mut cargo = host::machine::cargo(env!("CARGO"));
    // Of the whole workspace, so that its packages are built with the features that `make` builds them with.
    cargo.args(["build", "--release", "--quiet", "--workspace"]);
    cargo.args(
        ["frontend", "noop", "bare", "bare_http"]
            .iter()
            .flat_map(|program| ["--bin", program]),
    );
    anyhow::ensure!(
        cargo.status()?.success(),
        "the programs to measure do not build"
    );
    Ok(())
}

fn argument<T>(flag: &str, default: T) -> anyhow::Result<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    let mut arguments = env::args().skip_while(|argument| argument != flag).skip(1);
    match arguments.next() {
        Some(value) => value.parse().with_context(|| format!("{flag} {value}")),
        None => Ok(default),
    }
}

fn median_of(rates: &[Rate], of: impl Fn(&Rate) -> f64) -> f64 {
    let values: Vec<f64> = rates.iter().map(of).collect();
    median(&values).expect("at least one round was measured")
}
