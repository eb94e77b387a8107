//! A row for each point whose speed was measured: the median of its rounds that count.

use comfy_table::{Cell, Color, Table};
use results::{self, Estimate, Speed, Status, Trial, median, percent, percent_to_tenths};

use super::row::Row;
use crate::{names, text::figures};

/// What a column shows of a row.
type Show = fn(&Row<'_>) -> String;

/// A heading, and what is below it.
type Column = (&'static str, Show);

pub(super) fn fill(table: &mut Table, rows: &[Row<'_>]) {
    let columns = columns(rows);
    let headings = columns.iter().map(|(heading, _)| *heading);
    table.set_header(headings.chain(["verdict"]));
    for row in rows {
        let cells = columns.iter().map(|(_, show)| Cell::new(show(row)));
        table.add_row(cells.chain([verdict(row)]));
    }
}

/// Those that have something to show.
fn columns(rows: &[Row<'_>]) -> Vec<Column> {
    let some = |is: fn(&Speed) -> bool| {
        let mut speeds = rows.iter().flat_map(|row| speeds(row));
        speeds.any(is)
    };
    let repeated = rows.iter().any(|row| row.rounds.all().len() > 1);
    let mut columns: Vec<Column> = vec![
        ("#", |row| row.number.to_string()),
        ("replicas", |row| row.config.replicas.to_string()),
        ("CPUs", |row| row.config.cpus_per_replica.to_string()),
        ("batch", |row| row.config.batch_size.to_string()),
        ("queries/s", |row| {
            median_of(row, |s| Some(s.throughput_qps))
        }),
    ];
    columns.push(match repeated {
        true => ("min-max", spread),
        false => ("95 %", interval),
    });
    columns.extend([
        (
            "p50 ms",
            (|row| median_of(row, |s| percentile(s, 0.5))) as Show,
        ),
        ("p99 ms", |row| median_of(row, |s| percentile(s, 0.99))),
        ("load", load),
    ]);
    if some(|speed| goodput(speed).is_some()) {
        columns.push(("goodput", |row| median_of(row, goodput)));
    }
    if some(|speed| cancelled(speed).is_some()) {
        columns.push(("cancelled", |row| {
            median(&sorted(row, cancelled)).map_or("-".to_owned(), |count| format!("{count:.0}"))
        }));
    }
    columns.push(("fill", fill_of_batches));
    if some(|speed| speed.zero.is_some()) {
        columns.push(("zero", share_of_zero));
    }
    columns
}

fn verdict(row: &Row<'_>) -> Cell {
    if row.not_run() {
        return Cell::new("NOT RUN").fg(Color::Red);
    }
    let status = row.verdict().status;
    Cell::new(status).fg(match status {
        Status::Valid => Color::Green,
        Status::Suspect => Color::Yellow,
        Status::Invalid => Color::Red,
    })
}

fn speeds<'a>(row: &Row<'a>) -> impl Iterator<Item = &'a Speed> {
    let rounds = row.rounds.shown().into_iter();
    rounds.filter_map(Trial::speed)
}

/// What the rounds of a row have of something, ascending.
fn sorted(row: &Row<'_>, read: impl Fn(&Speed) -> Option<f64>) -> Vec<f64> {
    results::sorted(speeds(row).filter_map(read))
}

fn median_of(row: &Row<'_>, read: impl Fn(&Speed) -> Option<f64>) -> String {
    median(&sorted(row, read)).map_or("-".to_owned(), figures)
}

/// From the least to the greatest throughput, as shares of the median.
fn spread(row: &Row<'_>) -> String {
    let values = sorted(row, |speed| Some(speed.throughput_qps));
    match (values.first(), median(&values), values.last()) {
        (Some(least), Some(middle), Some(greatest)) if middle > 0.0 && values.len() > 1 => {
            let change = |value| 100.0 * (value / middle - 1.0);
            format!("{:+.1} {:+.1} %", change(least), change(greatest))
        }
        _ => "-".to_owned(),
    }
}

/// Half the width of the throughput's interval, as a share of it.
fn interval(row: &Row<'_>) -> String {
    let throughput = |speed: &Speed| Some(speed.phases.first()?.throughput);
    match speeds(row).find_map(throughput) {
        Some(Estimate {
            value,
            low: Some(low),
            high: Some(high),
        }) if value > 0.0 => format!("±{:.1} %", 50.0 * (high - low) / value),
        _ => "-".to_owned(),
    }
}

fn percentile(speed: &Speed, quantile: f64) -> Option<f64> {
    let latency = speed.latency()?.latency.as_ref()?;
    Some(latency.percentile(quantile)?.ms.value)
}

/// The load at which latency was measured.
fn load(row: &Row<'_>) -> String {
    let mut phases = speeds(row).filter_map(Speed::latency);
    phases.next().map_or("-".to_owned(), names::load)
}

/// Of the phase that says how long a query takes.
fn goodput(speed: &Speed) -> Option<f64> {
    speed.latency()?.goodput_qps
}

/// Queries that an overloaded point did not wait for, if there are any.
fn cancelled(speed: &Speed) -> Option<f64> {
    let cancelled: u64 = speed
        .phases
        .iter()
        .map(|phase| phase.totals.cancelled)
        .sum();
    (cancelled > 0).then_some(cancelled as f64)
}

fn fill_of_batches(row: &Row<'_>) -> String {
    let means = sorted(row, |speed| speed.phases.first()?.mean_batch);
    median(&means).map_or("-".to_owned(), |mean| {
        percent(mean / row.config.batch_size as f64)
    })
}

/// The throughput beside that of the no-op model.
fn share_of_zero(row: &Row<'_>) -> String {
    let shares = sorted(row, |speed| {
        let zero = speed.zero.as_ref()?.throughput_qps;
        (zero > 0.0).then_some(speed.throughput_qps / zero)
    });
    median(&shares).map_or("-".to_owned(), |share| match share {
        0.1.. => percent(share),
        _ => percent_to_tenths(share),
    })
}
