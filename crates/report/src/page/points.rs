//! The tables of a page: the points with their verdicts, and the zeros beside them.

use maud::{Markup, html};
use results::{
    AccuracyRun, Estimate, Filed, Folder, Latency, Outcome, Phase, Speed, Trial, Zero,
    pareto::Choice, percent_to_tenths,
};

use crate::{
    names::{self, Names},
    text::number,
};

/// Every point, and what speaks against it.
pub(super) fn table(folder: &Folder, names: &Names) -> Markup {
    let accuracy = folder.results().all(|result| result.accuracy().is_some());
    let columns = Columns {
        names,
        objective: folder
            .results()
            .any(|result| result.driver.objective_ms.is_some()),
        zero: folder.results().any(|result| zero(result).is_some()),
    };
    html! {
        section id="points" {
            h2 { "Points" }
            div.scroll {
                table {
                    thead {
                        @if accuracy { (accuracy_head()) } @else { (columns.head()) }
                    }
                    tbody {
                        @for result in folder.results() { (columns.rows(result)) }
                    }
                }
            }
        }
    }
}

/// What the table of this sweep has to show.
struct Columns<'a> {
    names: &'a Names,
    objective: bool,
    zero: bool,
}

/// Wider than any table here: a browser takes as many columns as there are.
const ALL: usize = 20;

impl Columns<'_> {
    fn head(&self) -> Markup {
        html! {
            tr {
                th { "point" }
                th { "verdict" }
                th { "queries/s" }
                @if self.objective { th { "within objective/s" } }
                th { "p50 ms" }
                th { "p99 ms" }
                th { "latency at" }
                th { "mean batch" }
                @if self.zero { th { "of the zero" } }
                th { "answered" }
            }
        }
    }

    fn rows(&self, result: &Trial) -> Markup {
        let verdict = &result.verdict;
        // What could not run says so in its row.
        let reasons = verdict
            .reasons
            .iter()
            .filter(|reason| reason.check != "not_run");
        let reasons: Vec<_> = reasons.collect();
        html! {
            tr {
                td { (self.names.point(result)) }
                td { span class=(verdict.status) { (verdict.status) } }
                @match &result.outcome {
                    Outcome::Speed(speed) => (self.speed(result, speed)),
                    Outcome::Accuracy { accuracy_run } => (accuracy_cells(result, accuracy_run)),
                    Outcome::NotRun { not_run } => td.text colspan=(ALL) { "not run: " (not_run) },
                }
            }
            @if !reasons.is_empty() {
                tr.reasons {
                    td colspan=(ALL) {
                        ul { @for reason in reasons { li { code { (reason.check) } " " (reason.text) } } }
                    }
                }
            }
        }
    }

    fn speed(&self, result: &Trial, speed: &Speed) -> Markup {
        let first = &speed.phases[0];
        let phase = speed.latency();
        let latency = phase.and_then(|phase| phase.latency.as_ref());
        html! {
            td { (interval(Some(&first.throughput))) }
            @if self.objective {
                td { (within(speed, phase.and_then(|phase| phase.goodput_qps))) }
            }
            td { (interval(percentile(latency, 0.5))) }
            td { (interval(percentile(latency, 0.99))) }
            td { @if let Some(phase) = phase { (load(phase)) } }
            td { (optional(first.mean_batch)) " of " (result.node_configs[0].batch_size) }
            @if self.zero { td { (share_of_zero(speed)) } }
            td { (names::answered(&result.totals)) }
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

fn accuracy_cells(result: &Trial, run: &AccuracyRun) -> Markup {
    html! {
        td { (run.served.right) }
        td { (run.served.of) }
        td { (number(1e2 * run.share)) " %" }
        td { (run.offline.map_or("-".to_owned(), |offline| offline.right.to_string())) }
        td { (names::answered(&result.totals)) }
    }
}

/// At which load the latency was measured.
fn load(phase: &Phase) -> Markup {
    let text = names::phase(phase);
    let (kind, load) = text.split_once(", ").unwrap_or((&text, ""));
    html! { (load) span.interval { (kind) } }
}

/// The highest rate within the objective where it was looked for, else the goodput.
fn within(speed: &Speed, goodput: Option<f64>) -> Markup {
    match &speed.search {
        Some(search) => html! {
            (search.highest_qps.map_or("none".to_owned(), number))
            span.interval { "highest rate" }
        },
        None => html! { (optional(goodput)) },
    }
}

fn percentile(latency: Option<&Latency>, quantile: f64) -> Option<&Estimate> {
    Some(&latency?.percentile(quantile)?.ms)
}

/// The number, and its interval below it.
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

fn optional(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), number)
}

fn zero(result: &Trial) -> Option<&Zero> {
    result.speed()?.zero.as_ref()
}

fn share_of_zero(speed: &Speed) -> String {
    match &speed.zero {
        Some(zero) if zero.throughput_qps > 0.0 => {
            percent_to_tenths(speed.throughput_qps / zero.throughput_qps)
        }
        _ => "-".to_owned(),
    }
}

/// Which configurations no other one beats, and what to take for the rate that was asked for.
pub(super) fn choice(choice: &Choice) -> Markup {
    let lines = choice.lines();
    html! {
        @if !lines.is_empty() {
            section id="choice" {
                h2 { "Which to take" }
                p.reading {
                    "Not beaten: no other configuration takes as few cores and GPUs, serves as much and answers as soon. The rate \
                     is the highest within the objective where one was looked for, else the highest at which the latency was \
                     measured."
                }
                ul { @for line in lines { li { (line) } } }
            }
        }
    }
}

/// The same shapes with the no-op model.
pub(super) fn zeros(folder: &Folder, names: &Names) -> Markup {
    let points: Vec<_> = folder
        .results()
        .filter_map(|result| Some((result, zero(result)?)))
        .collect();
    if points.is_empty() {
        return html! {};
    }
    html! {
        section id="zero" {
            h2 { "The zero beside each point" }
            p.reading {
                "The same shape with a model that computes nothing and inputs of the same size: what frontend and protocol can \
                 carry by themselves. The closer a point is to it, the less its number is the model's."
            }
            div.scroll {
                table {
                    thead { tr {
                        th { "point" } th { "queries/s" } th { "queries/s of the zero" } th { "of the zero" } th { "its mean batch" }
                        th { "its median with one in flight, ms" } th { "its verdict" }
                    } }
                    tbody {
                        @for (result, zero) in points { tr {
                            td { (names.point(result)) }
                            td { (optional(result.speed().map(|speed| speed.throughput_qps))) }
                            td { (number(zero.throughput_qps)) }
                            td { (result.speed().map_or(String::new(), share_of_zero)) }
                            td { (optional(zero.mean_batch)) }
                            td { (optional(zero.single_p50_ms)) }
                            td { (verdict_of(zero, &folder.zeros)) }
                        } }
                    }
                }
            }
        }
    }
}

fn verdict_of(zero: &Zero, zeros: &[Filed]) -> Markup {
    let filed = zeros.iter().find(|filed| zero.file.ends_with(&filed.file));
    html! {
        @match filed {
            Some(filed) => span class=(filed.result.verdict.status) { (filed.result.verdict.status) },
            None => "-",
        }
    }
}

/// Files that are not in the report.
pub(super) fn left_out(folder: &Folder) -> Markup {
    html! {
        @if !folder.left_out.is_empty() {
            p.note { "Left out:" }
            ul.note {
                @for (file, reason) in &folder.left_out {
                    li { code { (file.file_name().unwrap_or_default().to_string_lossy()) } ": " (reason) }
                }
            }
        }
    }
}
