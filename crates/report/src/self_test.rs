//! The table of a self-test: the maximum rate of the load generator.

use comfy_table::{CellAlignment, Table, presets};
use results::percent;

/// Maximum rate of the load generator with inputs of one size.
#[derive(Clone, Copy, Debug)]
pub struct Ceiling {
    /// Size of an input in bytes.
    pub input_bytes: usize,
    /// Answers per second.
    pub qps: f64,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of the latency in milliseconds.
    pub p99_ms: f64,
    /// CPU time of the busiest thread, in cores.
    pub busiest_thread: f64,
}

/// Returns a table with a row for each size of the inputs.
pub fn self_test(clients: usize, in_flight: usize, ceilings: &[Ceiling]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "input bytes",
        "queries/s",
        "MB/s",
        "p50 ms",
        "p99 ms",
        "busiest thread",
    ]);
    table.add_rows(ceilings.iter().map(row));
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!(
        "maximum rate of the load generator: {in_flight} queries in flight from {clients} client threads, against a server \
         in this process that only answers, on the same cores\n{table}\n"
    )
}

fn row(ceiling: &Ceiling) -> [String; 6] {
    let rate = ceiling.qps;
    [
        ceiling.input_bytes.to_string(),
        format!("{rate:.0}"),
        format!("{:.0}", rate * ceiling.input_bytes as f64 / 1e6),
        format!("{:.3}", ceiling.p50_ms),
        format!("{:.3}", ceiling.p99_ms),
        percent(ceiling.busiest_thread),
    ]
}
