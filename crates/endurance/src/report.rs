//! What is printed at the end: aligned tables, and a line for each property that was violated.

use std::{collections::BTreeMap, process::ExitCode};

use comfy_table::{CellAlignment, Table, presets};

use crate::{
    ledger::{Counts, Tally},
    progress::percent,
    samples::{Mib, Samples},
    weather::{Fault, Faults},
};

/// How queries ended, by what was wrong, and in all.
pub fn by_fault(counts: &Counts) -> String {
    let mut rows: BTreeMap<Row, Tally> = BTreeMap::new();
    for (faults, tally) in &counts.ended {
        rows.entry(Row::of(*faults)).or_default().add(tally);
    }
    let named = rows.iter().map(|(row, tally)| (row.name(), tally));
    endings("while", named, &counts.total())
}

/// How queries ended, by client.
pub fn by_client(clients: &[(String, Counts)]) -> String {
    let mut rows: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut all = Tally::default();
    for (name, counts) in clients {
        rows.entry(name).or_default().add(&counts.total());
        all.add(&counts.total());
    }
    endings(
        "client",
        rows.iter().map(|(name, tally)| (*name, tally)),
        &all,
    )
}

/// What processes held, and whether it grew.
pub fn memory(samples: &Samples) -> String {
    let mut table = table(&[
        "process",
        "memory",
        "then",
        "fds",
        "then",
        "threads",
        "then",
        "memory over time",
    ]);
    for curve in samples.curves() {
        let (second, last) = (curve.second, curve.last);
        table.add_row([
            curve.name.to_owned(),
            Mib(second.rss).to_string(),
            Mib(last.rss).to_string(),
            second.fds.to_string(),
            last.fds.to_string(),
            second.threads.to_string(),
            last.threads.to_string(),
            curve.sparkline,
        ]);
    }
    table.to_string()
}

/// Why queries ended without an answer, a line each.
pub fn reasons(counts: &Counts) -> String {
    let lines = counts.reasons.iter();
    lines
        .map(|(reason, count)| format!("{count:>10} {reason}\n"))
        .collect()
}

/// Prints what was violated, a line each, or that nothing was.
pub fn verdict(program: &str, violations: &[String]) -> ExitCode {
    if violations.is_empty() {
        println!("{program}: PASSED");
        return ExitCode::SUCCESS;
    }
    for violation in violations {
        println!("{program}: VIOLATED: {violation}");
    }
    ExitCode::FAILURE
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Row {
    Calm,
    One(Fault),
    /// Several, and the frontend was there.
    Several,
    /// Several, among them that the frontend was not.
    WithoutFrontend,
}

impl Row {
    fn of(faults: Faults) -> Row {
        let kinds: Vec<Fault> = faults.kinds().collect();
        match kinds[..] {
            [] => Row::Calm,
            [one] => Row::One(one),
            _ if kinds.contains(&Fault::KilledFrontend) => Row::WithoutFrontend,
            _ => Row::Several,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Row::Calm => "no fault",
            Row::One(fault) => fault.name(),
            Row::Several => "several at once",
            Row::WithoutFrontend => "frontend killed and others",
        }
    }
}

fn endings<'a>(
    what: &str,
    rows: impl Iterator<Item = (&'a str, &'a Tally)>,
    all: &'a Tally,
) -> String {
    let mut table = table(&[
        what,
        "queries",
        "in time",
        "late",
        "default",
        "refused",
        "cut off",
        "unreachable",
        "wrong",
        "failed",
        "lost",
    ]);
    for (name, tally) in rows.chain([("all", all)]) {
        let ended = tally.ended();
        let mut row = vec![
            name.to_owned(),
            ended.to_string(),
            percent(tally.in_time, ended),
        ];
        let counts = [
            tally.late,
            tally.default,
            tally.refused,
            tally.cut_off,
            tally.unreachable,
            tally.wrong,
            tally.failed,
            tally.lost,
        ];
        row.extend(counts.map(|count| count.to_string()));
        table.add_row(row);
    }
    table.to_string()
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.force_no_tty();
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_row_per_fault_one_for_several_and_one_for_all() {
        let tally = Tally {
            in_time: 3,
            default: 1,
            ..Tally::default()
        };
        let both = Faults::of([Fault::KilledReplica, Fault::KilledFrontend]);
        let counts = Counts {
            asked: 12,
            ended: [
                (Faults::NONE, tally.clone()),
                (Faults::of([Fault::StoppedReplica]), tally.clone()),
                (both, tally),
            ]
            .into(),
            ..Counts::default()
        };
        let table = by_fault(&counts);
        let names: Vec<_> = table
            .lines()
            .skip(2)
            .filter_map(|line| Some(line.split('|').nth(1)?.trim()))
            .collect();
        assert_eq!(
            names,
            [
                "no fault",
                "replica stopped",
                "frontend killed and others",
                "all"
            ]
        );
        assert!(
            table
                .lines()
                .all(|line| line.len() == table.lines().next().unwrap().len())
        );
        assert!(table.contains("75.00 %"), "{table}");
    }
}
