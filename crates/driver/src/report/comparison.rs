//! `driver compare`: what has changed from one sweep to another, for people and for CI.

use std::{fs, path::Path};

use comfy_table::{CellAlignment, Table, presets};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{
    anew::left_out,
    names::{estimate, number, plural},
    note, print,
};
use crate::{
    Error,
    cli::Compare,
    compare::{Change, Comparison, Pair, compare},
    results::{Folder, PointResult, Status},
};

const HEADER: [&str; 9] = [
    "point",
    "verdicts",
    "queries/s A",
    "B",
    "B / A",
    "throughput",
    "p99 ms A",
    "B",
    "B / A",
];

/// Prints the comparison; true if it is within the limits that were given.
pub fn comparison(asked: &Compare) -> Result<bool, Error> {
    for (flag, limit) in [
        ("--fail_below", asked.fail_below),
        ("--fail_above", asked.fail_above),
    ] {
        if limit.is_some_and(|limit| !(limit > 0.0 && limit.is_finite())) {
            return Err(Error::Usage(format!(
                "{flag} takes a number above zero, as 0.95 or 1.1"
            )));
        }
    }
    let compared = compare(&results(&asked.a)?, &results(&asked.b)?);
    if compared.points.is_empty() {
        return Err(Error::Usage(format!(
            "{} and {} have no point in common, so there is nothing to compare",
            asked.a.display(),
            asked.b.display()
        )));
    }
    print(&format!("{}\n", render(&compared)))?;
    let judged: Vec<_> = compared
        .points
        .iter()
        .map(|pair| (pair, judge(pair, asked)))
        .collect();
    if let Some(file) = &asked.junit {
        let xml = junit(&judged).map_err(|error| Error::file("write", file, error))?;
        fs::write(file, xml).map_err(|error| Error::file("write", file, error))?;
    }
    for (pair, judgement) in &judged {
        if let Judgement::Failed(why) = judgement {
            note(&format!("driver: {}: {why}", pair.shape));
        }
    }
    Ok(judged
        .iter()
        .all(|(_, judgement)| !matches!(judgement, Judgement::Failed(_))))
}

/// A folder that cannot be compared is a mistake in the command: exit status 1 is for limits that are broken.
fn results(dir: &Path) -> Result<Vec<PointResult>, Error> {
    let folder = Folder::read(dir).map_err(|error| Error::Usage(error.to_string()))?;
    left_out(&folder);
    let points = folder.points.into_iter();
    Ok(points.map(|point| point.result).collect())
}

/// What the limits say of a point.
enum Judgement {
    Passed,
    /// A has nothing that could be compared with.
    Skipped(&'static str),
    Failed(String),
}

/// A limit is broken where the whole interval is beyond it. A point that is INVALID in B alone breaks every limit.
fn judge(pair: &Pair, asked: &Compare) -> Judgement {
    let [a, b] = pair.status.map(|status| status == Status::Invalid);
    let limited = asked.fail_below.is_some() || asked.fail_above.is_some();
    let ratio = |change: Option<Change>| change.map(|change| change.ratio);
    let (throughput, p99) = (ratio(pair.throughput), ratio(pair.p99));
    let slower = throughput.zip(asked.fail_below);
    let slower = slower.filter(|(ratio, limit)| ratio.high.is_some_and(|high| high < *limit));
    let later = p99.zip(asked.fail_above);
    let later = later.filter(|(ratio, limit)| ratio.low.is_some_and(|low| low > *limit));
    let said = |what: &str, ratio, beyond: &str, limit: f64| {
        Judgement::Failed(format!(
            "{what} is {} times A's, {beyond} {limit}",
            estimate(&ratio)
        ))
    };
    match (slower, later) {
        (Some((ratio, limit)), _) => said("the throughput", ratio, "below", limit),
        (None, Some((ratio, limit))) => said("the p99", ratio, "above", limit),
        (None, None) if a && throughput.is_none() => Judgement::Skipped("it is INVALID in A"),
        (None, None) if b && throughput.is_none() && limited => {
            Judgement::Failed("it is INVALID in B".to_owned())
        }
        (None, None) => Judgement::Passed,
    }
}

/// A test case per point.
fn junit(judged: &[(&Pair, Judgement)]) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new("driver compare");
    for (pair, judgement) in judged {
        let status = match judgement {
            Judgement::Passed => TestCaseStatus::success(),
            Judgement::Skipped(why) => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(*why);
                status
            }
            Judgement::Failed(why) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(why.as_str());
                status
            }
        };
        let mut case = TestCase::new(pair.shape.to_string(), status);
        let ratio = |change: &Option<Change>| {
            change
                .as_ref()
                .map_or("-".to_owned(), |c| estimate(&c.ratio))
        };
        case.set_system_out(format!(
            "throughput B / A: {}\np99 B / A: {}",
            ratio(&pair.throughput),
            ratio(&pair.p99)
        ));
        suite.add_test_case(case);
    }
    let mut report = Report::new("driver compare");
    report.add_test_suite(suite);
    report.to_string()
}

/// The table, and what has to be known to read it.
fn render(compared: &Comparison) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(HEADER);
    table.add_rows(compared.points.iter().map(row));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = table.to_string();
    for note in notes(compared) {
        text.push_str("\n* ");
        text.push_str(&note);
    }
    text
}

fn row(pair: &Pair) -> Vec<String> {
    let [a, b] = pair.status;
    let cells = |change: &Option<Change>| match change {
        None => ["-"; 3].map(str::to_owned),
        Some(change) => [number(change.a), number(change.b), estimate(&change.ratio)],
    };
    let mut row = vec![pair.shape.to_string(), format!("{a}, {b}")];
    row.extend(cells(&pair.throughput));
    row.push(pair.throughput.as_ref().map_or("-", in_a_word).to_owned());
    row.extend(cells(&pair.p99));
    row
}

fn in_a_word(change: &Change) -> &'static str {
    match (change.is_significant(), change.ratio.value > 1.0) {
        (true, true) => "higher",
        (true, false) => "lower",
        (false, _) if change.ratio.low.is_none() => "no interval",
        (false, _) => "not significant",
    }
}

fn notes(compared: &Comparison) -> Vec<String> {
    let mut notes = vec![
        "B / A with its 95 % interval: above 1 is more in B; significant where the interval leaves out 1".to_owned(),
        "where a profile measured the p99, it is at a share of each side's own throughput".to_owned(),
    ];
    let changes = compared.points.iter().filter_map(|pair| pair.throughput);
    if changes.into_iter().any(|change| change.rounds != [1, 1]) {
        notes.push(
            "of several rounds these are the geometric means, without those that are INVALID"
                .to_owned(),
        );
    } else {
        notes.push(
            "of one round the interval does not know how much one deployment differs from the next: --repeats tells".to_owned(),
        );
    }
    notes.extend(
        compared
            .unfair
            .iter()
            .map(|what| format!("not the same in A and B: {what}")),
    );
    for (side, shapes) in [("A", &compared.only_a), ("B", &compared.only_b)] {
        if !shapes.is_empty() {
            let names: Vec<_> = shapes.iter().map(ToString::to_string).collect();
            let count = names.len();
            notes.push(format!(
                "{count} {} only in {side}: {}",
                plural(count, "point"),
                names.join("; ")
            ));
        }
    }
    notes
}
