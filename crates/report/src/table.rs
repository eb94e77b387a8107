//! The table of all points, and what must be known to read it.

mod accuracy;
mod notes;
mod row;
mod speed;

use std::{
    env,
    io::{IsTerminal, stdout},
};

use comfy_table::{CellAlignment, Table, presets};
use results::{Trial, pareto::Choice};

use crate::{error::Error, output::print};

/// Prints the table, what must be known to read it, and what it recommends for `target_qps` queries a second. Verdicts
/// have colours on a terminal, unless `NO_COLOR` is set.
///
/// # Errors
/// If standard output takes nothing.
pub fn table(results: &[Trial], target_qps: Option<f64>) -> Result<(), Error> {
    let colours = stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    match text(results, target_qps, colours) {
        text if text.is_empty() => Ok(()),
        text => print(&format!("{text}\n")),
    }
}

/// What is printed; plain Markdown without colours.
pub(crate) fn text(results: &[Trial], target_qps: Option<f64>, colours: bool) -> String {
    let mut text = render(results, colours);
    for line in Choice::of(results, target_qps).lines() {
        text.push_str("\n* ");
        text.push_str(&line);
    }
    text
}

fn render(results: &[Trial], colours: bool) -> String {
    if results.is_empty() {
        return String::new();
    }
    let rows = row::rows(results);
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    match colours {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    match results.iter().find_map(Trial::accuracy) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use results::{
        AccuracyRun, Outcome, Reason, Speed, Status, Verdict, Zero,
        fixture::{accurate, phase, whole},
    };

    /// A point of this shape and round, as fast as it says.
    fn point(replicas: usize, batch_size: usize, round: usize, qps: f64) -> Trial {
        let mut result = whole();
        result.round = round;
        result.node_configs[0].num_replicas = replicas;
        result.node_configs[0].batch_size = batch_size;
        speed(&mut result).throughput_qps = qps;
        result
    }

    fn speed(result: &mut Trial) -> &mut Speed {
        match &mut result.outcome {
            Outcome::Speed(speed) => speed,
            other => panic!("no speed but {other:?}"),
        }
    }

    fn held(mut result: Trial, status: Status, check: &str, text: &str) -> Trial {
        result.verdict.reasons.push(Reason {
            status,
            check: check.to_owned(),
            text: text.to_owned(),
        });
        result.verdict = Verdict::of(result.verdict.reasons);
        result
    }

    fn not_run(replicas: usize, text: &str) -> Trial {
        let result = point(replicas, 4, 1, 0.0);
        let outcome = Outcome::NotRun {
            not_run: text.to_owned(),
        };
        Trial { outcome, ..result }
    }

    /// The line of the table's row with this number.
    fn row(text: &str, number: usize) -> Vec<String> {
        let line = text.lines().nth(number + 1).unwrap();
        let cells = line.trim_matches('|').split('|');
        cells.map(|config| config.trim().to_owned()).collect()
    }

    #[test]
    fn points_come_in_the_order_of_the_grid_whatever_the_order_of_measuring() {
        let results = [
            point(10, 1, 1, 3.0),
            point(2, 8, 1, 2.0),
            point(2, 4, 1, 1.0),
        ];
        let text = render(&results, false);
        assert_eq!(row(&text, 1)[..5], ["1", "2", "1", "4", "1.00"]);
        assert_eq!(row(&text, 2)[..5], ["2", "2", "1", "8", "2.00"]);
        assert_eq!(row(&text, 3)[..5], ["3", "10", "1", "1", "3.00"]);
        assert_eq!(row(&text, 1).last().unwrap(), "VALID");
        assert_eq!(text.matches("\n* ").count(), 1, "{text}");
    }

    #[test]
    fn rounds_are_a_row_with_their_median_and_how_far_they_lie_from_it() {
        let rounds = [98.0, 100.0, 104.0].map(|qps| point(2, 4, 1, qps));
        let mut results: Vec<_> = rounds
            .into_iter()
            .zip(1..)
            .map(|(r, round)| Trial { round, ..r })
            .collect();
        results[2] = held(results[2].clone(), Status::Suspect, "x", "one round is odd");
        let text = render(&results, false);
        assert_eq!(row(&text, 1)[4..6], ["100.0", "-2.0 +4.0 %"]);
        assert_eq!(row(&text, 1).last().unwrap(), "SUSPECT");
        assert_eq!(text.lines().filter(|line| line.starts_with('|')).count(), 3);
        assert!(
            text.contains("* SUSPECT, point 1: one round is odd"),
            "{text}"
        );
        assert!(!text.contains("left out"), "{text}");
    }

    #[test]
    fn the_median_leaves_out_rounds_that_do_not_count() {
        let invalid = held(point(2, 4, 3, 1e6), Status::Invalid, "lost", "one was lost");
        let results = [
            point(2, 4, 1, 100.0),
            point(2, 4, 2, 104.0),
            invalid.clone(),
            Trial {
                round: 4,
                ..not_run(2, "no cores")
            },
            point(3, 4, 1, 50.0),
        ];
        let text = render(&results, false);
        assert_eq!(row(&text, 1)[4..6], ["102.0", "-2.0 +2.0 %"]);
        assert_eq!(row(&text, 1).last().unwrap(), "INVALID");
        let note = "* point 1: median of 2 of 4 rounds, left out: 1 INVALID, 1 NOT RUN";
        assert!(text.contains(note), "{text}");
        // Without a round that counts, the row shows what it is INVALID with.
        let text = render(&[invalid, point(3, 4, 1, 50.0)], false);
        assert_eq!(row(&text, 1)[4], "1000000");
        assert!(!text.contains("left out"), "{text}");
    }

    #[test]
    fn the_widest_table_fits_a_terminal() {
        let wide = |round| {
            let mut result = point(1000, 1024, round, 1_234_567.0);
            let phase = phase(&mut result);
            phase.goodput_qps = Some(1_234_567.0);
            let zero = Zero {
                throughput_qps: 2_234_567.0,
                mean_batch: None,
                single_p50_ms: None,
                file: String::new(),
            };
            speed(&mut result).zero = Some(zero);
            held(result, Status::Suspect, "x", "wide")
        };
        let text = render(&[wide(1), wide(2)], false);
        for part in ["goodput", "zero", "55 %"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest.unwrap() <= 120, "{longest:?}: {text}");
    }

    #[test]
    fn a_reason_is_one_line_with_the_points_that_it_concerns_the_worst_first() {
        let mut results: Vec<_> = (1..=24).map(|n| point(n, 4, 1, 1.0)).collect();
        for result in &mut results {
            *result = held(
                result.clone(),
                Status::Suspect,
                "shared_cores",
                "cores are shared",
            );
        }
        results[1] = held(results[1].clone(), Status::Suspect, "fill", "fill 40 %");
        results[2] = held(results[2].clone(), Status::Suspect, "fill", "fill 30 %");
        results[7] = held(
            results[7].clone(),
            Status::Invalid,
            "lost",
            "a query was lost",
        );
        let text = render(&results, false);
        let notes: Vec<_> = text.lines().filter(|line| line.starts_with("* ")).collect();
        assert_eq!(
            notes[1..],
            [
                "* INVALID, point 8: a query was lost",
                "* SUSPECT, all 24 points: cores are shared",
                "* SUSPECT, points 2-3: fill 40 % (the figures are of point 2)",
            ],
            "{text}"
        );
    }

    #[test]
    fn what_could_not_run_is_a_row_and_its_reason_is_said_once() {
        let results = [
            point(1, 4, 1, 1.0),
            not_run(2, "noop-0 exited\n    first log"),
            not_run(3, "noop-0 exited\n    second log"),
            not_run(4, "no cores"),
        ];
        let text = render(&results, false);
        assert_eq!(row(&text, 2)[4], "-");
        assert_eq!(row(&text, 2).last().unwrap(), "NOT RUN");
        assert!(
            text.contains("* NOT RUN, points 2-3: noop-0 exited\n    first log"),
            "{text}"
        );
        assert!(!text.contains("second log"), "{text}");
        assert!(text.contains("* NOT RUN, point 4: no cores"), "{text}");
        // Who shares cores is told of what ran.
        let failed = Trial {
            pinning: "nothing ran".to_owned(),
            ..not_run(1, "no cores")
        };
        let other = Trial {
            pinning: "all but one".to_owned(),
            ..point(3, 4, 1, 1.0)
        };
        let text = render(&[failed, point(2, 4, 1, 1.0), other], false);
        assert!(text.contains("* cores: each replica has its own, frontend and driver have the others; or all but one\n"), "{text}");
    }

    #[test]
    fn what_differs_between_points_that_should_not_is_said() {
        let mut other = point(3, 4, 1, 1.0);
        other.versions.driver = "1".to_owned();
        let text = render(&[point(2, 4, 1, 1.0), other], false);
        assert!(
            text.contains("* NOT all points were measured with the same versions"),
            "{text}"
        );
        assert!(!text.contains("same machine"), "{text}");
    }

    #[test]
    fn only_a_verdict_has_a_colour_and_only_where_it_is_wanted() {
        let results = [point(2, 4, 1, 1.0)];
        assert!(!render(&results, false).contains('\u{1b}'));
        let coloured = render(&results, true);
        assert_eq!(coloured.matches("\u{1b}[").count(), 2, "{coloured:?}");
    }

    #[test]
    fn the_table_of_an_accuracy_run_shows_no_speed_and_says_how_it_compares() {
        let text = render(&[accurate(), accurate()], false);
        assert!(
            !text.contains("queries/s") && !text.contains(" ms "),
            "{text}"
        );
        assert!(
            text.contains(
                "* accuracy run: each labelled input was sent once; no measurement of speed"
            ),
            "{text}"
        );
        assert!(text.contains("97 | 100 | 97.0 % |      97 |"), "{text}");
        assert!(text.contains("* as many answers are right as"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 120), "{text}");

        let served = model::Accuracy { right: 96, of: 100 };
        let against = |offline| {
            let mut result = accurate();
            let accuracy_run = AccuracyRun::new(served, offline);
            result.outcome = Outcome::Accuracy { accuracy_run };
            render(&[result], false)
        };
        let text = against(Some(model::Accuracy { right: 97, of: 100 }));
        assert!(text.contains("96 | 100 | 96.0 % |      97 |"), "{text}");
        assert!(
            text.contains("DIFFER from the artifact's offline"),
            "{text}"
        );
        assert!(against(None).contains("so nothing is compared"));
    }
}
