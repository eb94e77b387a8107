//! The table of accuracy runs.

use comfy_table::{Cell, Table};
use results::{AccuracyRun, Trial, percent_to_tenths};

use super::verdict;
use crate::config_row::ConfigRow;

const HEADINGS: [&str; 13] = [
    "#", "replicas", "CPUs", "batch", "right", "of", "share", "offline", "ok", "default",
    "timeout", "error", "verdict",
];

/// Adds a row for each run.
pub(super) fn fill(table: &mut Table, rows: &[ConfigRow<'_>]) {
    table.set_header(HEADINGS);
    for row in rows {
        for trial in row.rounds.all() {
            let cells = cells(row, trial).into_iter().map(Cell::new);
            let ran = trial.not_run().is_none();
            let status = ran.then_some(trial.verdict.status);
            table.add_row(cells.chain([verdict::cell(status)]));
        }
    }
}

fn cells(row: &ConfigRow<'_>, trial: &Trial) -> Vec<String> {
    let config = row.config;
    let missing = match (trial.replicas_died, trial.replicas_lost) {
        (0, 0) => String::new(),
        (0, lost) => format!(" ({lost} lost)"),
        (died, _) => format!(" ({died} died)"),
    };
    let mut cells = vec![
        row.number.to_string(),
        format!("{}{missing}", config.replicas),
        config.cpus_per_replica.to_string(),
        config.batch_size.to_string(),
    ];
    match trial.accuracy() {
        Some(run) => cells.extend(counts(run)),
        None => cells.extend(["-"; 4].map(str::to_owned)),
    }
    let totals = &trial.totals;
    let ends = [totals.ok, totals.default, totals.timeout, totals.error];
    cells.extend(ends.map(|count| count.to_string()));
    cells
}

fn counts(run: &AccuracyRun) -> [String; 4] {
    [
        run.served.right.to_string(),
        run.served.of.to_string(),
        percent_to_tenths(run.share),
        run.offline
            .map_or("-".to_owned(), |offline| offline.right.to_string()),
    ]
}
