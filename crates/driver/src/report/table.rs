//! The table of all points, and what must be known to read it.

mod accuracy;
mod notes;
mod speed;

use std::{
    collections::BTreeMap,
    env,
    io::{IsTerminal, Write, stdout},
};

use comfy_table::{CellAlignment, Table, presets};

use crate::{
    plan::Shape,
    results::{PointResult, Verdict},
};

/// Prints the table, and what must be known to read it. Verdicts have colours on a terminal, unless `NO_COLOR` is set.
pub fn table(results: &[PointResult]) {
    let colours = stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let text = render(results, colours);
    if !text.is_empty() {
        // Nothing is left to do if standard output is closed: the results are on disk.
        let _ = writeln!(stdout(), "{text}");
    }
}

fn render(results: &[PointResult], colours: bool) -> String {
    if results.is_empty() {
        return String::new();
    }
    let rows = rows(results);
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    match colours {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    match results.iter().find_map(PointResult::accuracy) {
        Some(_) => accuracy::fill(&mut table, results),
        None => speed::fill(&mut table, &rows),
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = table.to_string();
    for note in notes::notes(results, &rows) {
        text.push_str("\n* ");
        text.push_str(&note);
    }
    text
}

/// A point with its rounds.
struct Row<'a> {
    /// How it is called in the notes, from 1.
    number: usize,
    shape: Shape,
    rounds: Vec<&'a PointResult>,
}

impl Row<'_> {
    /// The worst of its rounds' verdicts, and why.
    fn verdict(&self) -> Verdict {
        let reasons = self
            .rounds
            .iter()
            .flat_map(|result| &result.verdict.reasons);
        Verdict::of(reasons.cloned().collect())
    }

    /// True if there is no number in any round.
    fn not_run(&self) -> bool {
        self.rounds.iter().all(|result| result.not_run().is_some())
    }
}

/// In the order of the grid, whatever the order of measuring was.
fn rows(results: &[PointResult]) -> Vec<Row<'_>> {
    let mut points: BTreeMap<Shape, Vec<&PointResult>> = BTreeMap::new();
    for result in results {
        points.entry(result.shape()).or_default().push(result);
    }
    let row = |(index, (shape, rounds))| Row {
        number: index + 1,
        shape,
        rounds,
    };
    points.into_iter().enumerate().map(row).collect()
}
