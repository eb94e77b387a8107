//! The table of speeds: a row for each configuration, with the medians of the rounds that count.

use comfy_table::{Cell, Table};
use results::{self, Estimate, Speed, Trial, median, percent, percent_to_tenths};

use super::verdict;
use crate::{config_row::ConfigRow, names, text::figures};

/// Returns the text of a column in a row.
type CellText = fn(&ConfigRow<'_>) -> String;

/// Heading and cells of a column.
type Column = (&'static str, CellText);

/// Adds a row for each configuration.
pub(super) fn fill(table: &mut Table, rows: &[ConfigRow<'_>]) {
    let columns = columns(rows);
    let headings = columns.iter().map(|(heading, _)| *heading);
    table.set_header(headings.chain(["verdict"]));
    for row in rows {
        let cells = columns.iter().map(|(_, text)| Cell::new(text(row)));
        let status = (!row.not_run()).then(|| row.verdict().status);
        table.add_row(cells.chain([verdict::cell(status)]));
    }
}

/// Returns the columns that have a value in some row.
fn columns(rows: &[ConfigRow<'_>]) -> Vec<Column> {
    let some = |has: fn(&Speed) -> bool| {
        let mut speeds = rows.iter().flat_map(|row| speeds(row));
        speeds.any(has)
    };
    let repeated = rows.iter().any(|row| row.rounds.all().len() > 1);
    let mut columns: Vec<Column> = vec![
        ("#", |row| row.number.to_string()),
        ("replicas", |row| row.config.replicas.to_string()),
        ("CPUs", |row| row.config.cpus_per_replica.to_string()),
        ("batch", |row| row.config.batch_size.to_string()),
        ("queries/s", |row| {
            median_of(row, |speed| Some(speed.throughput_qps))
        }),
    ];
    columns.push(match repeated {
        true => ("min-max", spread),
        false => ("95 %", interval),
    });
    let searched = some(|speed| speed.search.is_some());
    if searched {
        columns.push(("SLO max", max_within_slo));
    }
    columns.extend([
        (
            "p50 ms",
            (|row| median_of(row, |speed| percentile(speed, 0.5))) as CellText,
        ),
        ("p99 ms", |row| {
            median_of(row, |speed| percentile(speed, 0.99))
        }),
        ("load", load),
    ]);
    // After a search, the goodput of the confirming phase repeats the rate that was found.
    if !searched && some(|speed| goodput(speed).is_some()) {
        columns.push(("goodput", |row| median_of(row, goodput)));
    }
    if some(|speed| cancelled(speed).is_some()) {
        columns.push(("cancelled", |row| {
            median(&sorted(row, cancelled)).map_or("-".to_owned(), |count| format!("{count:.0}"))
        }));
    }
    columns.push(("fill", batch_fill));
    if some(|speed| speed.baseline.is_some()) {
        columns.push(("baseline", share_of_baseline));
    }
    columns
}

fn speeds<'a>(row: &ConfigRow<'a>) -> impl Iterator<Item = &'a Speed> {
    let rounds = row.rounds.shown().into_iter();
    rounds.filter_map(Trial::speed)
}

/// Returns a figure of all rounds that are shown, ascending.
fn sorted(row: &ConfigRow<'_>, read: impl Fn(&Speed) -> Option<f64>) -> Vec<f64> {
    results::sorted(speeds(row).filter_map(read))
}

fn median_of(row: &ConfigRow<'_>, read: impl Fn(&Speed) -> Option<f64>) -> String {
    median(&sorted(row, read)).map_or("-".to_owned(), figures)
}

/// Returns the lowest and highest throughput of the rounds, relative to the median.
fn spread(row: &ConfigRow<'_>) -> String {
    let values = sorted(row, |speed| Some(speed.throughput_qps));
    match (values.first(), median(&values), values.last()) {
        (Some(least), Some(middle), Some(greatest)) if middle > 0.0 && values.len() > 1 => {
            let change = |value| 100.0 * (value / middle - 1.0);
            format!("{:+.1} {:+.1} %", change(least), change(greatest))
        }
        _ => "-".to_owned(),
    }
}

/// Returns half the width of the throughput's interval, relative to the throughput.
fn interval(row: &ConfigRow<'_>) -> String {
    let throughput = |speed: &Speed| Some(speed.phases.first()?.throughput);
    match speeds(row).find_map(throughput) {
        Some(Estimate {
            value,
            low: Some(low),
            high: Some(high),
        }) if value > 0.0 => format!("+/-{:.1} %", 50.0 * (high - low) / value),
        _ => "-".to_owned(),
    }
}

/// Returns the maximum rate within the SLO; `none` if no rate that was tried met it.
fn max_within_slo(row: &ConfigRow<'_>) -> String {
    let rates = sorted(row, |speed| speed.search.as_ref()?.highest_qps);
    let searched = speeds(row).any(|speed| speed.search.is_some());
    match (median(&rates), searched) {
        (Some(rate), _) => figures(rate),
        (None, true) => "none".to_owned(),
        (None, false) => "-".to_owned(),
    }
}

fn percentile(speed: &Speed, quantile: f64) -> Option<f64> {
    let latency = speed.latency()?.latency.as_ref()?;
    Some(latency.percentile(quantile)?.ms.value)
}

/// Returns the load at which the latency was measured.
fn load(row: &ConfigRow<'_>) -> String {
    let mut phases = speeds(row).filter_map(Speed::latency);
    phases.next().map_or("-".to_owned(), names::load)
}

/// Returns the goodput of the phase that latency was measured in.
fn goodput(speed: &Speed) -> Option<f64> {
    speed.latency()?.goodput_qps
}

/// Returns the number of cancelled queries, if any: an overloaded phase does not wait for all
/// answers.
fn cancelled(speed: &Speed) -> Option<f64> {
    let cancelled: u64 = speed
        .phases
        .iter()
        .map(|phase| phase.totals.cancelled)
        .sum();
    (cancelled > 0).then_some(cancelled as f64)
}

/// Returns the mean batch size as a share of the maximum.
fn batch_fill(row: &ConfigRow<'_>) -> String {
    let means = sorted(row, |speed| speed.phases.first()?.mean_batch);
    median(&means).map_or("-".to_owned(), |mean| {
        percent(mean / row.config.batch_size as f64)
    })
}

/// Returns the throughput as a share of the no-op model's.
fn share_of_baseline(row: &ConfigRow<'_>) -> String {
    let shares = sorted(row, |speed| {
        let baseline = speed.baseline.as_ref()?.throughput_qps;
        (baseline > 0.0).then_some(speed.throughput_qps / baseline)
    });
    median(&shares).map_or("-".to_owned(), |share| match share {
        0.1.. => percent(share),
        _ => percent_to_tenths(share),
    })
}
