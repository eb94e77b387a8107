//! The final report: tables of queries and memory, and a line for each violation.

use std::{collections::BTreeMap, process::ExitCode};

use comfy_table::{CellAlignment, Table, presets};

use crate::{
    active_faults::{Fault, FaultSet},
    ledger::{LedgerCounts, QueryTally},
    progress::percent,
    samples::{Mib, ProcessSamples},
};

/// Table of query ends by active faults, with totals.
pub fn by_fault(counts: &LedgerCounts) -> String {
    let mut rows: BTreeMap<FaultGroup, QueryTally> = BTreeMap::new();
    for (faults, tally) in &counts.by_faults {
        rows.entry(FaultGroup::of(*faults)).or_default().add(tally);
    }
    let named = rows.iter().map(|(group, tally)| (group.name(), tally));
    tally_table("active faults", named, &counts.total())
}

/// Table of query ends by client, with totals.
pub fn by_client(clients: &[(String, LedgerCounts)]) -> String {
    let mut rows: BTreeMap<&str, QueryTally> = BTreeMap::new();
    let mut all = QueryTally::default();
    for (name, counts) in clients {
        rows.entry(name).or_default().add(&counts.total());
        all.add(&counts.total());
    }
    tally_table(
        "client",
        rows.iter().map(|(name, tally)| (*name, tally)),
        &all,
    )
}

/// Table of the processes' memory, file descriptors and threads: medians of the second and of the last
/// quarter.
pub fn memory(samples: &ProcessSamples) -> String {
    let mut table = table(&[
        "process",
        "memory",
        "at end",
        "fds",
        "at end",
        "threads",
        "at end",
        "memory over time",
    ]);
    for series in samples.series() {
        let (second, last) = (series.second, series.last);
        table.add_row([
            series.name.to_owned(),
            Mib(second.rss).to_string(),
            Mib(last.rss).to_string(),
            second.fds.to_string(),
            last.fds.to_string(),
            second.threads.to_string(),
            last.threads.to_string(),
            series.sparkline,
        ]);
    }
    table.to_string()
}

/// Lists the reasons of queries without the model's answer, with their counts.
pub fn reasons(counts: &LedgerCounts) -> String {
    let lines = counts.reasons.iter();
    lines
        .map(|(reason, count)| format!("{count:>10} {reason}\n"))
        .collect()
}

/// Prints each violation, or that the run passed.
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

/// Group of fault sets: a row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum FaultGroup {
    /// No fault.
    None,
    /// One fault.
    One(Fault),
    /// Several faults, without a kill of the frontend.
    Several,
    /// Several faults, among them a kill of the frontend.
    WithFrontend,
}

impl FaultGroup {
    fn of(faults: FaultSet) -> FaultGroup {
        let kinds: Vec<Fault> = faults.kinds().collect();
        match kinds[..] {
            [] => FaultGroup::None,
            [one] => FaultGroup::One(one),
            _ if kinds.contains(&Fault::KilledFrontend) => FaultGroup::WithFrontend,
            _ => FaultGroup::Several,
        }
    }

    fn name(self) -> &'static str {
        match self {
            FaultGroup::None => "no fault",
            FaultGroup::One(fault) => fault.name(),
            FaultGroup::Several => "several at once",
            FaultGroup::WithFrontend => "frontend killed and others",
        }
    }
}

/// Table of tallies with one row per name, and a row of totals.
fn tally_table<'a>(
    first_column: &str,
    rows: impl Iterator<Item = (&'a str, &'a QueryTally)>,
    total: &'a QueryTally,
) -> String {
    let mut table = table(&[
        first_column,
        "queries",
        "in time",
        "late",
        "default",
        "refused",
        "disconnected",
        "unreachable",
        "wrong",
        "failed",
        "lost",
    ]);
    for (name, tally) in rows.chain([("all", total)]) {
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
            tally.disconnected,
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

/// Creates a table whose columns but the first are right-aligned.
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
    fn table_has_a_row_per_fault_group_and_a_total() {
        let tally = QueryTally {
            in_time: 3,
            default: 1,
            ..QueryTally::default()
        };
        let both = FaultSet::of([Fault::KilledReplica, Fault::KilledFrontend]);
        let counts = LedgerCounts {
            sent: 12,
            by_faults: [
                (FaultSet::NONE, tally.clone()),
                (FaultSet::of([Fault::StoppedReplica]), tally.clone()),
                (both, tally),
            ]
            .into(),
            ..LedgerCounts::default()
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
