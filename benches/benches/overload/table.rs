//! The table of steady loads.

use comfy_table::{CellAlignment, Table, presets};

use crate::{case::Case, figures::Figures};

/// A table without borders, with a column of text and columns of numbers.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Table of steady loads.
pub(crate) struct Rows(pub(crate) Table);

/// Figures of a row beside what they are measured against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Against {
    /// Goodput over that of the reference.
    pub(crate) reference: f64,
    /// Goodput over the attainable: the offered load or the capacity.
    pub(crate) capacity: f64,
}

impl Rows {
    pub(crate) fn new() -> Rows {
        Rows(table(&[
            "",
            "RPC",
            "spread",
            "batch",
            "objective, ms",
            "load",
            "offered/s",
            "in time/s",
            "of reference",
            "of capacity",
            "late, %",
            "too late, %",
            "shed/s",
            "p99, ms",
            "lag p99, ms",
        ]))
    }

    pub(crate) fn add(&mut self, label: &str, case: &Case, figures: &Figures, against: Against) {
        self.0.add_row([
            format!("{label}{}", case.protocol.name()),
            case.rpc_version.to_string(),
            format!("{:.0} %", 100.0 * case.law.spread),
            case.policy.name(),
            format!("{:.0}", 1e3 * case.objective.as_secs_f64()),
            format!("{:.2}", case.load()),
            format!("{:.0}", figures.per_second(figures.offered)),
            format!("{:.0}", figures.per_second(figures.in_time)),
            format!("{:.3}", against.reference),
            format!("{:.3}", against.capacity),
            format!("{:.3}", 100.0 * figures.late_share()),
            format!("{:.2}", 100.0 * figures.too_late_share()),
            format!("{:.0}", figures.per_second(figures.shed)),
            format!("{:.1}", figures.p99_ms),
            format!("{:.2}", figures.lag_ms),
        ]);
    }
}

/// The case in a few words, for the verdict.
pub(crate) fn words(case: &Case) -> String {
    format!(
        "{}, RPC {}, spread {:.0} %, batch {}, objective {:.0} ms, {:.2} times the capacity",
        case.protocol.name(),
        case.rpc_version,
        100.0 * case.law.spread,
        case.policy.name(),
        1e3 * case.objective.as_secs_f64(),
        case.load()
    )
}
