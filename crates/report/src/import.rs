//! `driver import`: results of the original driver and of this one in one table.

use std::path::{Path, PathBuf};

use comfy_table::{CellAlignment, Table, presets};
use results::{
    ReadError, Trial, files,
    import::{Original, OriginalNode},
};

use crate::{
    error::Error,
    names::phase,
    output::{note, print},
    text::{number, optional},
};

const HEADER: [&str; 13] = [
    "driver",
    "model",
    "replicas",
    "CPUs",
    "batch",
    "load",
    "queries/s",
    "mean of rates",
    "mean ms",
    "p99 ms",
    "p99 ms of windows, first to last",
    "mean batch",
    "answers",
];

/// Notes on the rows of the original driver.
const NOTES: &str = "
* -: the file has no such value.
* queries/s: answers divided by time. The original kept the rates of windows with equal numbers of answers, so its figure here is
  their harmonic mean; it reported their mean, which overstates the throughput if they differ.
* The original's latencies start when a query is sent, on the wall clock, under a flood: they grow for as long as it lasts. They
  include cold starts, and have no percentile of the whole. Compare them with --mode flood only.
* The original left out queries without an answer: its answers are those that its frontend counted, of an unknown number.
";

/// Reads files and folders of both drivers and prints their table; notes files that are no results.
///
/// # Errors
/// If no file is a result, a folder cannot be read, or standard output cannot be written.
pub fn import(paths: &[PathBuf]) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        files.extend(files_of(path)?);
    }
    for file in &files {
        match read(file) {
            Ok(row) => rows.push(row),
            Err(reason) => note(&format!("left out: {}: {reason}", file.display())),
        }
    }
    if rows.is_empty() {
        return Err(Error::NothingToImport);
    }
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(HEADER);
    table.add_rows(rows.into_iter().map(|(_, cells)| cells));
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    print(&format!("{table}\n{NOTES}"))
}

/// Returns the file itself, or the result files in the folder.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    Ok(files(path)?)
}

/// Model, replicas, cores and batch size: rows are sorted by it, so that old and new results of a
/// configuration are neighbours.
type SortKey = (String, Vec<[Option<usize>; 3]>);

fn read(file: &Path) -> Result<(SortKey, Vec<String>), ReadError> {
    match Trial::read(file) {
        Ok(result) => Ok(trial_row(&result)),
        Err(ReadError::NoFormat) => Original::read(file).map(|original| original_row(&original)),
        Err(reason) => Err(reason),
    }
}

fn original_row(original: &Original) -> (SortKey, Vec<String>) {
    let nodes = &original.nodes;
    let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
    let sizes = |node: &OriginalNode| [node.num_replicas, node.cpus_per_replica, node.batch_size];
    let sizes: Vec<_> = nodes.iter().map(sizes).collect();
    let joined = |index: usize| {
        let each = sizes
            .iter()
            .map(|sizes| sizes[index].map_or("-".to_owned(), |size| size.to_string()));
        each.collect::<Vec<_>>().join("+")
    };
    let name = names.join("+");
    let mut cells = vec![
        "original".to_owned(),
        name.clone(),
        joined(0),
        joined(1),
        joined(2),
        "flood".to_owned(),
    ];
    cells.extend([
        optional(original.throughput_qps),
        optional(original.mean_of_rates),
        optional(original.mean_ms),
        "-".to_owned(),
        range(original.windows_p99_ms),
        optional(original.mean_batch),
        original
            .answers
            .map_or("-".to_owned(), |answers| number(answers as f64)),
    ]);
    ((name, sizes), cells)
}

fn trial_row(result: &Trial) -> (SortKey, Vec<String>) {
    let node = &result.node_configs[0];
    let sizes = [node.num_replicas, node.cpus_per_replica, node.batch_size];
    let mut cells = vec![
        format!("this, {}", result.verdict.status),
        node.name.clone(),
    ];
    cells.extend(sizes.map(|size| size.to_string()));
    match result.speed() {
        None => cells.resize(HEADER.len(), "-".to_owned()),
        Some(speed) => {
            let first = &speed.phases[0];
            let latency = first.latency.as_ref();
            let rates = &speed.client_metrics.thrus;
            let p99 = latency.and_then(|latency| latency.percentile(0.99));
            let mean = results::mean(rates);
            let windows = &speed.client_metrics.p99_lats;
            let ends = windows.first().zip(windows.last());
            let ends =
                ends.and_then(|(first, last)| Some((first.as_ref()? * 1e3, last.as_ref()? * 1e3)));
            cells.extend([
                phase(first),
                number(speed.throughput_qps),
                optional((!rates.is_empty()).then_some(mean)),
                optional(latency.map(|latency| latency.mean)),
                optional(p99.map(|p99| p99.ms.value)),
                range(ends),
                optional(first.mean_batch),
                format!(
                    "{} of {}",
                    number(first.totals.ok as f64),
                    number(first.totals.sent as f64)
                ),
            ]);
        }
    }
    ((node.name.clone(), vec![sizes.map(Some)]), cells)
}

fn range(ends: Option<(f64, f64)>) -> String {
    ends.map_or("-".to_owned(), |(first, last)| {
        format!("{} to {}", number(first), number(last))
    })
}
