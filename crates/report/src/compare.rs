//! `driver compare`: the changes from one sweep to another, for people and for CI.

mod gate;

use std::{fs, path::Path};

use comfy_table::{CellAlignment, Table, presets};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use results::{
    Folder,
    compare::{ComparedConfig, Comparison, Figure},
};

use crate::{
    error::Error,
    output::left_out,
    text::{estimate, number, plural},
};
pub use gate::Limits;
use gate::{Gate, Judgement};

/// Settings of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Compare<'a> {
    /// Folder of the first sweep, which the second is compared against.
    pub a: &'a Path,
    /// Folder of the second sweep.
    pub b: &'a Path,
    /// Limits of the gate.
    pub limits: Limits,
    /// Path of a JUnit file to write, with a test case for each point.
    pub junit: Option<&'a Path>,
}

/// A point with its judgement.
struct JudgedPair<'a> {
    pair: &'a ComparedConfig,
    judgement: Judgement,
}

/// Result of a comparison.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Table with notes.
    pub text: String,
    /// Files that are left out and limits that are broken, one line each.
    pub remarks: Vec<String>,
    /// True if all points are within the limits and could be judged.
    pub passed: bool,
}

/// Compares two sweeps, and writes the JUnit file if it has a path.
///
/// # Errors
/// If a folder has no result, the sweeps have no point in common, a limit is not valid, or the
/// JUnit file cannot be written.
pub fn compare(settings: &Compare<'_>) -> Result<Compared, Error> {
    let gate = Gate::of(settings.limits)?;
    let [a, b] = [read(settings.a)?, read(settings.b)?];
    let mut remarks: Vec<String> = [&a, &b].into_iter().flat_map(left_out).collect();
    let [a, b] = [a, b].map(|folder| folder.results().cloned().collect::<Vec<_>>());
    let compared = results::compare::compare(&a, &b);
    if !compared.has_common_points() {
        return Err(nothing_in_common(settings, &compared));
    }
    let judged = compared.configs.iter().map(|pair| JudgedPair {
        pair,
        judgement: gate.judge(pair),
    });
    let judged: Vec<_> = judged.collect();
    if let Some(file) = settings.junit {
        let xml = junit(&judged).map_err(|error| Error::file("write", file, error))?;
        fs::write(file, xml).map_err(|error| Error::file("write", file, error))?;
    }
    for JudgedPair { pair, judgement } in &judged {
        if let Judgement::Failed(why) = judgement {
            remarks.push(format!("driver: {}: {why}", pair.key));
        }
    }
    let is = |is: fn(&Judgement) -> bool| judged.iter().filter(|j| is(&j.judgement)).count();
    let nothing_judged =
        gate.is_set() && is(|j| matches!(j, Judgement::Undecided(_))) == judged.len();
    if nothing_judged {
        let why =
            "driver: no point could be judged, so the gate fails: see the notes under the table";
        remarks.push(why.to_owned());
    }
    Ok(Compared {
        text: format!("{}\n", render(&compared)),
        remarks,
        passed: !nothing_judged && is(|j| matches!(j, Judgement::Failed(_))) == 0,
    })
}

fn nothing_in_common(settings: &Compare<'_>, compared: &Comparison) -> Error {
    let differs: Vec<_> = compared
        .differences
        .iter()
        .map(|what| format!("; {what}"))
        .collect();
    Error::Usage(format!(
        "{} and {} have no point in common, so there is nothing to compare{}",
        settings.a.display(),
        settings.b.display(),
        differs.concat()
    ))
}

/// Reads a folder. An error is one of usage, because exit status 1 means that a limit is broken.
fn read(dir: &Path) -> Result<Folder, Error> {
    Folder::read(dir).map_err(|error| Error::Usage(error.to_string()))
}

/// Returns a JUnit report with a test case for each point.
fn junit(judged: &[JudgedPair<'_>]) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new("driver compare");
    for JudgedPair { pair, judgement } in judged {
        let status = match judgement {
            Judgement::Passed | Judgement::PassedInPart(_) => TestCaseStatus::success(),
            Judgement::Undecided(why) => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(why.as_str());
                status
            }
            Judgement::Failed(why) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(why.as_str());
                status
            }
        };
        let mut case = TestCase::new(pair.key.to_string(), status);
        let ratios = pair.figures().map(|figure| {
            let ratio = figure.ratio.as_ref().map_or("-".to_owned(), estimate);
            format!("{} B / A: {ratio}", figure.name)
        });
        let mut lines: Vec<_> = ratios.collect();
        if let Judgement::PassedInPart(why) = judgement {
            lines.push(format!("not judged: {why}"));
        }
        case.set_system_out(lines.join("\n"));
        suite.add_test_case(case);
    }
    let mut report = Report::new("driver compare");
    report.add_test_suite(suite);
    report.to_string()
}

/// Returns the table with notes.
fn render(compared: &Comparison) -> String {
    let searched = compared.configs.iter().any(|pair| pair.highest.is_some());
    let mut header = vec![
        "point",
        "verdicts",
        "queries/s A",
        "B",
        "B / A",
        "throughput",
    ];
    if searched {
        header.extend(["max/s in SLO A", "B", "B / A"]);
    }
    header.extend(["p99 ms A", "B", "B / A"]);
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    table.add_rows(compared.configs.iter().map(|pair| row(pair, searched)));
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

fn row(pair: &ComparedConfig, searched: bool) -> Vec<String> {
    let [a, b] = &pair.sides;
    let mut row = vec![pair.key.to_string(), format!("{a}, {b}")];
    row.extend(cells(Some(&pair.throughput)));
    row.push(significance(&pair.throughput).to_owned());
    if searched {
        row.extend(cells(pair.highest.as_ref()));
    }
    row.extend(cells(Some(&pair.p99)));
    row
}

fn cells(figure: Option<&Figure>) -> [String; 3] {
    let Some(figure) = figure else {
        return ["-"; 3].map(str::to_owned);
    };
    let [a, b] = figure
        .sides
        .map(|side| side.value.map_or("-".to_owned(), number));
    let ratio = match &figure.ratio {
        Ok(ratio) => estimate(ratio),
        Err(_) if figure.sides.iter().all(|side| side.value.is_some()) => "not compared".to_owned(),
        Err(_) => "-".to_owned(),
    };
    [a, b, ratio]
}

fn significance(figure: &Figure) -> &'static str {
    match &figure.ratio {
        Err(_) => "not compared",
        Ok(ratio) if figure.is_significant() && ratio.value > 1.0 => "higher",
        Ok(_) if figure.is_significant() => "lower",
        Ok(_) if figure.undecided().is_some() => "no interval",
        Ok(_) => "not significant",
    }
}

fn notes(compared: &Comparison) -> Vec<String> {
    let points = &compared.configs;
    let mut notes = vec![
        "B / A with its 95 % interval: above 1 is more in B; significant if the interval excludes 1".to_owned(),
        "a profile measures the p99 at a share of each side's own throughput".to_owned(),
    ];
    if points.iter().any(|pair| pair.highest.is_some()) {
        notes.push(
            "max/s in SLO: max queries/s within SLO; its interval ends at the rates that were tried and missed it"
                .to_owned(),
        );
    }
    if points
        .iter()
        .any(|pair| pair.throughput.sides.iter().any(|side| side.rounds > 1))
    {
        notes.push(
            "several rounds: these are geometric means, without rounds that are INVALID or did not run"
                .to_owned(),
        );
    } else {
        notes.push(
            "one round: the interval excludes the differences between deployments; measure them with --repeats".to_owned(),
        );
    }
    let differences = compared.differences.iter();
    notes.extend(differences.map(|what| format!("not the same in A and B: {what}")));
    notes.extend(not_compared(points));
    notes
}

/// Returns the reasons why figures are not compared, each once with its points.
fn not_compared(points: &[ComparedConfig]) -> Vec<String> {
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for pair in points {
        for why in [pair.missing(), pair.undecided(pair.figures())].concat() {
            let key = pair.key.to_string();
            match reasons.iter_mut().find(|(reason, _)| *reason == why) {
                Some((_, keys)) => keys.push(key),
                None => reasons.push((why, vec![key])),
            }
        }
    }
    let line = |(why, keys): (String, Vec<String>)| {
        let count = keys.len();
        let points = match count {
            1 => String::new(),
            _ => format!("{count} {}, ", plural(count, "point")),
        };
        format!("not compared, {points}{}: {why}", keys.join("; "))
    };
    reasons.into_iter().map(line).collect()
}
