//! A row for each accuracy run.

use comfy_table::Table;
use results::{AccuracyRun, Trial, percent_to_tenths};

const HEADINGS: [&str; 11] = [
    "replicas", "CPUs", "batch", "right", "of", "share", "offline", "ok", "default", "timeout",
    "error",
];

pub(super) fn fill(table: &mut Table, results: &[Trial]) {
    table.set_header(HEADINGS);
    let mut results: Vec<_> = results.iter().collect();
    results.sort_by_key(|result| (result.config(), result.round));
    for result in results {
        table.add_row(row(result));
    }
}

fn row(result: &Trial) -> Vec<String> {
    let config = result.config();
    let missing = match (result.replicas_died, result.replicas_lost) {
        (0, 0) => String::new(),
        (0, lost) => format!(" ({lost} lost)"),
        (died, _) => format!(" ({died} died)"),
    };
    let mut row = vec![
        format!("{}{missing}", config.replicas),
        config.cpus_per_replica.to_string(),
        config.batch_size.to_string(),
    ];
    match result.accuracy() {
        Some(run) => row.extend(cells(run)),
        None => row.extend(["-"; 4].map(str::to_owned)),
    }
    let totals = &result.totals;
    let counts = [totals.ok, totals.default, totals.timeout, totals.error];
    row.extend(counts.map(|count| count.to_string()));
    row
}

fn cells(run: &AccuracyRun) -> [String; 4] {
    [
        run.served.right.to_string(),
        run.served.of.to_string(),
        percent_to_tenths(run.share),
        run.offline
            .map_or("-".to_owned(), |offline| offline.right.to_string()),
    ]
}
