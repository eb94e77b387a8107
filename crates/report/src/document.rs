//! The text after a sweep: answer, facts of the whole sweep, table, reasons and Pareto-optimal
//! configurations.

use std::{
    env,
    io::{IsTerminal, stdout},
};

use results::{Trial, pareto::ParetoFront};

use crate::{
    config_row::{ConfigRow, config_rows},
    error::Error,
    facts::facts,
    output::print,
    reasons::Reasons,
    summary::{answer, recommendation},
    table::table,
};

/// Prints the text of a sweep, with a recommendation for `target_qps` queries per second. Verdicts
/// are coloured on a terminal, unless `NO_COLOR` is set.
///
/// # Errors
/// If standard output cannot be written.
pub fn print_summary(trials: &[Trial], target_qps: Option<f64>) -> Result<(), Error> {
    let colours = stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    match trials {
        [] => Ok(()),
        trials => print(&text(trials, target_qps, colours)),
    }
}

/// Returns the text of a sweep that has a trial at least; it is plain Markdown without colours.
pub(crate) fn text(trials: &[Trial], target_qps: Option<f64>, colours: bool) -> String {
    let all: Vec<&Trial> = trials.iter().collect();
    let rows = config_rows(trials.iter());
    let reasons = Reasons::of(&rows);
    let front = ParetoFront::of(trials, target_qps);
    let mut text = format!("{}\n", answer(trials));
    for line in recommendation(&front) {
        text.push_str(&format!("\nRecommendation: {line}\n"));
    }
    push_list(&mut text, "The whole sweep:", &facts(&all, &rows, &reasons));
    text.push_str(&format!("\n{}\n", table(&rows, colours)));
    let mut about_points: Vec<String> = rows.iter().filter_map(rounds_left_out).collect();
    about_points.extend(reasons.of_points());
    push_list(&mut text, "Reasons:", &about_points);
    let optimal = front.configs.iter();
    let optimal: Vec<String> = optimal.map(|config| config.to_string()).collect();
    push_list(
        &mut text,
        "Pareto-optimal in cores, GPUs, rate and p99:",
        &optimal,
    );
    text
}

fn push_list(text: &mut String, heading: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    text.push_str(&format!("\n{heading}\n"));
    for line in lines {
        text.push_str(&format!("* {line}\n"));
    }
}

/// States which rounds the numbers of a row leave out, if any round counts.
fn rounds_left_out(row: &ConfigRow<'_>) -> Option<String> {
    let counts = row.rounds.counts();
    let partly = counts.counted > 0 && counts.left_out().is_some();
    partly.then(|| format!("point {}: {counts}", row.number))
}

#[cfg(test)]
mod tests;
