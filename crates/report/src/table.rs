//! The table of a sweep: a row for each configuration, or for each accuracy run.

mod accuracy;
mod speed;
mod verdict;

use comfy_table::{CellAlignment, Table, presets};

use crate::config_row::ConfigRow;

/// Returns the table, in ASCII Markdown without colours.
pub(crate) fn table(rows: &[ConfigRow<'_>], colours: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    match colours {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    let mut trials = rows.iter().flat_map(|row| row.rounds.all());
    match trials.any(|trial| trial.accuracy().is_some()) {
        true => accuracy::fill(&mut table, rows),
        false => speed::fill(&mut table, rows),
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}
