//! Progress in plain lines: one when a measurement begins, one when it has ended.

use std::{
    io::{Write, stderr},
    path::Path,
};

use host::Resources;
use loadgen::Progress;
use results::{Outcome, PhaseKind, PointResult};

use super::{Step, View, rounded};

/// Lines on standard error.
#[derive(Debug, Default)]
pub struct Plain {
    /// How many measurements have begun, of how many.
    at: (usize, usize),
}

impl View for Plain {
    fn begin(&mut self, step: &Step) {
        self.at = (step.number, step.count);
        note(&beginning(step));
    }

    fn look(&mut self, _: PhaseKind, _: &Progress, _: &Resources) {}

    fn end(&mut self, result: &PointResult, file: &Path) {
        let (number, count) = self.at;
        note(&format!("{number}/{count}   {}", ending(result, file)));
    }
}

fn beginning(step: &Step) -> String {
    let left = match step.left {
        Some(left) => format!("about {} left", rounded(left)),
        None => "time left unknown".to_owned(),
    };
    format!("{step}; {left}")
}

fn ending(result: &PointResult, file: &Path) -> String {
    match result.outcome {
        Outcome::NotRun { .. } => found(result),
        _ => format!("{}: {}", found(result), file.display()),
    }
}

/// What was found, or why nothing was.
pub(super) fn found(result: &PointResult) -> String {
    let found = match &result.outcome {
        Outcome::NotRun { not_run } => return format!("NOT RUN: {not_run}"),
        Outcome::Accuracy { accuracy_run } => accuracy_run.to_string(),
        Outcome::Speed(speed) => {
            let latency = speed.latency().and_then(|phase| phase.latency.as_ref());
            let p99 = latency.and_then(|latency| latency.percentile(0.99));
            let p99 = p99.map(|p99| format!(", p99 {:.2} ms", p99.ms.value));
            format!(
                "{:.1} queries/s{}, {}",
                speed.throughput_qps,
                p99.unwrap_or_default(),
                result.verdict.status
            )
        }
    };
    let totals = &result.totals;
    let cancelled = match totals.cancelled {
        0 => String::new(),
        cancelled => format!(", {cancelled} cancelled"),
    };
    format!(
        "{found}, {} of {} answered{cancelled}",
        totals.ok, totals.sent
    )
}

/// A line on standard error; nothing can be done if that is closed.
pub(super) fn note(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::{Config, fixture::whole};
    use std::time::Duration;

    #[test]
    fn a_line_says_what_is_measured_and_how_long_all_of_it_still_takes() {
        let step = Step {
            number: 2,
            count: 24,
            model: "vgg",
            config: Config {
                replicas: 2,
                cpus_per_replica: 1,
                batch_size: 8,
            },
            round: Some(3),
            left: Some(Duration::from_millis(65_400)),
        };
        assert_eq!(
            beginning(&step),
            "2/24 vgg: replicas 2, CPUs 1, batch 8, round 3; about 1m 5s left"
        );
        let step = Step {
            round: None,
            left: None,
            ..step
        };
        assert_eq!(
            beginning(&step),
            "2/24 vgg: replicas 2, CPUs 1, batch 8; time left unknown"
        );
    }

    #[test]
    fn a_line_says_what_was_found_or_why_nothing_was() {
        let file = Path::new("results.json");
        assert_eq!(
            ending(&whole(), file),
            "200.0 queries/s, p99 138.00 ms, VALID, 1000 of 1000 answered: results.json"
        );
        let mut cut = whole();
        cut.totals.cancelled = 600;
        assert!(found(&cut).ends_with(", 1000 of 1000 answered, 600 cancelled"));
        let result = PointResult {
            outcome: Outcome::NotRun {
                not_run: "no cores".to_owned(),
            },
            ..whole()
        };
        assert_eq!(ending(&result, file), "NOT RUN: no cores");
    }
}
