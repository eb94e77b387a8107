//! `driver compare`: what has changed from one sweep to another, for people and for CI.

mod gate;

use std::{fs, path::Path};

use comfy_table::{CellAlignment, Table, presets};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use results::{
    Folder,
    compare::{Comparison, Figure, Pair},
};

use crate::{
    error::Error,
    output::left_out,
    text::{estimate, number, plural},
};
pub use gate::Limits;
use gate::{Gate, Judgement};

/// Two sweeps that are to be compared.
#[derive(Clone, Copy, Debug)]
pub struct Compare<'a> {
    /// The folder of the first sweep: what is compared against.
    pub a: &'a Path,
    /// The folder of the second one.
    pub b: &'a Path,
    /// What fails.
    pub limits: Limits,
    /// A JUnit file to be written, with a test case for each point.
    pub junit: Option<&'a Path>,
}

/// A point, and what the gate says of it.
struct Judged<'a> {
    pair: &'a Pair,
    judgement: Judgement,
}

/// A comparison that has been made.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The table, and what has to be known to read it.
    pub text: String,
    /// Files that are left out, and limits that are broken; a line each.
    pub remarks: Vec<String>,
    /// True if it is within the limits that were given, and could be judged.
    pub passed: bool,
}

/// Compares two sweeps, and writes the JUnit file if one is asked for.
///
/// # Errors
/// If a folder holds no result, the two have no point in common, a limit makes no sense, or the JUnit file cannot be
/// written.
pub fn compare(asked: &Compare<'_>) -> Result<Compared, Error> {
    let gate = Gate::of(asked.limits)?;
    let [a, b] = [read(asked.a)?, read(asked.b)?];
    let mut remarks: Vec<String> = [&a, &b].into_iter().flat_map(left_out).collect();
    let [a, b] = [a, b].map(|folder| folder.results().cloned().collect::<Vec<_>>());
    let compared = results::compare::compare(&a, &b);
    if !compared.has_common_points() {
        return Err(nothing_in_common(asked, &compared));
    }
    let judged = compared.points.iter().map(|pair| Judged {
        pair,
        judgement: gate.judge(pair),
    });
    let judged: Vec<_> = judged.collect();
    if let Some(file) = asked.junit {
        let xml = junit(&judged).map_err(|error| Error::file("write", file, error))?;
        fs::write(file, xml).map_err(|error| Error::file("write", file, error))?;
    }
    for Judged { pair, judgement } in &judged {
        if let Judgement::Failed(why) = judgement {
            remarks.push(format!("driver: {}: {why}", pair.key));
        }
    }
    let is = |is: fn(&Judgement) -> bool| judged.iter().filter(|j| is(&j.judgement)).count();
    let nothing_judged = gate.is_set() && is(|j| matches!(j, Judgement::Open(_))) == judged.len();
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

fn nothing_in_common(asked: &Compare<'_>, compared: &Comparison) -> Error {
    let differs: Vec<_> = compared
        .unfair
        .iter()
        .map(|what| format!("; {what}"))
        .collect();
    Error::Usage(format!(
        "{} and {} have no point in common, so there is nothing to compare{}",
        asked.a.display(),
        asked.b.display(),
        differs.concat()
    ))
}

/// A folder that cannot be compared is a mistake in the command: exit status 1 is for limits that are broken.
fn read(dir: &Path) -> Result<Folder, Error> {
    Folder::read(dir).map_err(|error| Error::Usage(error.to_string()))
}

/// A test case per point.
fn junit(judged: &[Judged<'_>]) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new("driver compare");
    for Judged { pair, judgement } in judged {
        let status = match judgement {
            Judgement::Passed | Judgement::InPart(_) => TestCaseStatus::success(),
            Judgement::Open(why) => {
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
        if let Judgement::InPart(why) = judgement {
            lines.push(format!("not judged: {why}"));
        }
        case.set_system_out(lines.join("\n"));
        suite.add_test_case(case);
    }
    let mut report = Report::new("driver compare");
    report.add_test_suite(suite);
    report.to_string()
}

/// The table, and what has to be known to read it.
fn render(compared: &Comparison) -> String {
    let searched = compared.points.iter().any(|pair| pair.highest.is_some());
    let mut header = vec![
        "point",
        "verdicts",
        "queries/s A",
        "B",
        "B / A",
        "throughput",
    ];
    if searched {
        header.extend(["highest/s A", "B", "B / A"]);
    }
    header.extend(["p99 ms A", "B", "B / A"]);
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    table.add_rows(compared.points.iter().map(|pair| row(pair, searched)));
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

fn row(pair: &Pair, searched: bool) -> Vec<String> {
    let [a, b] = &pair.sides;
    let mut row = vec![pair.key.to_string(), format!("{a}, {b}")];
    row.extend(cells(Some(&pair.throughput)));
    row.push(in_a_word(&pair.throughput).to_owned());
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

fn in_a_word(figure: &Figure) -> &'static str {
    match &figure.ratio {
        Err(_) => "not compared",
        Ok(ratio) if figure.is_significant() && ratio.value > 1.0 => "higher",
        Ok(_) if figure.is_significant() => "lower",
        Ok(_) if figure.open().is_some() => "no interval",
        Ok(_) => "not significant",
    }
}

fn notes(compared: &Comparison) -> Vec<String> {
    let points = &compared.points;
    let mut notes = vec![
        "B / A with its 95 % interval: above 1 is more in B; significant where the interval leaves out 1".to_owned(),
        "where a profile measured the p99, it is at a share of each side's own throughput".to_owned(),
    ];
    if points.iter().any(|pair| pair.highest.is_some()) {
        notes.push(
            "highest: the highest rate within the objective; its interval ends at the rates that were tried and missed"
                .to_owned(),
        );
    }
    if points
        .iter()
        .any(|pair| pair.throughput.sides.iter().any(|side| side.rounds > 1))
    {
        notes.push(
            "of several rounds these are the geometric means, without those that are INVALID or did not run"
                .to_owned(),
        );
    } else {
        notes.push(
            "of one round the interval does not know how much one deployment differs from the next: --repeats tells".to_owned(),
        );
    }
    let unfair = compared.unfair.iter();
    notes.extend(unfair.map(|what| format!("not the same in A and B: {what}")));
    notes.extend(not_compared(points));
    notes
}

/// What cannot be compared: each reason once, with its points.
fn not_compared(points: &[Pair]) -> Vec<String> {
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for pair in points {
        for why in [pair.missing(), pair.open(pair.figures())].concat() {
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
