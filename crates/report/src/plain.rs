//! Progress in plain lines: one when a trial begins, one when it has ended.

use std::path::Path;

use results::{PhaseKind, Progress, Resources, Trial, TrialOutcome};

use crate::{
    output::note,
    text::rounded,
    view::{NextTrial, View},
};

/// View that writes lines to standard error.
#[derive(Debug, Default)]
pub struct Plain {
    /// Number of the current trial, from 1.
    number: usize,
    /// Number of all trials.
    count: usize,
}

impl View for Plain {
    fn begin(&mut self, next: &NextTrial) {
        (self.number, self.count) = (next.number, next.count);
        note(&first_line(next));
    }

    fn update(&mut self, _: PhaseKind, _: &Progress, _: &Resources) {}

    fn end(&mut self, result: &Trial, file: &Path) {
        let Plain { number, count } = self;
        note(&format!("{number}/{count}   {}", last_line(result, file)));
    }
}

fn first_line(next: &NextTrial) -> String {
    let left = match next.left {
        Some(left) => format!("about {} left", rounded(left)),
        None => "time left unknown".to_owned(),
    };
    format!("{next}; {left}")
}

fn last_line(result: &Trial, file: &Path) -> String {
    match result.outcome {
        TrialOutcome::NotRun { .. } => outcome(result),
        _ => format!("{}: {}", outcome(result), file.display()),
    }
}

/// Returns the numbers of a trial and its verdict, or why it did not run.
pub(crate) fn outcome(result: &Trial) -> String {
    let measured = match &result.outcome {
        TrialOutcome::NotRun { not_run } => return format!("NOT RUN: {not_run}"),
        TrialOutcome::Accuracy { accuracy_run } => accuracy_run.to_string(),
        TrialOutcome::Speed(speed) => {
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
        "{measured}, {} of {} answered{cancelled}",
        totals.ok, totals.sent
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::{Config, fixture::whole};
    use std::time::Duration;

    #[test]
    fn first_line_names_the_trial_and_the_time_left() {
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
            first_line(&step),
            "2/24 vgg: replicas 2, CPUs 1, batch 8, round 3; about 1m 5s left"
        );
        let step = NextTrial {
            round: None,
            left: None,
            ..step
        };
        assert_eq!(
            first_line(&step),
            "2/24 vgg: replicas 2, CPUs 1, batch 8; time left unknown"
        );
    }

    #[test]
    fn last_line_has_numbers_or_why_it_did_not_run() {
        let file = Path::new("results.json");
        assert_eq!(
            last_line(&whole(), file),
            "200.0 queries/s, p99 138.00 ms, VALID, 1000 of 1000 answered: results.json"
        );
        let mut cut = whole();
        cut.totals.cancelled = 600;
        assert!(outcome(&cut).ends_with(", 1000 of 1000 answered, 600 cancelled"));
        let result = Trial {
            outcome: TrialOutcome::NotRun {
                not_run: "no cores".to_owned(),
            },
            ..whole()
        };
        assert_eq!(last_line(&result, file), "NOT RUN: no cores");
    }
}
