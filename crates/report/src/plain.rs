//! Progress in plain lines: one when a measurement begins, one when it has ended.

use std::path::Path;

use results::{Outcome, PhaseKind, Progress, Resources, Trial};

use crate::{
    output::note,
    text::rounded,
    view::{NextTrial, View},
};

/// Lines on standard error.
#[derive(Debug, Default)]
pub struct Plain {
    /// How many measurements have begun, of how many.
    at: (usize, usize),
}

impl View for Plain {
    fn begin(&mut self, next: &NextTrial) {
        self.at = (next.number, next.count);
        note(&beginning(next));
    }

    fn look(&mut self, _: PhaseKind, _: &Progress, _: &Resources) {}

    fn end(&mut self, result: &Trial, file: &Path) {
        let (number, count) = self.at;
        note(&format!("{number}/{count}   {}", ending(result, file)));
    }
}

fn beginning(next: &NextTrial) -> String {
    let left = match next.left {
        Some(left) => format!("about {} left", rounded(left)),
        None => "time left unknown".to_owned(),
    };
    format!("{next}; {left}")
}

fn ending(result: &Trial, file: &Path) -> String {
    match result.outcome {
        Outcome::NotRun { .. } => found(result),
        _ => format!("{}: {}", found(result), file.display()),
    }
}

/// What was found, or why nothing was.
pub(crate) fn found(result: &Trial) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use results::{Config, fixture::whole};
    use std::time::Duration;

    #[test]
    fn a_line_says_what_is_measured_and_how_long_all_of_it_still_takes() {
        let step = NextTrial {
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
        let step = NextTrial {
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
        let result = Trial {
            outcome: Outcome::NotRun {
                not_run: "no cores".to_owned(),
            },
            ..whole()
        };
        assert_eq!(ending(&result, file), "NOT RUN: no cores");
    }
}
