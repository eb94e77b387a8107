//! The verdict in a table cell, with a colour where colours are on.

use comfy_table::{Cell, Color};
use results::VerdictStatus;

/// Returns the cell of a verdict; `None` means that nothing was measured.
pub(super) fn cell(status: Option<VerdictStatus>) -> Cell {
    let Some(status) = status else {
        return Cell::new("NOT RUN").fg(Color::Red);
    };
    Cell::new(status).fg(match status {
        VerdictStatus::Valid => Color::Green,
        VerdictStatus::Suspect => Color::Yellow,
        VerdictStatus::Invalid => Color::Red,
    })
}
