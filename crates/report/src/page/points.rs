//! The table of points, with the reasons of each verdict folded under its row.

use maud::{Markup, html};
use results::{AccuracyRun, Estimate, Latency, Phase, Speed, Trial, TrialOutcome, VerdictReason};

use super::baselines::share_of_baseline;
use crate::{
    names::{self, Names},
    reasons::Reasons,
    text::{number, optional, plural},
};

/// Returns the table of all trials.
pub(super) fn table(trials: &[&Trial], names: &Names, reasons: &Reasons<'_>) -> Markup {
    let accuracy = trials.iter().all(|trial| trial.accuracy().is_some());
    let has = |is: fn(&Trial) -> bool| trials.iter().any(|trial| is(trial));
    let table = PointTable {
        names,
        reasons,
        has_slo: has(|trial| trial.driver.objective_ms.is_some()),
        has_search: has(|trial| trial.speed().is_some_and(|speed| speed.search.is_some())),
        has_baseline: has(|trial| trial.speed().is_some_and(|speed| speed.baseline.is_some())),
    };
    html! {
        section id="points" {
            h2 { "Points" }
            div.scroll {
                table {
                    thead {
                        @if accuracy { (accuracy_head()) } @else { (table.head()) }
                    }
                    tbody {
                        @for trial in trials { (table.rows(trial)) }
                    }
                }
            }
        }
    }
}

/// Returns a verdict in its colour.
pub(super) fn verdict(verdict: &str) -> Markup {
    let class = if verdict == "NOT RUN" {
        "INVALID"
    } else {
        verdict
    };
    html! { span class=(class) { (verdict) } }
}

/// Columns of the table.
struct PointTable<'a> {
    names: &'a Names,
    reasons: &'a Reasons<'a>,
    has_slo: bool,
    has_search: bool,
    has_baseline: bool,
}

/// Number of columns that a cell of the whole width spans; a browser limits it to the columns that
/// exist.
const ALL_COLUMNS: usize = 20;

impl PointTable<'_> {
    fn head(&self) -> Markup {
        html! {
            tr {
                th { "replicas × CPUs of each, batch size" }
                th { "verdict" }
                th { "queries/s" }
                @if self.has_search { th { "max queries/s within SLO" } }
                @else if self.has_slo { th { "goodput: queries/s within SLO" } }
                th { "p50 ms" }
                th { "p99 ms" }
                th { "latency at" }
                th { "mean batch" }
                @if self.has_baseline { th { "share of baseline" } }
                th { "answered" }
            }
        }
    }

    fn rows(&self, trial: &Trial) -> Markup {
        html! {
            tr {
                td { (self.names.point(trial)) }
                td {
                    @match trial.not_run() {
                        Some(_) => (verdict("NOT RUN")),
                        None => (verdict(&trial.verdict.status.to_string())),
                    }
                }
                @match &trial.outcome {
                    TrialOutcome::Speed(speed) => (self.speed(trial, speed)),
                    TrialOutcome::Accuracy { accuracy_run } => (accuracy_cells(trial, accuracy_run)),
                    TrialOutcome::NotRun { not_run } => td.text colspan=(ALL_COLUMNS) { (why_not_run(not_run)) },
                }
            }
            (self.reasons(trial))
        }
    }

    /// Returns the row of reasons, without those of the whole sweep.
    fn reasons(&self, trial: &Trial) -> Markup {
        let reasons = trial.verdict.reasons.iter();
        let reasons = reasons.filter(|reason| !self.reasons.holds_for_sweep(reason));
        // The row itself states why a point did not run.
        let reasons: Vec<&VerdictReason> = match trial.not_run() {
            Some(_) => Vec::new(),
            None => reasons.collect(),
        };
        let checks: Vec<_> = reasons.iter().map(|reason| reason.check.as_str()).collect();
        html! {
            @if !reasons.is_empty() {
                tr.reasons {
                    td colspan=(ALL_COLUMNS) {
                        details {
                            summary {
                                (reasons.len()) " " (plural(reasons.len(), "reason")) ": " (checks.join(", "))
                            }
                            ul {
                                @for reason in reasons {
                                    li { (verdict(&reason.status.to_string())) " " code { (reason.check) } " " (reason.text) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn speed(&self, trial: &Trial, speed: &Speed) -> Markup {
        let first = &speed.phases[0];
        let phase = speed.latency();
        let latency = phase.and_then(|phase| phase.latency.as_ref());
        html! {
            td { (interval(Some(&first.throughput))) }
            @if self.has_search || self.has_slo {
                td { (within_slo(speed, phase.and_then(|phase| phase.goodput_qps))) }
            }
            td { (interval(percentile(latency, 0.5))) }
            td { (interval(percentile(latency, 0.99))) }
            td { @if let Some(phase) = phase { (load(phase)) } }
            td { (optional(first.mean_batch)) " of " (trial.node_configs[0].batch_size) }
            @if self.has_baseline { td { (share_of_baseline(speed)) } }
            td { (names::answered(&trial.totals)) }
        }
    }
}

/// Returns the first line of the reason; a log after it is folded.
fn why_not_run(why: &str) -> Markup {
    let (first, log) = why.split_once('\n').unwrap_or((why, ""));
    html! {
        "not run: " (first)
        @if !log.is_empty() {
            details { summary { "log" } pre { (log) } }
        }
    }
}

fn accuracy_head() -> Markup {
    html! {
        tr {
            th { "point" } th { "verdict" } th { "right" } th { "of" } th { "share" } th { "right offline" } th { "answered" }
        }
    }
}

fn accuracy_cells(trial: &Trial, run: &AccuracyRun) -> Markup {
    html! {
        td { (run.served.right) }
        td { (run.served.of) }
        td { (number(1e2 * run.share)) " %" }
        td { (run.offline.map_or("-".to_owned(), |offline| offline.right.to_string())) }
        td { (names::answered(&trial.totals)) }
    }
}

/// Returns the load at which the latency was measured.
fn load(phase: &Phase) -> Markup {
    let text = names::phase(phase);
    let (kind, load) = text.split_once(", ").unwrap_or((&text, ""));
    html! { (load) span.interval { (kind) } }
}

/// Returns the maximum rate within the SLO if the sweep searched for it, else the goodput.
fn within_slo(speed: &Speed, goodput: Option<f64>) -> String {
    match (&speed.search, goodput) {
        (Some(search), _) => search.highest_qps.map_or("none".to_owned(), number),
        (None, goodput) => optional(goodput),
    }
}

fn percentile(latency: Option<&Latency>, quantile: f64) -> Option<&Estimate> {
    Some(&latency?.percentile(quantile)?.ms)
}

/// Returns a number with its interval below it.
fn interval(estimate: Option<&Estimate>) -> Markup {
    let Some(estimate) = estimate else {
        return html! { "-" };
    };
    html! {
        (number(estimate.value))
        @if let (Some(low), Some(high)) = (estimate.low, estimate.high) {
            span.interval { (number(low)) " to " (number(high)) }
        }
    }
}
