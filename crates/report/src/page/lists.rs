//! Lists of the page: recommendation, facts of the whole sweep, Pareto-optimal configurations,
//! files left out.

use maud::{Markup, html};
use results::{Folder, pareto::ParetoFront};

use crate::{summary, text::plural};

/// Returns the recommendation for a rate or, without a rate, how to get one.
pub(super) fn recommendation(front: &ParetoFront, configs: usize) -> Markup {
    let lines = summary::recommendation(front);
    let optimal = front.configs.len();
    html! {
        @for line in &lines { p.recommendation { strong { "Recommendation: " } (line) } }
        @if lines.is_empty() && optimal > 0 {
            p.recommendation {
                a href="#pareto" { (optimal) " of " (configs) " " (plural(configs, "configuration")) }
                @if optimal == 1 { " is" } @else { " are" }
                " Pareto-optimal; "
                code { "driver --target_qps QPS" }
                " recommends one for a rate."
            }
        }
    }
}

/// Returns the facts that hold for the whole sweep.
pub(super) fn facts(facts: &[String]) -> Markup {
    html! {
        @if !facts.is_empty() {
            section id="sweep" {
                h2 { "The whole sweep" }
                ul { @for fact in facts { li { (fact) } } }
            }
        }
    }
}

/// Returns the Pareto-optimal configurations.
pub(super) fn pareto(front: &ParetoFront) -> Markup {
    html! {
        @if !front.configs.is_empty() {
            section id="pareto" {
                h2 { "Pareto-optimal configurations" }
                p.reading {
                    "No other configuration is at least as good in cores, GPUs, rate and p99, and better in one of them. The rate is the \
                     maximum within the SLO if the sweep searched for it, else the throughput in the phase that the latency is from."
                }
                ul { @for config in &front.configs { li { (config) } } }
            }
        }
    }
}

/// Returns the files that are not in the report, with the reasons.
pub(super) fn left_out(folder: &Folder) -> Markup {
    html! {
        @if !folder.left_out.is_empty() {
            p.note { "Files that are left out:" }
            ul.note {
                @for (file, reason) in &folder.left_out {
                    li { code { (file.file_name().unwrap_or_default().to_string_lossy()) } ": " (reason) }
                }
            }
        }
    }
}
