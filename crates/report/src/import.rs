//! `driver import`: the original's results and ours in one table.

use std::path::{Path, PathBuf};

use comfy_table::{CellAlignment, Table, presets};
use results::{
    NotRead, Trial, files,
    import::{Node, Original},
};

use crate::{
    error::Error,
    names::phase,
    output::{note, print},
    text::number,
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

/// What has to be known of the original's rows.
const NOTES: &str = "
* -: the file does not say.
* queries/s: answers divided by time. The original kept the rates of windows of as many answers each, so its figure here is their
  harmonic mean; what it reported is their mean, which overstates the throughput wherever they differ.
* The original's latencies are from the sending of a query, on the wall clock, under a flood: they grow as long as it lasts. There
  is no percentile of the whole, and cold starts are inside. Compare them with --mode flood only.
* The original left out queries that were not answered: its answers are those that its frontend counted, of nobody knows how many.
";

/// Reads files and folders of the original's and ours, and prints their table; names what is neither.
///
/// # Errors
/// If none of them is a result, a folder cannot be read, or standard output takes nothing.
pub fn import(paths: &[PathBuf]) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        files.extend(within(path)?);
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

/// The file itself, or the results in the folder.
fn within(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    Ok(files(path)?)
}

/// Model, replicas, cores and batch size: rows stand in that order, so that old and new of a shape are neighbours.
type Key = (String, Vec<[Option<usize>; 3]>);

fn read(file: &Path) -> Result<(Key, Vec<String>), NotRead> {
    match Trial::read(file) {
        Ok(result) => Ok(ours(&result)),
        Err(NotRead::NoFormat) => Original::read(file).map(|original| theirs(&original)),
        Err(reason) => Err(reason),
    }
}

fn theirs(original: &Original) -> (Key, Vec<String>) {
    let nodes = &original.nodes;
    let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
    let sizes = |node: &Node| [node.num_replicas, node.cpus_per_replica, node.batch_size];
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

fn ours(result: &Trial) -> (Key, Vec<String>) {
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

fn optional(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), number)
}

fn range(ends: Option<(f64, f64)>) -> String {
    ends.map_or("-".to_owned(), |(first, last)| {
        format!("{} to {}", number(first), number(last))
    })
}
